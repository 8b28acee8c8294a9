#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sessions per second through a typical list of restrictions (ten rules, three tables, two DNS lists that
answer in 20 ms), Postern and Debian's postfix side by side; then what a DNS list of 2 s does to those who do
not need it. Needs root: it makes a network of its own.  bench/gate.py [--build DIR] [--seconds N]"""
import argparse
import asyncio
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/system"), str(ROOT / "bench")]
MAIN_CF = """
mynetworks = 127.0.0.1/32
local_recipient_maps =
in_flow_delay = 0
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
default_process_limit = 200
smtpd_recipient_restrictions = check_client_access cidr:$config_directory/clients, permit_mynetworks,
    reject_unauth_destination, reject_invalid_helo_hostname, reject_non_fqdn_sender, reject_non_fqdn_recipient,
    check_helo_access hash:$config_directory/names, check_sender_access hash:$config_directory/senders,
    reject_rbl_client one.list.test, reject_rbl_client two.list.test
"""
SLOW = """127.0.0.1:{port} inet n - n - - smtpd
  -o {{ smtpd_recipient_restrictions = check_client_access cidr:$config_directory/quick, reject_rbl_client slow.list.test }}
"""


class Names(asyncio.DatagramProtocol):
    """Knows nobody, and takes its time to say so."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        delay = 2 if b"\x04slow\x04list" in data else 0.02 if b"\x04list\x04test" in data else 0
        end = data.index(b"\0", 12) + 5
        reply = data[:2] + b"\x81\x83" + data[4:6] + b"\0\0\0\0\0\0" + data[12:end]
        if delay:
            asyncio.get_running_loop().call_later(delay, self.transport.sendto, reply, peer)
        else:
            self.transport.sendto(reply, peer)


def serve_names():
    async def run():
        await asyncio.get_running_loop().create_datagram_endpoint(Names, local_addr=("127.0.0.53", 53))
        await asyncio.Event().wait()
    asyncio.run(run())


def load(args, port, clients, first, seconds=None):
    return subprocess.Popen([args.build / "src/arrive/bench_gate_load", str(port), str(seconds or args.seconds), str(clients), str(first)],
                            stdout=subprocess.PIPE, text=True)


def heard(process):
    rate, median, p99, refused = map(float, process.communicate()[0].split())
    return {"sessions/s": rate, "median ms": median, "p99 ms": p99, "refused": int(refused)}


def measure(args, kind, stage, turn):
    from bench import cpu_seconds
    from world.mta import Mta, _free_port
    slow_port = _free_port()
    mta = Mta(kind, MAIN_CF, stage=stage, extra_master=SLOW.format(port=slow_port))
    (mta.config / "clients").write_text("".join(f"10.{i}.0.0/16 REJECT\n" for i in range(100)))
    (mta.config / "quick").write_text("127.200.0.0/13 OK\n")
    for name in ("names", "senders"):
        (mta.config / name).write_text("".join(f"host{i}.example REJECT\n" for i in range(1000)))
        mta.command("postmap", f"hash:{mta.config}/{name}")
    mta.start()
    try:
        heard(load(args, mta.port, 20, 10 + turn, 1))
        pid = int((mta.queue_dir / "pid/master.pid").read_text())
        before = cpu_seconds(pid)
        result = heard(load(args, mta.port, args.clients, 20 + turn))
        result["cpu ms"] = 1000 * (cpu_seconds(pid) - before) / max(1, result["sessions/s"] * args.seconds)
        alone = heard(load(args, slow_port, 20, 200 + turn))
        waiting = load(args, slow_port, 100, 40 + turn, args.seconds + 2)
        time.sleep(1)
        beside = heard(load(args, slow_port, 20, 202 + turn))
        waiting = heard(waiting)
    finally:
        if args.log:
            print(mta.log.text()[-args.log:])
        mta.stop()
        mta.remove()
    return {"typical list": result, "no list needed": alone, "no list needed, 100 clients wait 2 s": beside, "those who wait": waiting}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--only", choices=("postern", "reference"))
    parser.add_argument("--log", type=int, default=0, help="print so much of the end of the log")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    args.build = args.build.resolve()
    if "POSTERN_BENCH_INSIDE" not in os.environ:
        inside = ('ip link set lo up; w=$(mktemp -d); mount -t tmpfs tmpfs "$w"; echo nameserver 127.0.0.53 > "$w/r"; '
                  'mount --bind "$w/r" /etc/resolv.conf; exec "$@"')
        os.environ["POSTERN_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-euc", inside, "sh",
                              "/usr/bin/python3", os.path.abspath(__file__), *sys.argv[1:]])
    from bench import install
    names = multiprocessing.Process(target=serve_names, daemon=True)
    names.start()
    stage = install(args.build)
    kinds = [args.only] if args.only else ["postern", "reference"]
    results = {kind: measure(args, kind, stage, turn) for turn, kind in enumerate(kinds)}
    for name in results[kinds[0]]:
        for kind in kinds:
            print(f"{name:40} {kind:10} " + "  ".join(f"{key} {value:.2f}" for key, value in results[kind][name].items()))
    if len(kinds) == 2:
        ours, theirs = (results[kind]["typical list"]["sessions/s"] for kind in kinds)
        print(f"typical list: {ours / max(theirs, 0.1):.1f} times as many sessions")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    names.terminate()


if __name__ == "__main__":
    main()
