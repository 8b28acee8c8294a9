# SPDX-License-Identifier: Apache-2.0
"""Tables in databases: pgsql, mysql, sqlite, ldap, asked of real servers."""
import concurrent.futures
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile

import pytest

from world import databases, wait
from world.session import Session

# key, results
ENTRIES = [
    ("ann@example.test", ["ann@box.test"]),
    ("list@example.test", ["a@box.test", "b@box.test"]),
    ("it's@example.test", ["quote@box.test"]),
    ("back\\slash@example.test", ["slash@box.test"]),
    ("per%cent@example.test", ["percent@box.test"]),
    ("star*(x)@example.test", ["star@box.test"]),
    ("com,ma=x+y@example.test", ["comma@box.test"]),
    ("empty@example.test", [""]),
    ("null@example.test", [None]),
    ("gap@example.test", ["x@box.test", "", "y@box.test"]),
    ("example.test", ["ok"]),
    ("bad@example.test", ["REJECT not this one"]),
    ("hold@example.test", ["HOLD"]),
    ("far.test", ["discard:"]),
    ("far@far.test", ["discard:"]),
    ("plain", ["plain@box.test"]),
]
INJECTIONS = [
    "'", "''", "' OR '1'='1", "'; DROP TABLE t; --", "\\", "\\'", "\\' OR 1=1 -- ", "%", "%s", "_", "*", "ann@*",
    "(", ")", "*)(maildrop=*", "ann@example.test)(|(maildrop=*", "\"", "$(id)", "a\\2a", "x' UNION SELECT v FROM t --",
    "ann@example.test' -- ", "nobody@example.test", "a" * 5000,
]


class Table:
    """One type: where its data is, and the settings of a table that finds it."""

    def __init__(self, request, folder):
        self.request, self.dir = request, pathlib.Path(folder)

    def settings(self, **changes):
        base = self.base()
        base.update(changes)
        return "".join(f"{name} = {value}\n" for name, value in base.items() if value is not None)

    def write(self, name="t.cf", **changes):
        """Settings in a file; returns TYPE:FILE."""
        path = self.dir / name
        path.write_text(self.settings(**changes))
        return f"{self.type}:{path}"

    def rows(self):
        return [(key, value) for key, values in ENTRIES for value in values]

    def insert(self):
        def text(value):
            return "NULL" if value is None else "'" + value.replace("'", "''") + "'"
        return "".join(f"INSERT INTO t VALUES ({text(k)}, {text(v)});\n" for k, v in self.rows())

    def stop(self):
        self.server.stop()

    def start(self):
        self.server.start()


class Pgsql(Table):
    type, library = "pgsql", "libpq.so"
    setup = "CREATE TABLE IF NOT EXISTS t (k text, v text); GRANT ALL ON t TO mail; TRUNCATE t;"

    def __init__(self, request, folder):
        super().__init__(request, folder)
        self.server = request.getfixturevalue("postgres")
        for database in ("mail", "tls"):
            self.server.sql(self.setup + self.insert(), database)

    def base(self):
        return {"hosts": f"127.0.0.1:{self.server.port}", "user": "mail", "password": "secret", "dbname": "mail",
                "query": "SELECT v FROM t WHERE k = '%s'"}


class Mysql(Table):
    type, library = "mysql", "libmariadb.so"

    def __init__(self, request, folder):
        super().__init__(request, folder)
        self.server = request.getfixturevalue("maria")
        self.server.sql("CREATE TABLE IF NOT EXISTS t (k varchar(200), v varchar(200)); TRUNCATE t;" +
                        self.insert().replace("\\", "\\\\") +
                        "CREATE OR REPLACE PROCEDURE none(IN x varchar(200)) SET @a = 1;"
                        "CREATE OR REPLACE PROCEDURE one(IN x varchar(200)) SELECT v FROM t WHERE k = x;"
                        "\nDELIMITER //\nCREATE OR REPLACE PROCEDURE two(IN x varchar(200)) BEGIN SELECT 1; SELECT 2; END//\n")

    def base(self):
        return {"hosts": f"127.0.0.1:{self.server.port}", "user": "mail", "password": "secret", "dbname": "mail",
                "query": "SELECT v FROM t WHERE k = '%s'"}


