#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measure Postern and Debian's postfix side by side, in one run, and print ratios.

Everything is durable in both (each syncs before it acknowledges); both run the same
configuration on the same file system, and the rounds alternate. Load comes from
smtp-source and goes to smtp-sink, both of the postfix package.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/system"))
from world.mta import Mta, _free_port  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
WITHOUT_QMGR = """
{smtp}  inet  n  -  n  -  -  smtpd
cleanup  unix  n  -  n  -  0  cleanup
rewrite  unix  -  -  n  -  -  trivial-rewrite
proxymap  unix  -  -  n  -  -  proxymap
anvil  unix  -  -  n  -  1  anvil
postlog  unix-dgram n  -  n  -  1  postlogd
"""


def install(build):
    stage = pathlib.Path(tempfile.mkdtemp(prefix="bench-stage-"))
    os.chmod(stage, 0o755)
    subprocess.run([ROOT / "tools/install-files", "--build", build, "--destdir", stage], capture_output=True)
    for path in (stage / "usr/sbin" / name for name in ("postdrop", "postqueue")):
        if path.exists():
            shutil.chown(path, "root", "postdrop")
            os.chmod(path, 0o2755)
    return stage


class Bench:
    def __init__(self, args):
        self.args = args
        self.stage = install(args.build)
        self.results = {}

    def note(self, measure, kind, value):
        self.results.setdefault(measure, {}).setdefault(kind, []).append(value)

    def start(self, kind, main_cf, **options):
        return Mta(kind, main_cf + "\nsmtpd_client_connection_count_limit = 0\n",
                   stage=self.stage, **options).start()

    @staticmethod
    def finish(mta):
        mta.stop()
        mta.remove()


def tree(pid):
    """The process and everything below it."""
    found = [pid]
    for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found += tree(int(child))
    return found


def cpu_seconds(master_pid):
    """User and system time of a running mail system; ended children count in their parent."""
    total = 0
    for pid in tree(master_pid):
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        total += sum(int(fields[i]) for i in (11, 12, 13, 14))
    return total / TICK


def memory_kib(master_pid, program):
    """Proportional memory of all processes of one program."""
    total = 0
    for pid in tree(master_pid):
        if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == program:
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss: +(\d+)", rollup, re.M).group(1))
    return total


class Sink:
    """smtp-sink, which keeps nothing."""

    def __init__(self):
        self.port = _free_port()
        self.process = subprocess.Popen(["smtp-sink", "-u", "nobody", f"127.0.0.1:{self.port}", "1000"],
                                        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)

    def close(self):
        self.process.kill()
        self.process.wait()


def send(port, clients, count, size, keep=False):
    argv = ["smtp-source", *(["-d"] if keep else []), "-s", clients, "-m", count, "-l", size, "-f", "a@client.test", "-t", "b@far.test",
            f"127.0.0.1:{port}"]
    subprocess.run([str(a) for a in argv], check=True, capture_output=True)


def wait_removed(mta, count):
    """All delivered: that many lines `removed` in the log."""
    path, seen, offset = mta.log.path, 0, 0
    deadline = time.monotonic() + 600
    while seen < count and time.monotonic() < deadline:
        if path.exists():
            with open(path, "rb") as log:
                log.seek(offset)
                data = log.read()
            cut = data.rfind(b"\n") + 1
            seen += data[:cut].count(b": removed\n")
            offset += cut
        time.sleep(0.005)
    if seen < count:
        raise SystemExit(f"bench: {mta.kind} delivered {seen} of {count}; log:\n{mta.log.text()[-2000:]}")


def relay(bench, kind, clients, count):
    sink = Sink()
    mta = bench.start(kind, f"relayhost = [127.0.0.1]:{sink.port}\n")
    try:
        send(mta.port, clients, 50, bench.args.size)  # warm: processes are up
        wait_removed(mta, 50)
        before, started = cpu_seconds(mta.pid()), time.monotonic()
        send(mta.port, clients, count, bench.args.size)
        accepted = time.monotonic() - started
        wait_removed(mta, 50 + count)
        took, cpu = time.monotonic() - started, cpu_seconds(mta.pid()) - before
        bench.note(f"relay, {clients} clients, messages/s", kind, count / took)
        bench.note(f"relay, {clients} clients, accepted/s", kind, count / accepted)
        bench.note(f"relay, {clients} clients, CPU ms/message", kind, cpu * 1000 / count)
    finally:
        bench.finish(mta)
        sink.close()


def intake(bench, kind, clients, count, keep):
    """Acceptance alone: no queue manager runs, so nothing is delivered. keep: clients keep their
    connections instead of making a new one for each message."""
    name = f"intake, {clients} clients{', kept' if keep else ''}"
    mta = bench.start(kind, "in_flow_delay = 0\n", master_cf=WITHOUT_QMGR)
    try:
        send(mta.port, clients, 50, bench.args.size, keep)
        before, started = cpu_seconds(mta.pid()), time.monotonic()
        send(mta.port, clients, count, bench.args.size, keep)
        took, cpu = time.monotonic() - started, cpu_seconds(mta.pid()) - before
        bench.note(f"{name}, messages/s", kind, count / took)
        bench.note(f"{name}, CPU ms/message", kind, cpu * 1000 / count)
    finally:
        bench.finish(mta)


