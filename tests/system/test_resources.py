# SPDX-License-Identifier: Apache-2.0
"""Disk, inodes and descriptors run out: a 4xx within seconds, and recovery without help."""
import os
import re
import socket
import subprocess
import time

import pytest

from world import wait

pytestmark = pytest.mark.postern_only("limits of our own queue")


@pytest.fixture
def small_disk(tmp_path):
    """A small file system for a queue; fill() takes the rest of it."""
    mounts = []

    def make(options):
        point = tmp_path / "disk"
        point.mkdir()
        for parent in [point, *list(point.parents)[:3]]:
            os.chmod(parent, 0o755)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", point], check=True)
        mounts.append(point)
        return point

    yield make
    for point in mounts:
        subprocess.run(["umount", "-l", point], check=True)


def try_mail(mx, size=20000):
    """The reply to the first command that is refused, or to the end of data; and how long it took."""
    started = time.monotonic()
    with mx.session() as s:
        s.ehlo()
        for line in ("MAIL FROM:<ann@client.test>", "RCPT TO:<nobody@mx.test>"):
            if not s.send(line).read_reply().startswith("250"):
                return s.reply, time.monotonic() - started
        if s.send("DATA").read_reply().startswith("354"):
            s.raw(b"Subject: x\r\n\r\n" + b"y" * 70 + b"\r\n" + (b"z" * 76 + b"\r\n") * (size // 78) + b".\r\n")
            s.read_reply()
        return s.reply, time.monotonic() - started


SETTINGS = """
    queue_directory = {disk}/queue
    mydestination = mx.test
    local_recipient_maps =
    queue_minfree = 0
    message_size_limit = 1000000
"""


def test_a_full_disk_is_a_4xx_and_heals(small_disk, postern):
    disk = small_disk("size=150M")
    mx = postern(SETTINGS.format(disk=disk), start=False)
    mx.queue_dir = disk / "queue"
    mx.start()
    assert try_mail(mx)[0].startswith("250")
    filler = disk / "filler"
    with open(filler, "wb") as file:
        try:
            while True:
                file.write(b"x" * 65536)
                file.flush()
        except OSError:
            pass
    refused = []

    def is_refused():
        reply, took = try_mail(mx, 600000)
        assert took < 5, reply
        assert reply[0] in "24", reply
        if reply[0] == "4":
            refused.append(reply)
        return refused

    wait.until(is_refused, "a 4xx on a full disk", 60)
    filler.unlink()
    wait.until(lambda: try_mail(mx, 600000)[0].startswith("250"), "acceptance once there is room")


def test_running_out_of_inodes_is_a_4xx_and_heals(small_disk, postern):
    disk = small_disk("size=300M,nr_inodes=200")
    mx = postern(SETTINGS.format(disk=disk), start=False)
    mx.queue_dir = disk / "queue"
    mx.start()
    assert try_mail(mx)[0].startswith("250")
    files = []
    try:
        for number in range(300):
            files.append(disk / f"f{number}")
            files[-1].touch()
    except OSError:
        files.pop()
    # Large messages need a file of their own.
    reply, took = try_mail(mx, 600000)
    assert reply[0] == "4" and took < 5, (reply, took)
    for file in files:
        file.unlink()
    wait.until(lambda: try_mail(mx, 600000)[0].startswith("250"), "acceptance once there are inodes")


def test_running_out_of_descriptors_answers_within_seconds_and_heals(postern):
    mx = postern("mydestination = mx.test\nlocal_recipient_maps =", start=False)
    script = f"ulimit -n 120; exec {mx.program('postern')} -c {mx.config} start"
    subprocess.run(["sh", "-c", script], env=mx.environment(), stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True)
    wait.until(mx.is_listening, "the server")
    socks = []
    refusals = 0
    for _ in range(200):
        sock = socket.create_connection(("127.0.0.1", mx.port), 5)
        sock.settimeout(5)
        socks.append(sock)
        try:
            greeting = sock.recv(200)
        except (ConnectionResetError, TimeoutError):
            greeting = b""
        if greeting.startswith(b"421") or greeting == b"":
            refusals += 1
            break
        assert greeting.startswith(b"220"), greeting
    assert refusals, "more sessions than descriptors"
    for sock in socks:
        sock.close()
    wait.until(lambda: try_mail(mx)[0].startswith("250"), "acceptance once there are descriptors")


def test_ten_thousand_idle_sessions_fit_in_200_megabytes(postern):
    count = 10000 if "asan" not in os.environ["POSTERN_BUILD"] else 2000
    mx = postern("smtpd_client_connection_count_limit = 0\nsmtpd_timeout = 3600s\n"
                 "default_process_limit = 100\n")
    socks = []
    try:
        for number in range(count):
            sock = socket.socket()
            sock.bind((f"127.0.1.{number // 5000 + 1}", 0))
            sock.connect(("127.0.0.1", mx.port))
            assert sock.recv(200).startswith(b"220")
            socks.append(sock)
        with mx.session() as s:
            s.ehlo()
        rollup = open(f"/proc/{mx.pids('smtpd')[0]}/smaps_rollup").read()
        kib = int(re.search(r"^Pss: +(\d+)", rollup, re.M).group(1))
        if count == 10000:
            assert kib < 200 * 1024, f"{kib} KiB"
    finally:
        for sock in socks:
            sock.close()