class Sqlite(Table):
    type, library = "sqlite", "libsqlite3.so"

    def __init__(self, request, folder):
        super().__init__(request, folder)
        self.path = self.dir / "db"
        self.make()

    def make(self):
        with sqlite3.connect(self.path) as db:
            db.executescript("CREATE TABLE t (k, v);" + self.insert())
        db.close()

    def base(self):
        return {"dbpath": self.path, "query": "SELECT v FROM t WHERE k = '%s'"}

    def stop(self):
        with sqlite3.connect(self.path) as db:
            db.execute("ALTER TABLE t RENAME TO away")
        db.close()

    def start(self):
        with sqlite3.connect(self.path) as db:
            db.execute("ALTER TABLE away RENAME TO t")
        db.close()


class Ldap(Table):
    type, library = "ldap", "libldap-2.5.so"

    def __init__(self, request, folder):
        super().__init__(request, folder)
        self.server = request.getfixturevalue("openldap")
        self.server.run("ldapadd", "-x", "-c", "-D", "cn=admin,dc=test", "-w", "admin", "-H", self.server.url(),
                        stdin=self.ldif()) if not self.is_filled() else None

    def is_filled(self):
        return "ann@example.test" in self.server.run(
            "ldapsearch", "-x", "-LLL", "-D", "cn=admin,dc=test", "-w", "admin", "-H", self.server.url(), "-b", "dc=test",
            "(mailacceptinggeneralid=ann@example.test)", "mailacceptinggeneralid")

    @staticmethod
    def entry(name, lines):
        head = ["objectClass: organizationalRole", "objectClass: extensibleObject", f"cn: {name}"]
        return "\n".join([f"dn: cn={name},dc=test", *head, *lines]) + "\n\n"

    def ldif(self):
        text = ""
        for number, (key, values) in enumerate(ENTRIES):
            values = [f"maildrop: {value}" for value in values if value]
            text += self.entry(f"n{number}", [f"mailacceptinggeneralid: {key}", *values])
        text += self.entry("one", ["mail: one@group.test", "maildrop: one@box.test"])
        text += self.entry("two", ["mail: two@group.test", "maildrop: two@box.test"])
        text += self.entry("group", [
            "mail: group@group.test", "mailacceptinggeneralid: group", "memberdn: cn=one,dc=test",
            "memberdn: cn=gone,dc=test", "memberurl: ldap:///dc=test?maildrop,mail?one?(cn=two)",
            "maildrop: group@box.test"])
        text += self.entry("loop", ["mailacceptinggeneralid: loop", "memberdn: cn=loop,dc=test"])
        return text

    def base(self):
        return {"server_host": self.server.url(), "search_base": "dc=test", "query_filter": "mailacceptinggeneralid=%s",
                "bind_dn": "cn=reader,dc=test", "bind_pw": "secret", "result_attribute": "maildrop", "version": 3}


KINDS = {kind.type: kind for kind in (Pgsql, Mysql, Sqlite, Ldap)}


@pytest.fixture(scope="module")
def tables(request):
    """tables("pgsql"): the table of that type, filled once."""
    made, folder = {}, pathlib.Path(tempfile.mkdtemp(prefix="tables-"))
    os.chmod(folder, 0o755)

    def make(kind):
        if kind not in made:
            (folder / kind).mkdir()
            made[kind] = KINDS[kind](request, folder / kind)
        return made[kind]

    yield make
    shutil.rmtree(folder)


class Postmap:
    def __init__(self, program, config):
        self.program, self.config = program, config

    def run(self, *args, stdin=None):
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0:abort_on_error=1")
        return subprocess.run([self.program, "-c", self.config, *map(str, args)], input=stdin, capture_output=True,
                              env=env, timeout=60)

    def query(self, table, key):
        """The answer, None when there is none; an error is a text that begins with "error"."""
        done = self.run("-q", key, table)
        errors = done.stderr.decode("utf-8", "replace")
        if done.returncode not in (0, 1) or "Sanitizer" in errors:
            raise AssertionError(errors)
        if "fatal: " in errors:
            return "error " + errors
        return done.stdout.decode().rstrip("\n") if done.returncode == 0 else None


@pytest.fixture(scope="module")
def postmap(stage, pytestconfig, tmp_path_factory):
    """Ours, and the reference's as .reference."""
    config = tmp_path_factory.mktemp("postmap")
    (config / "main.cf").write_text("compatibility_level = 3.6\n")
    reference = Postmap("/usr/sbin/postmap", config)
    ours = Postmap(stage / "usr/sbin/postmap", config)
    postmap = reference if pytestconfig.getoption("--mta") == "reference" else ours
    postmap.reference = reference
    return postmap


