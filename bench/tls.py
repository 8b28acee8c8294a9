#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measure TLS of Postern and Debian's postfix side by side, with the same keys, and print ratios.

Sessions come from `openssl s_time` (port with smtpd_tls_wrappermode); "TLS relay" is mail from
smtp-source through two servers of the same kind, with TLS between them, into discard.
"""
import argparse
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import bench
from bench import Bench, cpu_seconds, memory_kib, send, wait_removed

sys.path.insert(0, str(bench.ROOT / "tests/system"))
from world.ca import Authority  # noqa: E402
from world.mta import _free_port  # noqa: E402
from world.session import client_context  # noqa: E402

SERVER = """
smtpd_tls_security_level = {level}
smtpd_tls_chain_files = {chain}
default_transport = discard:
mydestination =
"""
CLIENT = """
myhostname = near.test
relayhost = [127.0.0.1]:{port}
smtp_tls_security_level = encrypt
smtp_tls_session_cache_database = btree:${{data_directory}}/smtp_scache
smtp_tls_connection_reuse = {reuse}
"""


def sessions(run, kind, key, flags, name):
    """Handshakes a second, all clients together."""
    port = _free_port()
    mta = run.start(kind, SERVER.format(level="encrypt", chain=run.pairs[key].chain),
                    extra_master=f"127.0.0.1:{port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n")
    argv = ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-time", str(run.args.seconds), *flags]
    try:
        before = cpu_seconds(mta.pid())
        clients = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                   for _ in range(run.args.clients)]
        total = 0
        for client in clients:
            found = re.search(r"(\d+) connections in (\d+) real seconds", client.communicate()[0])
            total += int(found.group(1)) / int(found.group(2))
        run.note(f"{name}, {key}, sessions/s", kind, total)
        run.note(f"{name}, {key}, CPU ms/session", kind,
                 (cpu_seconds(mta.pid()) - before) * 1000 / (total * run.args.seconds))
    finally:
        run.finish(mta)


def tls_relay(run, kind, key, reuse):
    far = run.start(kind, SERVER.format(level="encrypt", chain=run.pairs[key].chain))
    near = run.start(kind, CLIENT.format(port=far.port, reuse=reuse),
                     extra_master="tlsproxy unix - - n - 0 tlsproxy\n")
    name = f"TLS relay, {key}{', connections kept' if reuse == 'yes' else ''}"
    count = run.args.messages
    try:
        send(near.port, 20, 50, 4096)
        wait_removed(near, 50)
        before, started = cpu_seconds(near.pid()) + cpu_seconds(far.pid()), time.monotonic()
        send(near.port, 20, count, 4096)
        wait_removed(near, 50 + count)
        took = time.monotonic() - started
        run.note(f"{name}, messages/s", kind, count / took)
        run.note(f"{name}, CPU ms/message", kind,
                 (cpu_seconds(near.pid()) + cpu_seconds(far.pid()) - before) * 1000 / count)
    finally:
        run.finish(near)
        run.finish(far)


def idle(run, kind, count):
    mta = run.start(kind, SERVER.format(level="may", chain=run.pairs["ecdsa"].chain) +
                    f"default_process_limit = {count + 50}\nsmtpd_timeout = 3600\n")
    socks = []

    def open_one():
        sock = socket.create_connection(("127.0.0.1", mta.port))
        for line in (b"EHLO client.test\r\n", b"STARTTLS\r\n"):
            sock.recv(1000)
            sock.sendall(line)
        sock.recv(1000)
        sock = client_context().wrap_socket(sock)
        sock.sendall(b"EHLO client.test\r\n")
        sock.recv(1000)
        socks.append(sock)

    try:
        open_one()
        before = memory_kib(mta.pid(), "smtpd")
        for _ in range(count):
            open_one()
        time.sleep(0.5)
        run.note("memory per idle TLS session, KiB", kind, (memory_kib(mta.pid(), "smtpd") - before) / count)
    finally:
        for sock in socks:
            sock.close()
        run.finish(mta)


def one_round(run, kind):
    for key in run.args.keys.split(","):
        if "new" in run.args.only:
            sessions(run, kind, key, ["-new", "-tls1_3"], "new sessions, TLSv1.3")
        if "resumed" in run.args.only:
            sessions(run, kind, key, ["-reuse", "-tls1_2"], "resumed sessions, TLSv1.2")
        if "relay" in run.args.only:
            tls_relay(run, kind, key, "no")
            tls_relay(run, kind, key, "yes")
    if "idle" in run.args.only:
        idle(run, kind, 1000 if kind == "postern" else 50)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--keys", default="ecdsa,rsa")
    parser.add_argument("--only", default="new,resumed,relay,idle")
    parser.add_argument("--kinds", default="postern,reference")
    run = Bench(parser.parse_args())
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-tls-"))
    folder.chmod(0o755)
    authority = Authority(folder)
    run.pairs = {key: authority.issue("mx.test", key=key) for key in ("ecdsa", "rsa")}
    for number in range(run.args.rounds):
        for kind in run.args.kinds.split(","):
            one_round(run, kind)
            print(f"round {number + 1}: {kind} done", file=sys.stderr)
    bench.report(run)
    print(ssl.OPENSSL_VERSION)
    shutil.rmtree(run.stage, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
