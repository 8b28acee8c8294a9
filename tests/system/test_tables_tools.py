# SPDX-License-Identifier: Apache-2.0
"""postmap and postalias beside Debian's: the same questions and flags, and files that both can read."""
import os
import pty
import subprocess
import threading
import time

import pytest

FILES = ["hash", "btree", "lmdb", "cdb"]
SUFFIX = {"hash": "db", "btree": "db", "lmdb": "lmdb", "cdb": "cdb"}
MAIL = b"""From: A <a@b>
Subject: Hello
 folded subject
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="xx"

preamble
--xx
Content-Type: text/plain
X-Part: p1

body one
 indented
--xx
Content-Type: message/rfc822

Subject: inner
X-Inner: i

inner body
--xx--
epilogue
"""
pytestmark = pytest.mark.postern_only("runs both servers' tools itself")


@pytest.fixture
def tools(stage, tmp_path):
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    own = {name: stage / "usr/sbin" / name for name in ("postmap", "postalias")}

    def call(name, *args, reference=False, status=0, text=b"", **options):
        path = f"/usr/sbin/{name}" if reference else own[name]
        done = subprocess.run([path, "-c", tmp_path, *args], input=text, capture_output=True,
                              cwd=tmp_path, timeout=120, **options)
        assert done.returncode == status, done.stderr
        call.err = done.stderr.decode()
        return done.stdout

    call.folder, call.own = tmp_path, own
    return call


@pytest.mark.parametrize("kind", FILES)
def test_files_go_both_ways(tools, kind):
    lines = "".join(f"Key{i}@Example.test  value {i}\n" for i in range(3000))
    (tools.folder / "mine").write_text(lines)
    (tools.folder / "theirs").write_text(lines)
    tools("postmap", f"{kind}:mine")
    tools("postmap", f"{kind}:theirs", reference=True)
    questions = b"key0@example.test\nKEY2999@example.test\nnobody\nkey17@example.test\n"
    answers = {tools("postmap", "-q", "-", f"{kind}:{table}", reference=reference, text=questions)
               for table in ("mine", "theirs") for reference in (True, False)}
    assert len(answers) == 1 and answers.pop().count(b"\n") == 3
    lists = {tuple(sorted(tools("postmap", "-s", f"{kind}:{table}", reference=reference).splitlines()))
             for table, reference in (("mine", False), ("theirs", False))}
    if kind != "cdb":  # the reference of this version cannot list it
        for table in ("mine", "theirs"):
            listed = tools("postmap", "-s", f"{kind}:{table}", reference=True)
            lists.add(tuple(sorted(listed.splitlines())))
        tools("postmap", "-d", "key5@example.test", f"{kind}:mine", reference=True)
        assert tools("postmap", "-q", "key5@example.test", f"{kind}:mine", status=1) == b""
        tools("postmap", "-i", f"{kind}:theirs", text=b"added  here\n")
        assert tools("postmap", "-q", "added", f"{kind}:theirs", reference=True) == b"here\n"
    assert len(lists) == 1 and len(lists.pop()) == 3000


@pytest.mark.parametrize("flags", ["-h", "-b", "-hb", "-hm", "-bm", "-hbm"])
def test_lines_of_a_message_are_keys(tools, flags):
    (tools.folder / "all").write_text("/./ YES\n")
    args = (flags, "-q", "-", "regexp:all")
    assert tools("postmap", *args, text=MAIL) == tools("postmap", *args, text=MAIL, reference=True)