def lines_of(run):
    assert run.returncode in (0, 1), run.stderr
    assert b"fatal" not in run.stderr, run.stderr
    return run.stdout.decode().splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_finds_what_is_there_and_no_injection_finds_more(tables, postmap, kind):
    table = tables(kind)
    name = table.write()
    keys = [key for key, _ in ENTRIES] + INJECTIONS
    want = [f"{key}\t{','.join(v for v in values if v)}" for key, values in ENTRIES if any(values)]
    stdin = "".join(key + "\n" for key in keys).encode()
    assert lines_of(postmap.run("-q", "-", name, stdin=stdin)) == want
    assert lines_of(postmap.reference.run("-q", "-", name, stdin=stdin)) == want
    # None of them broke anything.
    assert postmap.query(name, "ann@example.test") == "ann@box.test"
    assert postmap.query(name, b"caf\xe9") is None


def test_letters_beyond_ascii(tables, postmap):
    key = "jürgen@straße.test"
    for kind in ("pgsql", "mysql", "sqlite"):
        name = tables(kind).write("utf8.cf", query="SELECT '%s:%u:%d'")
        if postmap.program == "/usr/sbin/postmap" and kind == "pgsql":
            continue  # an encoding that cannot hold it
        assert postmap.query(name, key) == f"{key}:jürgen:straße.test", kind


