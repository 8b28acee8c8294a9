# SPDX-License-Identifier: Apache-2.0
"""Tables under a running server: changed, broken, asked by many, their servers gone and back."""
import os
import pathlib
import socketserver
import subprocess
import threading
import time

import pytest

from world import databases, wait
from world.session import Session

pytestmark = pytest.mark.postern_only("how tables are read again and asked is not the reference's")

THREADS = 50
STRESS = pathlib.Path(os.environ.get("POSTERN_BUILD", "build")).resolve() / "tests/unit/map/map_stress"

# ---- servers of tables, in threads of the test ----


class _Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            value = self.server.table.get(line.decode().removeprefix("get ").strip())
            self.wfile.write(b"500 none\n" if value is None else f"200 {value.replace(' ', '%20')}\n".encode())


class _Socketmap(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            length = b""
            while not length.endswith(b":"):
                byte = self.rfile.read(1)
                if not byte:
                    return
                length += byte
            key = self.rfile.read(int(length[:-1]) + 1)[:-1].decode().partition(" ")[2]
            value = self.server.table.get(key)
            reply = b"NOTFOUND " if value is None else f"OK {value}".encode()
            self.wfile.write(b"%d:%s," % (len(reply), reply))


class TableServer:
    """A tcp or socketmap server; stop() closes its connections too."""

    def __init__(self, handler, table):
        self.handler, self.table, self.port = handler, table, databases.free_port()
        self.start()

    def start(self):
        outer = self

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads, request_queue_size = True, True, 128

            def process_request(self, request, client_address):
                outer.connections.append(request)
                super().process_request(request, client_address)

            def handle_error(self, request, client_address):
                pass
        self.connections = []
        self.server = Server(("127.0.0.1", self.port), self.handler)
        self.server.table = self.table
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            try:
                connection.shutdown(2)
            except OSError:
                pass

    close = stop


# ---- helpers ----


def smtpd_with(port, table, parameter="check_recipient_access"):
    return f"""
127.0.0.1:{port} inet n - n - - smtpd
  -o {{smtpd_recipient_restrictions = {parameter} {table}, reject}}
"""


def reply_of(session, address):
    session.send(f"RCPT TO:<{address}>")
    return session.read_reply()


class Hammer:
    """One client after the other RCPT, on its own connection, until stop; keeps every wrong reply."""

    def __init__(self, port, address, is_right):
        self.port, self.address, self.is_right = port, address, is_right
        self.right, self.wrong, self.stopping = 0, [], False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping:
            with Session(("127.0.0.1", self.port)) as s:
                s.ehlo().send("MAIL FROM:<ann@client.test>").expect("250 *")
                for _ in range(15):  # below the hard error limit
                    reply = reply_of(s, self.address)
                    if self.is_right(reply):
                        self.right += 1
                    else:
                        self.wrong.append(reply)
                    if self.stopping:
                        break

    def stop(self):
        self.stopping = True
        self.thread.join(20)


class Stress:
    """THREADS threads of a program that ask one table for a while."""

    def __init__(self, config, table, key, value, ms):
        self.process = subprocess.Popen([STRESS, config, str(THREADS), str(ms), table, key, value],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self):
        """(right, temp); nothing else may be answered."""
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, out + err
        words = out.split()
        assert words[5] == "0", out + err
        return int(words[1]), int(words[3])


# ---- change at run time ----

FILE_TYPES = ["hash", "btree", "lmdb", "cdb", "texthash", "regexp", "pcre", "pipemap", "unionmap", "proxy", "nested"]
MADE = {"hash": "hash", "btree": "btree", "lmdb": "lmdb", "cdb": "cdb", "pipemap": "lmdb", "unionmap": "hash",
        "proxy": "btree", "nested": "cdb"}


def table_of(kind, path):
    return {"pipemap": f"pipemap:{{lmdb:{path},regexp:{{{{/(.*)/ $$1}}}}}}", "unionmap": f"unionmap:{{hash:{path}}}",
            "proxy": f"proxy:btree:{path}",
            "nested": f"unionmap:{{pipemap:{{cdb:{path},static:{{REJECT same}}}}}}"}.get(kind, f"{kind}:{path}")


def write_source(kind, path, number, in_place):
    keys = {"always@far.test": "REJECT always", f"new{number}@far.test": "REJECT new"}
    if kind in ("regexp", "pcre"):
        text = "".join(f"/^{key.replace('.', '[.]')}$/ {value}\n" for key, value in keys.items())
    else:
        text = "".join(f"{key} {value}\n" for key, value in keys.items())
    text = "# a comment that makes the file longer\n" * 2000 + text
    if in_place:
        path.write_text(text)
        return
    beside = path.with_suffix(".beside")
    beside.write_text(text)
    os.rename(beside, path)


def test_a_changed_table_is_seen_within_a_second_and_no_request_fails(postern):
    extra, ports, paths = "", {}, {}
    mx = postern(start=False)
    for kind in FILE_TYPES:
        ports[kind], paths[kind] = databases.free_port(), mx.dir / f"t_{kind}"
        extra += smtpd_with(ports[kind], table_of(kind, paths[kind]))
        write_source(kind, paths[kind], 0, True)
        if kind in MADE:
            mx.command("postmap", f"{MADE[kind]}:{paths[kind]}")
    mx.write_main(f"proxy_read_maps = proxy:btree:{paths['proxy']}\nsmtpd_delay_reject = yes\n"
                  "smtpd_error_sleep_time = 0\nsmtpd_soft_error_limit = 1000\nsmtpd_hard_error_limit = 1000\n"
                  "smtpd_client_connection_count_limit = 0\n")
    with (mx.config / "master.cf").open("a") as master:
        master.write(extra)
    mx.start()
    slow = []

    def change(kind):
        hammer = Hammer(ports[kind], "always@far.test", lambda reply: reply.startswith("554 5.7.1 <always@"))
        for number in range(1, 6):
            write_source(kind, paths[kind], number, number % 2)
            if kind in MADE:
                mx.command("postmap", f"{MADE[kind]}:{paths[kind]}")
            begun = time.monotonic()
            with Session(("127.0.0.1", ports[kind])) as s:
                s.ehlo().send("MAIL FROM:<ann@client.test>").expect("250 *")
                wait.until(lambda: ": Recipient address rejected: Access denied" not in
                           reply_of(s, f"new{number}@far.test"), f"{kind}: change {number}", 10)
            slow.append((time.monotonic() - begun, kind))
        hammer.stop()
        assert not hammer.wrong, (kind, hammer.wrong[:3])
        assert hammer.right > 20, kind
        return True
    done = {}
    threads = [threading.Thread(target=lambda k=kind: done.update({k: change(k)})) for kind in FILE_TYPES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(done) == sorted(FILE_TYPES), f"failed: {set(FILE_TYPES) - set(done)}"
    # A second, and what a busy machine with sanitizers adds.
    assert max(slow)[0] < 3, sorted(slow)[-5:]


def test_a_file_in_a_match_list_is_seen_when_it_changes(postern):
    mx = postern(start=False)
    domains = mx.dir / "domains"
    domains.write_text("one.test\n")
    mx.write_main(f"mydestination = {domains}\nlocal_recipient_maps =\nmynetworks = 192.0.2.1\n")
    mx.start()

    def is_local(domain):
        with mx.session() as s:
            s.ehlo().send("MAIL FROM:<ann@client.test>").expect("250 *")
            return "Relay access denied" not in reply_of(s, f"a@{domain}")
    assert is_local("one.test") and not is_local("two.test")
    domains.with_suffix(".new").write_text("two.test\n")
    os.rename(domains.with_suffix(".new"), domains)
    wait.until(lambda: is_local("two.test"), "the new domain", 10)
    assert not is_local("one.test")


def test_a_table_that_only_root_may_read_is_seen_by_a_successor(postern):
    mx = postern(start=False)
    port, path = databases.free_port(), mx.dir / "secret"
    path.write_text("one@far.test REJECT one\n")
    os.chmod(path, 0o600)
    with (mx.config / "master.cf").open("a") as master:
        master.write(smtpd_with(port, f"hash:{path}"))
    mx.command("postmap", f"hash:{path}")
    assert (mx.dir / "secret.db").stat().st_mode & 0o777 == 0o600
    mx.start()

    def answer(address):
        with Session(("127.0.0.1", port)) as s:
            s.ehlo().send("MAIL FROM:<ann@client.test>").expect("250 *")
            return reply_of(s, address)
    assert answer("one@far.test").startswith("554 5.7.1 <one@far.test>: Recipient address rejected: one")
    path.write_text("two@far.test REJECT two\n")
    mx.command("postmap", f"hash:{path}")
    wait.until(lambda: answer("two@far.test").endswith(": two"), "the new table", 15)
    assert not any(": 4" in line and "NOQUEUE" in line for line in mx.log.lines())
    assert mx.log.has(f"service 127.0.0.1:{port}: a table has changed that a new process must read*")


# ---- broken files ----

def test_a_broken_table_is_try_later_with_its_reason_and_heals(postern):
    mx = postern(start=False)
    kinds = {"hash": ".db", "btree": ".db", "lmdb": ".lmdb", "cdb": ".cdb"}
    extra, ports, paths = "", {}, {}
    for kind, suffix in kinds.items():
        ports[kind], paths[kind] = databases.free_port(), mx.dir / f"b_{kind}"
        paths[kind].write_text("always@far.test REJECT always\n"
                               + "".join(f"k{i}@far.test REJECT x\n" for i in range(30000)))
        mx.command("postmap", f"{kind}:{paths[kind]}")
        extra += smtpd_with(ports[kind], f"{kind}:{paths[kind]}")
    mx.write_main("smtpd_error_sleep_time = 0\n")
    with (mx.config / "master.cf").open("a") as master:
        master.write(extra)
    mx.start()

    def answer(kind):
        with Session(("127.0.0.1", ports[kind])) as s:
            s.ehlo().send("MAIL FROM:<ann@client.test>").expect("250 *")
            return reply_of(s, "always@far.test")
    for kind, suffix in kinds.items():
        file = pathlib.Path(f"{paths[kind]}{suffix}")
        assert answer(kind).startswith("554 5.7.1"), kind
        pids = set(mx.pids("smtpd"))
        for damage in ("cut", "junk", "empty", "directory", "gone"):
            whole = file.read_bytes()
            if damage == "cut":
                os.truncate(file, len(whole) // 3)
            elif damage in ("junk", "empty"):
                file.write_bytes(b"junk " * 1000 if damage == "junk" else b"")
            else:
                file.unlink()
                if damage == "directory":
                    file.mkdir()
            wait.until(lambda: answer(kind).startswith("451 4.3.5 "), f"{kind}, {damage}", 10)
            result = mx.command("postmap", "-q", "always@far.test", f"{kind}:{paths[kind]}", check=False)
            assert result.returncode == 1 and "fatal: " in result.stderr and file.name in result.stderr, (kind, damage)
            if damage == "directory":
                file.rmdir()
            if damage in ("directory", "gone"):
                file.write_bytes(whole)
            else:
                mx.command("postmap", f"{kind}:{paths[kind]}")
            wait.until(lambda: answer(kind).startswith("554 5.7.1"), f"{kind} is well after {damage}", 10)
        assert pids == set(mx.pids("smtpd")), "a process has died"


# ---- many threads, and servers that come and go ----

@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return databases.Authority(tmp_path_factory.mktemp("authority"))


class StrictRedis(databases.Redis):
    """Its TLS wants a certificate of the client."""

    def argv(self):
        argv = super().argv()
        argv[argv.index("--tls-auth-clients") + 1] = "yes"
        return argv


@pytest.fixture(scope="module")
def redis(authority):
    server = StrictRedis(authority, "secret")
    yield server
    server.close()


@pytest.fixture(scope="module")
def memcached():
    server = databases.Memcached()
    yield server
    server.close()


@pytest.fixture(scope="module")
def settings(module_postern):
    """A directory with a main.cf; nothing runs."""
    return module_postern("", start=False)


VALUE = "REJECT found there"


def put(mx, table, key, value):
    subprocess.run([mx.program("postmap"), "-i", "-r", table], input=f"{key} {value}\n", text=True, check=True,
                   env=mx.environment())


def at_server(kind, mx, redis, memcached):
    """(server, table); KEY@far.test is there."""
    if kind in ("tcp", "socketmap"):
        server = TableServer(_Tcp if kind == "tcp" else _Socketmap, {"always@far.test": VALUE})
        where = f"127.0.0.1:{server.port}"
        return server, f"tcp:{where}" if kind == "tcp" else f"socketmap:inet:{where}:access"
    server = redis if kind == "redis" else memcached
    file = mx.config / f"{kind}.cf"
    file.write_text(f"hosts = 127.0.0.1:{server.port}\npassword = secret\nkey_format = acc:%s\n" if kind == "redis" else
                    f"memcache = inet:127.0.0.1:{server.port}\nkey_format = acc:%s\nretry_pause = 0\n")
    put(mx, f"{kind}:{file}", "always@far.test", VALUE)
    return server, f"{kind}:{file}"


SERVER_TYPES = ["tcp", "socketmap", "redis", "memcache"]


@pytest.mark.parametrize("kind", ["hash", "btree", "lmdb", "cdb", "texthash", "regexp", "pcre", "cidr", "inline", "static",
                                  "unix", "environ", "pipemap", "unionmap"])
def test_fifty_threads_ask_a_table_without_a_server(kind, settings):
    path = settings.dir / f"s_{kind}"
    path.write_text({"regexp": "/^key$/ value\n", "pcre": "/^key$/ value\n", "cidr": "10.0.0.0/8 value\n"}
                    .get(kind, "key value\n"))
    if kind in ("hash", "btree", "lmdb", "cdb"):
        settings.command("postmap", f"{kind}:{path}")
    key = {"cidr": "10.1.2.3", "unix": "root", "environ": "stress_key"}.get(kind, "key")
    os.environ["stress_key"] = "value"
    table = {"inline": "inline:{key=value}", "static": "static:value", "unix": "unix:passwd.byname", "environ": "environ:x",
             "pipemap": f"pipemap:{{texthash:{path},inline:{{value=value}}}}", "unionmap": f"unionmap:{{texthash:{path}}}"}.get(kind, f"{kind}:{path}")
    value = "value"
    if kind == "unix":
        value = next(line for line in pathlib.Path("/etc/passwd").read_text().splitlines() if line.startswith("root:"))
    right, temp = Stress(settings.config, table, key, value, 500).end()
    assert right > 5000 and temp == 0


@pytest.mark.parametrize("kind", SERVER_TYPES)
def test_fifty_threads_ask_while_the_server_goes_and_comes(kind, settings, redis, memcached):
    server, table = at_server(kind, settings, redis, memcached)
    def ask(ms):
        return Stress(settings.config, table, "always@far.test", VALUE, ms)
    right, temp = ask(1000).end()
    assert right > 500 and temp == 0
    while_it_goes = ask(3000)
    time.sleep(1)  # in the middle: the program has no other sign
    server.stop()
    right, temp = while_it_goes.end()
    assert right > 0 and temp > 0
    right, temp = ask(500).end()
    assert right == 0 and temp > 0
    while_it_comes = None if kind in ("redis", "memcache") else ask(6000)  # those come back empty
    server.start()
    if while_it_comes is None:
        put(settings, table, "always@far.test", VALUE)
        while_it_comes = ask(1000)
    right, temp = while_it_comes.end()
    assert right > 0
    right, temp = ask(1000).end()
    assert right > 500 and temp == 0
    if kind in ("tcp", "socketmap"):
        server.close()


def test_a_reject_table_at_a_server_that_goes_and_comes(postern, redis, memcached):
    mx = postern(start=False)
    servers, extra, ports = {}, "", {}
    for kind in SERVER_TYPES:
        ports[kind] = databases.free_port()
        servers[kind], table = at_server(kind, mx, redis, memcached)
        extra += smtpd_with(ports[kind], table)
        servers[kind].table_name = table
    mx.write_main("smtpd_error_sleep_time = 0\nsmtpd_soft_error_limit = 1000\nsmtpd_hard_error_limit = 1000\n"
                  "smtpd_client_connection_count_limit = 0\n")
    with (mx.config / "master.cf").open("a") as master:
        master.write(extra)
    mx.start()

    def answer(kind):
        with Session(("127.0.0.1", ports[kind])) as s:
            s.ehlo().send("MAIL FROM:<ann@client.test>").expect("250 *")
            return reply_of(s, "always@far.test")
    good = "554 5.7.1 <always@far.test>: Recipient address rejected: found there"
    later = "451 4.3.5 <always@far.test>: Recipient address rejected: Server configuration error"
    for kind in SERVER_TYPES:
        assert answer(kind) == good, kind
        hammers = [Hammer(ports[kind], "always@far.test", lambda reply: reply in (good, later)) for _ in range(8)]
        servers[kind].stop()
        wait.until(lambda: answer(kind) == later, f"{kind}: try later", 10)
        begun = time.monotonic()
        for _ in range(5):
            assert answer(kind) == later
        assert time.monotonic() - begun < 5, f"{kind}: a dead server must not cost each request much"
        for hammer in hammers:
            hammer.stop()
            assert not hammer.wrong, (kind, hammer.wrong[:3])
        servers[kind].start()
        if kind in ("redis", "memcache"):
            put(mx, servers[kind].table_name, "always@far.test", VALUE)
        wait.until(lambda: answer(kind) == good, f"{kind}: it recovers by itself", 20)
        assert any(f"{servers[kind].port}: {why}" in line for line in mx.log.lines()
                   for why in ("Connection refused", "lost connection")), kind
    for kind in ("tcp", "socketmap"):
        servers[kind].close()


# ---- redis in full ----

def test_redis_with_tls_a_password_a_database_and_expiry(settings, redis):
    file, mx = settings.config / "full.cf", settings
    base = (f"hosts = localhost:{redis.tls_port}\npassword = secret\ndatabase = 3\nkey_format = x:%s\nttl = 100\n"
            f"tls = yes\ntls_ca_file = {redis.ca}\ntls_cert_file = {redis.cert}\ntls_key_file = {redis.key}\n")
    table = f"redis:{file}"
    file.write_text(base)
    put(mx, table, "Key", "a value")
    assert mx.command("postmap", "-q", "KEY", table).stdout == "a value\n"
    assert 90 < int(redis.command("-n", "3", "TTL", "x:key")) <= 100
    assert mx.command("postmap", "-d", "key", table).returncode == 0
    assert mx.command("postmap", "-q", "key", table, check=False).returncode == 1
    for change, why in ((("tls_ca_file = " + str(redis.ca), "tls_ca_file = " + str(redis.wrong_ca)), "verif"),
                        (("tls = yes", "tls = yes\ntls_server_name = other.test"), "verif"),
                        (("secret", "wrong"), "WRONGPASS"), (("tls_cert_file", "# tls_cert_file"), ""),
                        (("database = 3", "database = 99"), "DB index is out of range")):
        file.write_text(base.replace(*change))
        result = mx.command("postmap", "-q", "key", table, check=False)
        assert result.returncode == 1 and "fatal: " in result.stderr and why in result.stderr, (change, result.stderr)
    file.write_text(f"hosts = unix:{redis.socket}\npassword = secret\ndatabase = 3\n")
    put(mx, table, "k", "v")
    assert mx.command("postmap", "-q", "k", table).stdout == "v\n"