@pytest.mark.parametrize("name, args, status, text", [
    ("postmap", ["-q", "b", "hash:t"], 0, b""), ("postmap", ["-q", "nobody", "hash:t"], 1, b""),
    ("postmap", ["-q", "B", "hash:t"], 0, b""), ("postmap", ["-fq", "B", "hash:t"], 1, b""),
    ("postmap", ["-q", "-", "hash:t"], 0, b"a\nx\n b\nb\n"), ("postmap", ["-q", "-", "hash:t"], 1, b"x\n"),
    ("postmap", ["-q", "b", "hash:t2", "hash:t"], 0, b""), ("postmap", ["-s", "hash:t2"], 0, b""),
    ("postmap", ["-d", "b", "hash:t"], 0, b""), ("postmap", ["-d", "x", "hash:t"], 1, b""),
    ("postmap", ["-d", "-", "hash:t"], 0, b"x\nb\n"), ("postmap", ["-d", "-", "hash:t"], 1, b"x\n"),
    ("postmap", ["-i", "hash:t"], 0, b"new v\nb 9\n"), ("postmap", ["-ir", "hash:t"], 0, b"b 9\n"),
    ("postmap", ["-iw", "hash:t"], 0, b"b 9\n"), ("postmap", ["-q", "b", "-d", "b", "hash:t"], 1, b""),
    ("postmap", ["-b", "-q", "x", "regexp:t"], 1, b""), ("postmap", ["-Fq", "b64", "hash:t"], 0, b""),
    ("postmap", ["-q", "a", "inline:{a=b}"], 0, b""), ("postmap", ["-q", "", "hash:t"], 1, b""),
    ("postmap", ["-N", "hash:t"], 0, b""), ("postmap", ["-n", "hash:t"], 0, b""),
    ("postmap", ["hash:dup"], 0, b""), ("postmap", ["-r", "hash:dup"], 0, b""),
    ("postmap", ["-w", "hash:dup"], 0, b""), ("postmap", ["hash:nosuch"], 1, b""),
    ("postmap", ["-q", "x", "nosuch:t"], 1, b""), ("postmap", ["-Z", "hash:t"], 1, b""),
    ("postalias", ["hash:al"], 0, b""), ("postalias", ["-q", "Root", "hash:al2"], 0, b""),
    ("postalias", ["-i", "hash:al2"], 0, b"new: a, b\n"), ("postalias", ["-d", "root", "hash:al2"], 0, b""),
    ("postalias", ["-b", "hash:al"], 1, b""),
])
def test_flags_do_what_the_reference_s_do(tools, name, args, status, text):
    """The answer, the status, and what is in the tables afterwards."""
    outcomes = []
    for reference in (True, False):
        for old in tools.folder.glob("*.db"):
            old.unlink()
        files = {"t": "a 1\nb two words\nc\t3\nB64 dGV4dA==\n", "t2": "z 26\n",
                 "dup": "k first\nj x\nK second\nbad\n\"open v\n",
                 "al": "root: jo, ann\nroot: x\n\"a b\": c\nempty:\nlist: :include:/x\n",
                 "al2": "Root: jo,  ann\n"}
        for table, content in files.items():
            (tools.folder / table).write_text(content)
        for table in ("t", "t2"):
            tools("postmap", f"hash:{table}", reference=True)
        tools("postalias", "hash:al2", reference=True)
        out = tools(name, *args, reference=reference, status=status, text=text)
        content = []
        for table in sorted(tools.folder.glob("*.db")):
            listed = tools("postmap", "-fs", f"hash:{table.stem}", reference=True).splitlines()
            content.append(sorted(line for line in listed if not line.startswith(b"YP_LAST")))
        outcomes.append((out, content))
    assert outcomes[1] == outcomes[0]


def test_duplicates_and_bad_lines_are_named(tools):
    (tools.folder / "t").write_text("a 1\n\n# c\nB 2\nb 3\n  more\nnothing\n\"x y\n")
    for kind in FILES:
        tools("postmap", f"{kind}:t")
        assert 't, line 5: duplicate entry: "b" (line 4 counts)\n' in tools.err
        assert "t, line 7: expected format: key whitespace value" in tools.err
        assert "t, line 8: unbalanced '\"'" in tools.err
        assert tools("postmap", "-q", "b", f"{kind}:t") == b"2\n"
        tools("postmap", "-r", f"{kind}:t")
        assert "duplicate" not in tools.err
        assert tools("postmap", "-q", "b", f"{kind}:t") == b"3  more\n"


def test_a_value_that_is_no_base64_is_named_and_passed_by(tools):
    (tools.folder / "b64").write_text("bad !\ngood dGV4dA==\n")
    tools("postmap", "hash:b64")
    assert tools("postmap", "-Fs", "hash:b64") == b"good\ttext\n"
    assert "key bad: the value is no base64 text" in tools.err


def test_json(tools):
    (tools.folder / "t").write_text('a 1\nb say "x"\n')
    tools("postmap", "hash:t")
    assert tools("postmap", "-jq", "b", "hash:t") == b'{"b": "say \\"x\\""}\n'
    assert sorted(tools("postmap", "-js", "hash:t").splitlines()) == [b'{"a": "1"}', b'{"b": "say \\"x\\""}']