E_LIMIT, E_ANY = "error *xpansion limit*", "error *"
A, L = "ann@example.test", "list@example.test"
SQL_CASES = [
    ({"result_format": "<%s>"}, A, "<ann@box.test>"),
    ({"result_format": "smtp:[%d]"}, L, "smtp:[box.test],smtp:[box.test]"),
    ({"result_format": "%u %S %U %D %1 %%"}, A, "ann ann@example.test ann example.test test %"),
    ({"result_format": "%s %D"}, "plain", None),
    ({"result_format": "%s %3"}, A, None),
    ({"expansion_limit": "2"}, L, "a@box.test,b@box.test"),
    ({"expansion_limit": "1"}, L, E_LIMIT),
    ({"domain": "example.test"}, A, "ann@box.test"),
    ({"domain": "example.test"}, "plain", None),
    ({"domain": "example.test"}, "example.test", None),
    ({"domain": "other.test, test"}, A, None),
    ({"domain": "fail:x"}, A, E_ANY),
    ({"query": "SELECT '[%u|%d|%1|%2]'"}, A, "[ann|example.test|test|example]"),
    ({"query": "SELECT '[%d]'"}, "plain", None),
    ({"query": "SELECT '[%u]'"}, "@example.test", None),
    ({"query": "SELECT '[%u]'"}, "plain", "[plain]"),
    ({"query": "SELECT '100%%'"}, A, "100%"),
    ({"query": "SELECT '%x'"}, A, E_ANY),
    ({"query": "SELECT v FROM nosuch"}, A, E_ANY),
    ({"query": None, "select_field": "v", "table": "t", "where_field": "k", "additional_conditions": "AND v LIKE 'b%%'"},
     L, "b@box.test"),
    ({"query": None}, A, E_ANY),
    ({"expansion_limit": "many"}, A, E_ANY),
]
SERVER_CASES = [
    ({"query": "SELECT k, v FROM t WHERE k = '%s'"}, A, "ann@example.test,ann@box.test"),
    ({"password": "wrong"}, A, E_ANY),
    ({"hosts": "127.0.0.1:1 127.0.0.1:{port}"}, A, "ann@box.test"),
    ({"hosts": "inet:127.0.0.1:1, inet:127.0.0.1:{port}"}, A, "ann@box.test"),
    ({"hosts": "127.0.0.1:1"}, A, E_ANY),
    ({"dbname": ""}, A, E_ANY),
]
CASES = {
    "sqlite": SQL_CASES + [
        ({"dbpath": "/nonexistent/db"}, A, E_ANY),
        ({"dbpath": ""}, A, E_ANY),
        ({"query": "SELECT k, v FROM t WHERE k = '%s'"}, A, "ann@example.test"),
        ({"query": "SELECT x'636166e9'"}, A, E_ANY),
    ],
    "pgsql": SQL_CASES + SERVER_CASES + [
        ({"hosts": "postgresql://mail:secret@/mail?host={socket_dir}&port={port}"}, A, "ann@box.test"),
        ({"hosts": "postgresql://mail:secret@127.0.0.1:{port}/mail"}, A, "ann@box.test"),
        ({"hosts": "postgresql://mail:secret@localhost:{port}/tls?sslmode=verify-full&sslrootcert={ca}"}, A,
         "ann@box.test"),
        ({"hosts": "postgresql://mail:secret@localhost:{port}/mail?sslmode=verify-full&sslrootcert={wrong_ca}"}, A, E_ANY),
        ({"hosts": "postgresql://mail:secret@127.0.0.1:{port}/tls?sslmode=disable"}, A, E_ANY),
        ({"query": None, "select_function": "upper"}, A, "ANN@EXAMPLE.TEST"),
        ({"query": "SELECT 1; SELECT 2"}, A, "2"),
        ({"query": "SET LOCAL enable_sort = on"}, A, None),
    ],
    "mysql": SQL_CASES + SERVER_CASES + [
        ({"hosts": "unix:{socket}"}, A, "ann@box.test"),
        ({"tls_CAfile": "{ca}"}, A, "ann@box.test"),
        ({"tls_CAfile": "{ca}", "tls_verify_cert": "yes"}, A, "ann@box.test"),
        ({"tls_CAfile": "{wrong_ca}"}, A, E_ANY),
        ({"tls_CAfile": "{wrong_ca}", "tls_verify_cert": "yes"}, A, E_ANY),
        ({"tls_verify_cert": "yes"}, A, E_ANY),
        ({"user": "tlsmail"}, A, E_ANY),
        ({"user": "tlsmail", "tls_CAfile": "{ca}"}, A, "ann@box.test"),
        ({"query": "CALL one('%s')"}, L, "a@box.test,b@box.test"),
        ({"query": "CALL two('%s')"}, A, E_ANY),
        ({"query": "CALL none('%s')"}, A, E_ANY),
        ({"query": "CALL none('%s')", "require_result_set": "no"}, A, None),
        ({"hosts": "127.0.0.1", "option_file": "{options}", "option_group": "own"}, A, "ann@box.test"),
        ({"hosts": "127.0.0.1", "option_file": "{options}", "option_group": "other"}, A, E_ANY),
    ],
    "ldap": [
        ({"result_format": "<%s>"}, A, "<ann@box.test>"),
        ({"result_filter": "<%s>"}, A, "<ann@box.test>"),
        ({"result_filter": "<%s>", "result_format": "[%u]"}, A, "[ann]"),
        ({"result_format": "%s %D"}, "plain", None),
        ({"expansion_limit": "2"}, L, "a@box.test,b@box.test"),
        ({"expansion_limit": "1"}, L, E_LIMIT),
        ({"size_limit": "1", "query_filter": "(|(maildrop=*)(cn=%s))"}, A, E_ANY),
        ({"domain": "example.test"}, A, "ann@box.test"),
        ({"domain": "other.test"}, A, None),
        ({"query_filter": "(&(mailacceptinggeneralid=%u@%d)(cn=*))"}, A, "ann@box.test"),
        ({"query_filter": "cn=%d"}, "plain", None),
        ({"query_filter": "cn=%y"}, A, E_ANY),
        ({"query_filter": "(mail=%s"}, A, E_ANY),
        ({"search_base": "dc=%1"}, A, "ann@box.test"),
        ({"search_base": "ou=none,dc=test"}, A, E_ANY),
        ({"search_base": "ou=none,dc=%1"}, A, None),
        ({"search_base": "cn=%s,dc=test", "query_filter": "cn=%s", "scope": "base"}, "one", "one@box.test"),
        ({"search_base": "cn=%s,dc=test", "query_filter": "cn=%s", "scope": "base"}, "one,dc=test", None),
        ({"scope": "base"}, A, None),
        ({"scope": "one"}, A, "ann@box.test"),
        ({"bind_pw": "wrong"}, A, E_ANY),
        ({"bind": "no"}, A, E_ANY),
        ({"bind": "maybe"}, A, E_ANY),
        ({"bind": "sasl", "sasl_mechs": "EXTERNAL", "bind_dn": "", "server_host": "{ldapi}"}, A, "ann@box.test"),
        ({"server_host": "{ldapi}"}, A, "ann@box.test"),
        ({"server_host": "127.0.0.1", "server_port": "{port}"}, A, "ann@box.test"),
        ({"server_host": "127.0.0.1:1 127.0.0.1:{port}"}, A, "ann@box.test"),
        ({"server_host": "ldap://127.0.0.1:1"}, A, E_ANY),
        ({"server_host": "{ldaps}"}, A, "ann@box.test"),
        ({"server_host": "{ldaps}", "tls_require_cert": "yes", "tls_ca_cert_file": "{ca}"}, A, "ann@box.test"),
        ({"server_host": "{ldaps}", "tls_require_cert": "yes", "tls_ca_cert_file": "{wrong_ca}"}, A, E_ANY),
        ({"start_tls": "yes", "tls_require_cert": "yes", "tls_ca_cert_file": "{ca}"}, A, "ann@box.test"),
        ({"start_tls": "yes", "tls_require_cert": "yes", "tls_ca_cert_file": "{wrong_ca}"}, A, E_ANY),
        ({"special_result_attribute": "memberdn memberurl"}, "group", "one@box.test,two@box.test,group@box.test"),
        ({"special_result_attribute": "memberdn memberurl", "result_attribute": "", "leaf_result_attribute": "maildrop"},
         "group", "one@box.test,two@box.test"),
        ({"special_result_attribute": "memberdn", "result_attribute": "", "leaf_result_attribute": "mail",
          "terminal_result_attribute": "maildrop"}, "group", "group@box.test"),
        ({"special_result_attribute": "memberdn", "recursion_limit": "1"}, "group", E_ANY),
        ({"special_result_attribute": "memberdn", "recursion_limit": "20"}, "loop", E_ANY),
        ({"dereference": "3", "chase_referrals": "yes"}, A, "ann@box.test"),
        ({"cache": "yes", "cache_size": "1"}, A, "ann@box.test"),
    ],
}