class TimingSink:
    """Notes when the final dot of each message arrived."""

    def __init__(self):
        self.arrived = {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"220 sink ESMTP\r\n")
        data = b""
        while True:
            try:
                got = sock.recv(65536)
            except ConnectionResetError:
                return
            if not got:
                return
            data += got
            while b"\n" in data:
                line, data = data.split(b"\n", 1)
                verb = line[:4].upper()
                if verb == b"DATA":
                    sock.sendall(b"354 go\r\n")
                    data = self.content(sock, data)
                elif verb == b"EHLO":
                    sock.sendall(b"250-sink\r\n250 PIPELINING\r\n")
                else:
                    sock.sendall(b"250 2.0.0 ok\r\n")

    def content(self, sock, data):
        while b"\r\n.\r\n" not in data:
            got = sock.recv(65536)
            if not got:
                return b""
            data += got
        now = time.monotonic()
        text, rest = data.split(b"\r\n.\r\n", 1)
        self.arrived[int(re.search(rb"Subject: n(\d+)", text).group(1))] = now
        sock.sendall(b"250 2.0.0 ok\r\n")
        return rest


def latency(bench, kind, count):
    sink = TimingSink()
    mta = bench.start(kind, f"relayhost = [127.0.0.1]:{sink.port}\n")
    times = []
    try:
        with mta.session() as s:
            s.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.ehlo()
            for number in range(count + 5):
                s.send("MAIL FROM:<a@client.test>").expect("250 *")
                s.send("RCPT TO:<b@far.test>").expect("250 *")
                s.send("DATA").expect("354 *")
                s.raw(f"Subject: n{number}\r\n\r\n".encode() + b"x" * 70 + b"\r\n")
                sent = time.monotonic()
                s.raw(b".\r\n").expect("250 *")
                while number not in sink.arrived:
                    time.sleep(0.0001)
                if number >= 5:
                    times.append((sink.arrived[number] - sent) * 1000)
    finally:
        bench.finish(mta)
    times.sort()
    bench.note("latency to next host, ms, median", kind, statistics.median(times))
    bench.note("latency to next host, ms, p99", kind, times[int(len(times) * 0.99)])


def idle(bench, kind, count):
    mta = bench.start(kind, f"default_process_limit = {count + 50}\nsmtpd_timeout = 3600\n")
    socks = []
    try:
        with mta.session() as s:
            s.ehlo()
        before = memory_kib(mta.pid(), "smtpd")
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", mta.port))
            socks.append(sock)
            sock.recv(500)
            sock.sendall(b"EHLO client.test\r\n")
            sock.recv(1000)
        time.sleep(0.5)
        bench.note("memory per idle connection, KiB", kind,
                   (memory_kib(mta.pid(), "smtpd") - before) / count)
    finally:
        for sock in socks:
            sock.close()
        bench.finish(mta)


def report(bench):
    print(f"\n{'':44}{'Postern':>10}{'postfix':>10}{'ratio':>9}")
    for measure, kinds in bench.results.items():
        ours = statistics.median(kinds.get("postern", [float("nan")]))
        theirs = statistics.median(kinds.get("reference", [float("nan")]))
        low = any(word in measure for word in ("CPU", "latency", "memory"))
        ratio = (theirs / ours if low else ours / theirs) if ours and theirs else float("nan")
        print(f"{measure:44}{ours:10.2f}{theirs:10.2f}{ratio:8.1f}x")
    print("(ratio: how many times better Postern is; medians over the rounds)")


def one_round(bench, kind, args):
    for clients in map(int, args.clients.split(",")):
        count = args.messages // 5 if clients == 1 or kind == "reference" else args.messages
        if "relay" in args.only:
            relay(bench, kind, clients, count)
        if "intake" in args.only:
            intake(bench, kind, clients, count, False)
            intake(bench, kind, clients, count, True)
    if "latency" in args.only:
        latency(bench, kind, 200)
    if "idle" in args.only:
        idle(bench, kind, 1000 if kind == "postern" else 100)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--size", type=int, default=4096, help="bytes of a message")
    parser.add_argument("--clients", default="1,20,100")
    parser.add_argument("--only", default="relay,intake,latency,idle")
    parser.add_argument("--kinds", default="postern,reference")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("bench: run as root")
    bench = Bench(args)
    for number in range(args.rounds):
        for kind in args.kinds.split(","):
            one_round(bench, kind, args)
            print(f"round {number + 1}: {kind} done", file=sys.stderr)
    report(bench)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(bench.results, indent=1))
    shutil.rmtree(bench.stage, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
