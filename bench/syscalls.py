#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Count the system calls of one relayed message, by process of Postern."""
import argparse
import re
import signal
import subprocess
import sys
import time

from bench import Bench, Sink, send, wait_removed

PROGRAMS = ("smtpd", "qmgr", "smtp")


def trace(pid):
    return subprocess.Popen(["strace", "-c", "-f", "-p", str(pid)], stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--size", type=int, default=4096)
    args = parser.parse_args()
    bench, sink = Bench(args), Sink()
    mta = bench.start("postern", f"relayhost = [127.0.0.1]:{sink.port}\n")
    try:
        send(mta.port, args.clients, 50, args.size)
        wait_removed(mta, 50)
        tracers = {name: trace(mta.pids(name)[0]) for name in PROGRAMS}
        time.sleep(1)
        send(mta.port, args.clients, args.messages, args.size)
        wait_removed(mta, 50 + args.messages)
        for name, tracer in tracers.items():
            tracer.send_signal(signal.SIGINT)
            rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", tracer.communicate()[1], re.M)
            rows = sorted(((int(n), call) for n, call in rows if call != "total"), reverse=True)
            total = sum(n for n, _ in rows) / args.messages
            print(f"{name}: {total:.1f} calls a message")
            for n, call in rows:
                if n / args.messages >= 0.02:
                    print(f"    {n / args.messages:6.2f} {call}")
    finally:
        bench.finish(mta)
        sink.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