def filled_in(table, changes):
    """The settings with the places and files of this run."""
    names = {"socket_dir": "", "socket": "", "port": "", "ca": "", "wrong_ca": "", "ldapi": "", "ldaps": "",
             "options": table.dir / "options.cnf"}
    server = getattr(table, "server", None)
    if server:
        names.update(port=server.port, ca=server.ca, wrong_ca=server.wrong_ca, socket=server.socket,
                     socket_dir=server.socket_dir)
    if table.type == "ldap":
        names.update(ldapi=server.url("ldapi"), ldaps=server.url("ldaps"))
    return {name: value if value is None else value.format(**names) for name, value in changes.items()}


@pytest.mark.parametrize("kind", CASES)
def test_every_setting_means_what_it_means_to_the_reference(tables, postmap, kind):
    table = tables(kind)
    port = getattr(table, "server", None) and table.server.port
    (table.dir / "options.cnf").write_text(f"[own]\nport = {port}\n[other]\nport = 1\n")

    def ask(case):
        number, (changes, key, want) = case
        name = table.write(f"case{number}.cf", **filled_in(table, changes))
        return changes, key, want, postmap.query(name, key), postmap.reference.query(name, key)

    # The reference sleeps when it fails: ask side by side.
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, enumerate(CASES[kind])))
    for changes, key, want, *both in answers:
        for who, got in zip(("we", "the reference"), both):
            if want is not None and want.startswith("error"):
                assert got is not None and got.startswith("error"), (who, changes, key, got)
            else:
                assert got == want, (who, changes, key, got)


@pytest.mark.parametrize("kind", CASES)
def test_settings_may_be_in_main_cf(tables, postmap, kind, tmp_path):
    table = tables(kind)
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n" + "".join(
        f"own_{line}\n" for line in table.settings().splitlines()))
    for program in (postmap.program, postmap.reference.program):
        assert Postmap(program, tmp_path).query(f"{kind}:own", A) == "ann@box.test"


@pytest.mark.postern_only("the reference does not say")
def test_misspelt_settings_are_said(tables, postmap):
    for kind, bad, good in (("pgsql", "qurey", "query"), ("mysql", "tls_CAFile", "tls_CAfile"),
                            ("sqlite", "dbpaht", "dbpath"), ("ldap", "result_atribute", "result_attribute")):
        done = postmap.run("-q", A, tables(kind).write("bad.cf", **{bad: "x"}))
        assert done.stdout.decode() == "ann@box.test\n", done.stderr
        assert f'no setting "{bad}"; did you mean "{good}"?' in done.stderr.decode()


