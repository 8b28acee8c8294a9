# SPDX-License-Identifier: Apache-2.0
"""postconf: what tools and people read from it, and what it leaves of the files it edits."""
import pathlib
import subprocess

import pytest

MAIN = """\
# a comment
compatibility_level = 3.6
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
myhostname = mx.example.test
mydestination = $myhostname,
    localhost.$mydomain,
# inside
    localhost
smtpd_relay_restrictions = permit_mynetworks   permit_sasl_authenticated
  defer_unauth_destination
own = permit_sasl_authenticated, reject
smtpd_client_restrictions = $own
relay_destination_rate_delay = 1s
relayhost =
"""
MASTER = """\
# services
smtp      inet  n       -       y       -       -       smtpd
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
postlog   unix-dgram n  -       n       -       1       postlogd
discard   unix  -       -       y       -       -       discard
"""


@pytest.fixture
def run(stage, pytestconfig, tmp_path):
    (tmp_path / "main.cf").write_text(MAIN)
    (tmp_path / "master.cf").write_text(MASTER)
    reference = pytestconfig.getoption("--mta") == "reference"
    path = pathlib.Path("/usr/sbin/postconf") if reference else stage / "usr/sbin/postconf"

    def call(*args, status=0):
        done = subprocess.run([path, "-c", tmp_path, *args], capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        return done.stdout

    call.folder, call.path = tmp_path, path
    return call


@pytest.mark.parametrize("args, want", [
    (["relayhost", "myhostname"], "relayhost =\nmyhostname = mx.example.test\n"),
    (["-h", "myhostname"], "mx.example.test\n"),
    (["-H", "myhostname"], "myhostname\n"),
    (["mydestination"], "mydestination = $myhostname, localhost.$mydomain, localhost\n"),
    (["-x", "mydestination"], "mydestination = mx.example.test, localhost.example.test, localhost\n"),
    (["-x", "smtpd_client_restrictions"],
     "smtpd_client_restrictions = permit_sasl_authenticated, reject\n"),
    (["-o", "mydomain=other.test", "-x", "mydestination"],
     "mydestination = mx.example.test, localhost.other.test, localhost\n"),
    (["-d", "mydestination", "maximal_queue_lifetime", "smtpd_timeout"],
     "mydestination = $myhostname, localhost.$mydomain, localhost\nmaximal_queue_lifetime = 5d\n"
     "smtpd_timeout = ${stress?{10}:{300}}s\n"),
    (["relay_destination_rate_delay", "relay_destination_recipient_limit"],
     "relay_destination_rate_delay = 1s\n"
     "relay_destination_recipient_limit = $default_destination_recipient_limit\n"),
    (["-C", "user"], "own = permit_sasl_authenticated, reject\n"),
    (["-f", "smtpd_relay_restrictions"],
     "smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated\n"
     "    defer_unauth_destination\n"),
    (["-M", "relay/unix"],
     "relay      unix  -       -       y       -       -       smtp -o syslog_name=postfix/$service_name\n"),
    (["-Mx", "postlog", "relay"],
     "relay      unix  -       -       y       -       -       smtp -o syslog_name=postfix/relay\n"
     "postlog    unix-dgram n  -       n       -       1       postlogd\n"),
    (["-F", "smtp/inet/chroot"], "smtp/inet/chroot = y\n"),
    (["-P"], "relay/unix/syslog_name = postfix/$service_name\n"),
])
def test_shows(run, args, want):
    assert run(*args) == want


def test_shows_what_is_set(run):
    names = [line.split(" =")[0] for line in run("-n").splitlines()]
    assert names == ["compatibility_level", "config_directory", "mydestination", "myhostname", "own",
                     "relay_destination_rate_delay", "relayhost", "smtpd_banner",
                     "smtpd_client_restrictions", "smtpd_relay_restrictions"]


@pytest.mark.parametrize("args, old, new", [
    (["-e", "relayhost=[smtp.example.test]:587"], "relayhost =\n", "relayhost = [smtp.example.test]:587\n"),
    (["myhostname = b.example.test"], "= mx.", "= b."),
    (["-X", "own"], "own = permit_sasl_authenticated, reject\n", ""),
    (["-#", "relayhost"], "relayhost =", "#relayhost ="),
    (["-e", "mydestination=x"],
     "mydestination = $myhostname,\n    localhost.$mydomain,\n# inside\n    localhost\n",
     "mydestination = x\n# inside\n"),
])
def test_edits_main_cf(run, args, old, new):
    run(*args)
    assert (run.folder / "main.cf").read_text() == MAIN.replace(old, new)


@pytest.mark.parametrize("args, old, new", [
    (["-F", "discard/unix/chroot=n"],
     "discard   unix  -       -       y       -       -       discard\n",
     "discard    unix  -       -       n       -       -       discard\n"),
    (["-MX", "discard/unix"], "discard   unix  -       -       y       -       -       discard\n", ""),
    (["-M#", "discard/unix"], "discard  ", "#discard  "),
    (["-P", "smtp/inet/smtpd_sasl_auth_enable=yes"],
     "smtp      inet  n       -       y       -       -       smtpd\n",
     "smtp       inet  n       -       y       -       -       smtpd\n"
     "    -o smtpd_sasl_auth_enable=yes\n"),
])
def test_edits_master_cf(run, args, old, new):
    run(*args)
    assert (run.folder / "master.cf").read_text() == MASTER.replace(old, new)


def test_a_broken_main_cf_can_be_repaired(run):
    (run.folder / "main.cf").write_text("relayhost = a\nsmtpd_timeout = soon\n")
    assert run("relayhost") == "relayhost = a\n"
    run("-e", "smtpd_timeout=5m")
    assert (run.folder / "main.cf").read_text() == "relayhost = a\nsmtpd_timeout = 5m\n"


def test_unknown_names_are_said(run):
    (run.folder / "main.cf").write_text("compatibility_level = 3.6\nrelayhots = a\n")
    done = subprocess.run([run.path, "-c", run.folder, "-n"], capture_output=True, text=True)
    assert "unused parameter: relayhots=a" in done.stderr