@pytest.mark.parametrize("kind", FILES)
def test_owner_and_mode(tools, kind):
    """A table of somebody's file is made by and for that somebody; a rebuilt one keeps its rights."""
    os.chmod(tools.folder, 0o777)
    for parent in tools.folder.parents:
        if str(parent).startswith("/tmp/"):
            os.chmod(parent, 0o755)
    for reference in (True, False):
        source, table = tools.folder / "own", tools.folder / f"own.{SUFFIX[kind]}"
        table.unlink(missing_ok=True)
        source.write_text("a 1\n")
        os.chown(source, 65534, 65534)
        source.chmod(0o640)
        tools("postmap", f"{kind}:own", reference=reference)
        there = table.stat()
        assert (there.st_uid, there.st_gid, there.st_mode & 0o777) == (65534, 65534, 0o640)
    table.chmod(0o604)
    tools("postmap", f"{kind}:own")
    assert table.stat().st_mode & 0o777 == 0o604
    table.unlink()
    tools("postmap", "-po", f"{kind}:own")
    assert table.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("kind", FILES)
def test_a_reader_sees_the_old_table_or_the_new_one(tools, kind):
    source = tools.folder / "busy"
    old, new = ("".join(f"k{i} {word}\n" for i in range(20000)) for word in ("old", "new"))
    source.write_text(old)
    tools("postmap", f"{kind}:busy")
    asked = "".join(f"k{i}\n" for i in range(0, 20000, 500)).encode()
    stop, trouble = threading.Event(), []

    def read():
        while not stop.is_set():
            done = subprocess.run([tools.own["postmap"], "-c", tools.folder, "-q", "-", f"{kind}:busy"],
                                  input=asked, capture_output=True, cwd=tools.folder)
            words = {line.split(b"\t")[1] for line in done.stdout.splitlines()}
            if len(done.stdout.splitlines()) != 40 or len(words) != 1 or done.stderr:
                trouble.append((done.stdout[:100], done.stderr))

    reader = threading.Thread(target=read)
    reader.start()
    for text in (new, old, new):
        source.write_text(text)
        tools("postmap", f"{kind}:busy")
    stop.set()
    reader.join()
    assert not trouble
    assert tools("postmap", "-q", "k7", f"{kind}:busy") == b"new\n"
    assert not [p for p in tools.folder.iterdir() if "new" in p.name or "sort" in p.name]


def test_progress_on_a_terminal_only(tools):
    source = tools.folder / "large"
    source.write_text("".join(f"key{i}@example.test value{i}\n" for i in range(300000)))
    tools("postmap", "lmdb:large")
    assert tools.err == ""
    master, slave = pty.openpty()
    with subprocess.Popen([tools.own["postmap"], "-c", tools.folder, "lmdb:large"], stdin=slave, stdout=slave,
                          stderr=slave, cwd=tools.folder,
                          env=dict(os.environ, TERM="xterm")) as run:
        os.close(slave)
        shown = b""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                chunk = os.read(master, 65536)
            except OSError:
                break
            if not chunk:
                break
            shown += chunk
    os.close(master)
    assert run.returncode == 0, shown
    assert b"lmdb:large: " in shown and b"lines read, " in shown and b" %" in shown


@pytest.mark.parametrize("table, want", [
    ("hash:cut", "open database cut.db: "), ("btree:cut", "open database cut.db: "),
    ("lmdb:cut", "open database cut.lmdb: "), ("cdb:cut", "open database cut.cdb: "),
    ("hash:none", "open database none.db: No such file or directory"),
    ("regexp:none", "open none: No such file or directory"), ("nosuch:x", "unsupported dictionary type: nosuch"),
    ("hash:", "expecting \"type:name\" form instead of \"hash:\""),
])
def test_a_table_that_cannot_be_read_says_so(tools, table, want):
    for suffix in ("db", "lmdb", "cdb"):
        (tools.folder / f"cut.{suffix}").write_bytes(b"cut off" * 50)
    tools("postmap", "-q", "x", table, status=1)
    assert want in tools.err and "fatal" in tools.err