@pytest.mark.postern_only("the reference takes neither")
def test_more_ways_to_reach_a_server(tables, postmap):
    """PostgreSQL by the path of its socket; MariaDB with a password from the option file."""
    pgsql, mysql = tables("pgsql"), tables("mysql")
    assert postmap.query(pgsql.write("path.cf", hosts=f"unix:{pgsql.server.socket}"), A) == "ann@box.test"
    (mysql.dir / "password.cnf").write_text("[client]\npassword = secret\n")
    assert postmap.query(mysql.write("password.cf", password=None, option_file=mysql.dir / "password.cnf"), A) == \
        "ann@box.test"


@pytest.mark.postern_only("the reference waits much longer")
def test_silent_servers_do_not_hold_anybody_up(tables, postmap):
    """One that never answers: in time an error; with another one beside it, its answer."""
    silent = databases.Silent()

    def ask(kind):
        table = tables(kind)
        where = {"ldap": "server_host"}.get(kind, "hosts")
        good = f"127.0.0.1:{table.server.port}"
        short = {"timeout": 2} if kind == "ldap" else {}
        both = table.write("both.cf", **{where: f"127.0.0.1:{silent.port} {good}"}, **short)
        alone = table.write("alone.cf", **{where: f"127.0.0.1:{silent.port}"}, **short)
        return [databases.seconds(lambda t=t: postmap.query(t, A)) for t in (both, alone)]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for kind, (both, alone) in zip(("pgsql", "mysql", "ldap"), pool.map(ask, ("pgsql", "mysql", "ldap"))):
            assert both[1] == "ann@box.test", kind
            assert alone[1].startswith("error"), kind
            assert max(both[0], alone[0]) < 25, (kind, both, alone)
    silent.close()


