# SPDX-License-Identifier: Apache-2.0
"""kill -9 of any process under load: every accepted message arrives."""
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from world import wait
from world.mta import _free_port
from world.session import Session

pytestmark = pytest.mark.postern_only("processes of ours")
SENDERS = 6


class Load:
    def __init__(self, port, end_s):
        self.port, self.end = port, time.monotonic() + end_s
        self.accepted, self.number, self.lock = set(), 0, threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while time.monotonic() < self.end:
            try:
                with Session(("127.0.0.1", self.port), timeout=10) as s:
                    s.ehlo()
                    while time.monotonic() < self.end:
                        self.one(s)
            except (OSError, EOFError, AssertionError):
                time.sleep(0.05)

    def one(self, s):
        with self.lock:
            self.number += 1
            number = self.number
        recipient = f"n{number}@far.test" if number % 3 else "nobody@mx.test"
        size = random.choice((100, 100, 5000, 50000, 400000))
        s.mail("ann@client.test", recipient, content=f"Subject: n{number}.\r\n\r\n" + ("x" * 70 + "\r\n") * (size // 72))
        with self.lock:
            self.accepted.add(number)

    def join(self):
        for thread in self.threads:
            thread.join(60)


@pytest.mark.parametrize("program", ["smtpd", "qmgr", "smtp", "local", "master"])
def test_killed_process_loses_nothing(postern, dns, remote, program):
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    far = remote("127.0.0.2")
    mx = postern("""
        mydestination = mx.test
        local_recipient_maps =
        mailbox_size_limit = 0
        minimal_backoff_time = 1s
        transport_retry_time = 1s
        queue_run_delay = 1s
    """)
    load = Load(mx.port, 4)
    for _ in range(3):
        time.sleep(random.uniform(0.3, 1.0))
        if program == "master":
            os.kill(mx.pid(), 9)
            wait.until(lambda: not mx.is_listening(), "the end of the orphans", 20)
            wait.until(lambda: mx.command("postern", "-c", mx.config, "start", check=False).returncode == 0,
                       "a new start", 20)
        else:
            for pid in mx.pids(program):
                os.kill(pid, 9)
    load.join()
    assert len(load.accepted) > 20, "hardly any load"

    def missing():
        with far.lock:
            arrived = {int(re.search(rb"^Subject: n(\d+)\.", m["content"], re.M).group(1)) for m in far.messages}
        arrived |= {int(n) for n in re.findall(r"^Subject: n(\d+)\.", mx.mailbox("nobody"), re.M)}
        return load.accepted - arrived

    deadline = time.monotonic() + 40
    while missing() and time.monotonic() < deadline:
        mx.command("postqueue", "-f", check=False)
        time.sleep(0.5)
    assert not missing(), f"of {len(load.accepted)} accepted: {sorted(missing())[:20]}; log: {mx.log.text()[-3000:]}"


@pytest.fixture
def smtp_sink():
    """smtp-sink(1), which writes down the recipients of each message."""
    if not shutil.which("smtp-sink"):
        pytest.skip("smtp-sink is not installed")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sink-"))
    os.chmod(folder, 0o777)
    port = _free_port()
    process = subprocess.Popen(["smtp-sink", "-u", "nobody", "-d", f"{folder}/%M.", f"127.0.0.1:{port}", "200"])

    def recipients():
        found = set()
        for path in folder.iterdir():
            with path.open("rb") as file:
                found.update(re.findall(rb"^X-Rcpt-Args: <([^>]*)>", file.read(1000), re.M))
        return found

    wait.until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "smtp-sink")
    yield port, folder, recipients
    process.kill()
    process.wait()
    shutil.rmtree(folder)


def test_ten_thousand_messages_survive_kills_half_way(postern, smtp_sink):
    """A killed smtpd would end smtp-source itself: that is for the test above."""
    port, folder, recipients = smtp_sink
    mx = postern(f"relayhost = [127.0.0.1]:{port}\nminimal_backoff_time = 1s\ntransport_retry_time = 1s\n"
                 "smtpd_client_connection_count_limit = 0")
    parts = (("a", 4000, 500), ("b", 4000, 5000), ("c", 2000, 20000))
    sources = [subprocess.Popen(["smtp-source", "-s", "7", "-m", str(count), "-l", str(size), "-N", "-f", "ann@client.test",
                                 "-t", f"{name}@far.test", f"127.0.0.1:{mx.port}"]) for name, count, size in parts]
    for part, program in ((2000, "smtp"), (5000, "qmgr"), (7000, "smtp")):
        wait.until(lambda part=part: len(os.listdir(folder)) >= part, f"{part} messages", 300)
        for pid in mx.pids(program):
            os.kill(pid, 9)
    assert [source.wait(300) for source in sources] == [0, 0, 0]
    want = {f"{number}{name}@far.test".encode() for name, count, _ in parts for number in range(1, count + 1)}

    def all_are_there():
        mx.command("postqueue", "-f", check=False)
        return len(os.listdir(folder)) >= len(want) and recipients() >= want

    try:
        wait.until(all_are_there, "ten thousand messages", 180, 1)
    except AssertionError:
        missing = want - recipients()
        raise AssertionError(f"missing {len(missing)}: {sorted(missing)[:9]}; {mx.queue.listing()[-1000:]}") from None
