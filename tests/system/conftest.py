# SPDX-License-Identifier: Apache-2.0
"""Fixtures: postern(main_cf) starts a server, remote(...) a far host, dns answers names."""
import os
import pathlib
import shutil
import subprocess

import pytest

from world import databases
from world.ca import Authority
from world.dns import NameServer
from world.mta import Mta
from world.remote import Remote


def pytest_addoption(parser):
    parser.addoption("--mta", choices=("postern", "reference"), default="postern",
                     help="run the scenarios against Postern or against Debian's postfix")


def pytest_configure(config):
    config.addinivalue_line("markers", "postern_only(reason): what the reference does not have or do")


def pytest_runtest_setup(item):
    marker = item.get_closest_marker("postern_only")
    if marker and item.config.getoption("--mta") == "reference":
        pytest.skip(f"Postern only: {marker.args[0] if marker.args else ''}")


def pytest_terminal_summary(terminalreporter):
    again = terminalreporter.stats.get("rerun", [])
    for report in again:
        print(f"failed at first, see whether it passed then: {report.nodeid}")
    counts = {k: len(terminalreporter.stats.get(k, [])) for k in ("passed", "failed", "error", "skipped")}
    print(f"\nsystem: {counts['passed']} passed, {counts['failed'] + counts['error']} failed, "
          f"{counts['skipped']} skipped")


@pytest.fixture(scope="session")
def stage(tmp_path_factory, pytestconfig):
    """The build, laid out as `make install` does."""
    reference = pytestconfig.getoption("--mta") == "reference"
    root = pathlib.Path(tmp_path_factory.mktemp("stage"))
    source = pathlib.Path(__file__).resolve().parents[2]
    os.chmod(root, 0o755)
    for parent in root.parents:
        if str(parent).startswith("/tmp/"):
            os.chmod(parent, 0o755)
    subprocess.run([source / "tools/install-files", "--build", os.environ["POSTERN_BUILD"],
                    "--destdir", root], check=not reference, capture_output=True)
    if reference:
        return root
    for name in ("postdrop", "postqueue"):
        subprocess.run(["chgrp", "postdrop", root / "usr/sbin" / name], check=True)
        subprocess.run(["chmod", "2755", root / "usr/sbin" / name], check=True)
    return root


@pytest.fixture(scope="session")
def name_server():
    return NameServer()


@pytest.fixture
def dns(name_server):
    name_server.clear()
    return name_server


def _maker(request, stage):
    """Starts servers; the second part, run at the end, stops them and looks for trouble."""
    started = []

    def make(main_cf="", start=True, **options):
        mta = Mta(request.config.getoption("--mta"), main_cf, stage=stage, **options)
        started.append(mta)
        return mta.start() if start else mta

    make.is_reference = request.config.getoption("--mta") == "reference"
    yield make
    failed = getattr(request.node, "rep_call", None) is not None and request.node.rep_call.failed
    for mta in started:
        if failed:
            print(f"--- log of {mta.dir}:\n{mta.log.text()[-6000:]}")
        if (mta.queue_dir / "pid/master.pid").exists():
            mta.stop()
        problems = [line for line in mta.log.lines() if "AddressSanitizer" in line or "runtime error" in line]
        mta.remove()
        assert not problems, problems


@pytest.fixture
def postern(request, dns, stage):
    """postern(main_cf, extra_master="", start=True) -> a running server."""
    yield from _maker(request, stage)


@pytest.fixture(scope="module")
def module_postern(request, name_server, stage):
    """The same for all tests of a file, so that they share one server."""
    yield from _maker(request, stage)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, "rep_" + call.when, outcome.get_result())


@pytest.fixture
def remote():
    """remote(address="127.0.0.2", replies={...}) -> a remote SMTP host on port 25."""
    hosts = []

    def make(*args, **options):
        hosts.append(Remote(*args, **options))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """(key file, certificate file) of mx.test, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mx.test",
                    "-addext", "subjectAltName=DNS:mx.test", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    return key, cert


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A private certificate authority: .ca, .wrong_ca, .key, .cert (localhost, 127.0.0.1)."""
    return databases.Authority(tmp_path_factory.mktemp("authority"))


def _database(kind, needs_authority=True):
    @pytest.fixture(scope="session")
    def server(request):
        server = kind(*([request.getfixturevalue("authority")] if needs_authority else []))
        yield server
        server.close()

    return server


# One server of each kind for the session; a test that stops it starts it again.
postgres = _database(databases.Postgres)
maria = _database(databases.Maria)
openldap = _database(databases.OpenLdap)
redis_server = _database(databases.Redis)
memcached = _database(databases.Memcached, needs_authority=False)


@pytest.fixture(scope="session")
def private_ca(tmp_path_factory):
    """A private certificate authority; .issue("mx.test") makes a key and a certificate."""
    folder = tmp_path_factory.mktemp("ca")
    for path in (folder, folder.parent):
        path.chmod(0o755)
    return Authority(folder)


@pytest.fixture(scope="session")
def machine_files(tmp_path_factory):
    """/etc/postfix, /etc/ssl and /var/lib/postfix of this namespace become copies that tests may
    change, so that a configuration can name the paths that its text names."""
    assert "POSTERN_WORLD" in os.environ, "only inside tests/system/run"
    for path in ("/etc/postfix", "/etc/ssl", "/var/lib/postfix"):
        kept = tmp_path_factory.mktemp("kept") / "files"
        shutil.copytree(path, kept, symlinks=True, ignore=lambda at, names: [
            name for name in names if not (pathlib.Path(at, name).is_dir() or pathlib.Path(at, name).is_file())])
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path], check=True)
        shutil.copytree(kept, path, symlinks=True, dirs_exist_ok=True)
    shutil.chown("/var/lib/postfix", "postfix", "postfix")