def stress(kind_table, name, ms, *pairs):
    """50 threads of one process; "right N temp N wrong N ms N"."""
    config = kind_table.dir / "stress"
    config.mkdir(exist_ok=True)
    (config / "main.cf").write_text("compatibility_level = 3.6\n")
    program = pathlib.Path(os.environ["POSTERN_BUILD"]) / "tests/unit/map/map_stress"
    return subprocess.Popen([program, config, "50", str(ms), name, *pairs], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True,
                            env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0:abort_on_error=1"))


def counts_of(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out, err)
    words = out.split()
    return dict(zip(words[::2], map(int, words[1::2])))


PAIRS = [A, "ann@box.test", L, "a@box.test,b@box.test", "nobody@example.test", "-", "' OR 1=1 --", "-"]


@pytest.mark.postern_only("threads")
@pytest.mark.parametrize("kind", KINDS)
def test_fifty_threads_ask_at_once(tables, kind):
    counts = counts_of(stress(tables(kind), tables(kind).write(), 1000, *PAIRS))
    assert counts["temp"] == 0 and counts["right"] > 500, counts


@pytest.mark.postern_only("threads")
@pytest.mark.parametrize("kind", ["pgsql", "mysql", "ldap"])
def test_a_server_that_ends_under_load_is_try_later_until_it_is_back(tables, kind):
    table = tables(kind)
    process = stress(table, table.write(), 4000, *PAIRS)
    table.stop()
    table.start()
    counts = counts_of(process)
    assert counts["temp"] > 0 and counts["right"] > 500, counts


SERVICES = """\
{port}  inet  n  -  n  -  -  smtpd
  -o smtpd_recipient_restrictions=check_recipient_access,{access},permit
"""


def rcpt(port, address):
    with Session(("127.0.0.1", port)) as s:
        s.ehlo()
        s.send("MAIL FROM:<>").expect("250 *")
        return s.send(f"RCPT TO:<{address}>").read_reply()


@pytest.mark.parametrize("kind", KINDS)
def test_a_running_server(tables, postern, pytestconfig, kind):
    """Its lists, its access tables, its aliases and its routes are in the database."""
    table = tables(kind)
    reference = pytestconfig.getoption("--mta") == "reference"
    name = table.write()
    port = databases.free_port()
    mx = postern(f"""
        mydestination = proxy:{name}
        local_recipient_maps =
        virtual_alias_maps = {name}
        transport_maps = {name}
        relay_domains = box.test
        default_transport = discard
        relay_transport = discard
        minimal_backoff_time = 1s
        queue_run_delay = 1s
        smtpd_client_connection_count_limit = 0
    """, extra_master=SERVICES.format(port=port, access=name))
    with mx.session() as s:
        s.ehlo().mail("", L)
    mx.log.wait(f"to=<b@box.test>, orig_to=<{L}>*status=sent*")
    assert rcpt(port, "free@example.test").startswith("250 ")
    assert rcpt(port, "bad@example.test").startswith("554 5.7.1 <bad@example.test>: Recipient address rejected: not this one")
    # Nothing that a client says is anything but text.
    for key in ("'or'1'='1", "a*", "\"a'; drop table t; --\"", "\"a\\\\'\"", "%s%n", "\"a)(maildrop=*\""):
        assert rcpt(port, f"{key}@example.test").startswith("250 "), key
    if not reference:
        loaded = {pid: pathlib.Path(f"/proc/{pid}/maps").read_text() for pid in mx.pids("smtpd")}
        assert all(table.library in maps for maps in loaded.values()), loaded.keys()
        others = {other.library for other in KINDS.values() if other is not KINDS[kind]}
        others -= {"libldap-2.5.so"} if kind == "pgsql" else set()  # libpq brings it
        assert not any(library in maps for maps in loaded.values() for library in others)

    with Session(("127.0.0.1", port)) as s:
        held = s.ehlo().mail("", "hold@example.test")
    if reference and kind == "sqlite":
        return  # its servers end when SQL is bad
    table.stop()
    try:
        wait.until(lambda: rcpt(mx.port, A).startswith("451 4.3.0"), "451 of a table that fails", 20)
        assert rcpt(port, "free@example.test").startswith("451 4.3.")
        mx.log.wait(f"*warning: *{kind}:*")
        if reference:
            return  # it takes a minute to recover
        mx.command("postsuper", "-H", "ALL")
        mx.log.wait(f"{held}: to=<*status=deferred*")
        mx.sendmail("-f", "", "far@far.test", text="Subject: later\n\nx\n")
        mx.log.wait(f"*far@far.test*{kind}:*")
        assert not mx.log.has("*to=<far@far.test>*status=sent*")
    finally:
        table.start()
    mx.log.wait("*to=<far@far.test>*status=sent*", 60)
    mx.log.wait(f"{held}: to=<*status=sent*", 60)
    wait.until(lambda: rcpt(mx.port, A).startswith("250 "), "recovery", 60)
    assert rcpt(port, "bad@example.test").startswith("554 ")


@pytest.mark.postern_only("the reference's libraries are its own business")
def test_no_client_library_without_a_table_that_needs_it(postern):
    mx = postern("mydestination = example.test\nlocal_recipient_maps = inline:{ann=x}\n")
    assert rcpt(mx.port, "ann@example.test").startswith("250 ")
    pids = [pid for name in ("smtpd", "qmgr", "pickup", "bounce", "local") for pid in mx.pids(name)]
    assert pids
    for pid in pids:
        maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
        assert not [kind.library for kind in KINDS.values() if kind.library in maps]


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_addresses_are_asked_for_when_the_query_has_all_of_the_key(tables, postern, kind):
    """check_recipient_access asks for user@domain, domain and so on, unless %s is not in the query."""
    table = tables(kind)
    if kind == "ldap":
        full = table.write("full.cf", query_filter="mailacceptinggeneralid=%s", result_format="REJECT full")
        part = table.write("part.cf", query_filter="mailacceptinggeneralid=%d", result_format="REJECT part")
    else:
        full = table.write("full.cf", query="SELECT 'REJECT full' FROM t WHERE k = '%s'")
        part = table.write("part.cf", query="SELECT 'REJECT part' FROM t WHERE k = '%d'")
    full_port, part_port = databases.free_port(), databases.free_port()
    services = SERVICES.format(port=full_port, access=full) + SERVICES.format(port=part_port, access=part)
    postern("mydestination = example.test, sub.example.test\nlocal_recipient_maps =\nrecipient_delimiter = +\n"
            "parent_domain_matches_subdomains = smtpd_access_maps\n",
            extra_master=services)
    got = {(port, who): rcpt(port, who)[:3] for port in (full_port, part_port)
           for who in ("ann+x@example.test", "x@sub.example.test", "x@example.test")}
    assert {who: code for (port, who), code in got.items() if port == full_port} == {
        "ann+x@example.test": "554", "x@sub.example.test": "554", "x@example.test": "554"}
    assert {who: code for (port, who), code in got.items() if port == part_port} == {
        "ann+x@example.test": "554", "x@sub.example.test": "250", "x@example.test": "554"}
