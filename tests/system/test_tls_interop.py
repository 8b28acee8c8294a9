# SPDX-License-Identifier: Apache-2.0
"""TLS with others: Debian's postfix on the other side, the openssl commands, and testssl.sh."""
import json
import pathlib
import shutil
import subprocess
import threading

import pytest

from test_tls import LOCAL, send, trusted  # noqa: F401 (a fixture)
from world import wait
from world.mta import Mta

pytestmark = pytest.mark.postern_only("Postern is one of the two sides")
KEYS = ("rsa", "ecdsa", "ed25519")
VERSIONS = ("TLSv1.2", "TLSv1.3")


@pytest.fixture
def reference(dns, stage):
    """reference(main_cf) -> Debian's postfix, running beside the server under test."""
    started = []

    def make(main_cf, **options):
        started.append(Mta("reference", main_cf, stage=stage, **options).start())
        return started[-1]

    yield make
    for mta in started:
        mta.stop()
        mta.remove()


def server_text(pair, name):
    return (f"myhostname = {name}\nmydestination = {name}\nlocal_recipient_maps =\nsmtpd_tls_security_level = encrypt\n"
            f"smtpd_tls_chain_files = {pair.chain}\nsmtpd_tls_loglevel = 1\nsmtpd_tls_received_header = yes\n")


def client_text(ca, to, version):
    only = ", ".join("!" + v for v in ("TLSv1", "TLSv1.1", *VERSIONS) if v != version)
    return (f"myhostname = sender.test\nmydestination =\nrelayhost = [{to}]:{{port}}\nsmtp_tls_security_level = secure\n"
            f"smtp_tls_secure_cert_match = {to}\nsmtp_tls_CAfile = {ca}\nsmtp_tls_loglevel = 1\n"
            f"smtp_tls_mandatory_protocols = {only}\n")


@pytest.mark.parametrize("direction", ["to the reference", "from the reference"])
def test_mail_goes_both_ways_with_every_key_and_version(postern, reference, dns, trusted, direction):
    ours_receives = direction == "from the reference"
    dns.host("mx.far.test", "127.0.0.1")
    for key in KEYS:
        server = (postern if ours_receives else reference)(server_text(trusted.issue("mx.far.test", key=key),
                                                                       "mx.far.test"))
        for version in VERSIONS if key == "ecdsa" else VERSIONS[1:]:
            text = client_text(trusted.cert, "mx.far.test", version).replace("{port}", str(server.port))
            client = (reference if ours_receives else postern)(text)
            status = send(client, "root@mx.far.test")
            assert "status=sent (250 2.0.0 Ok: queued as " in status, (key, version, status)
            sent = client.log.wait(f"Verified TLS connection established to mx.far.test[127.0.0.1]:{server.port}: "
                                   f"{version} with cipher *")
            took = server.log.wait(f"Anonymous TLS connection established from *[127.0.0.1]: {version} with cipher *")
            assert sent.split(version)[1] == took.split(version)[1], "both sides say the same of it"
            client.stop()


@pytest.mark.parametrize("key", KEYS)
def test_openssl_s_client_is_served(postern, trusted, key):
    pair = trusted.issue("mx.test", "mx.test", key=key)
    mx = postern(server_text(pair, "mx.test"))
    for flag, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
        result = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-connect", f"127.0.0.1:{mx.port}", flag,
                                 "-CAfile", trusted.cert, "-verify_hostname", "mx.test", "-verify_return_error",
                                 "-ign_eof"], input="QUIT\n", capture_output=True, text=True,
                                timeout=30)
        assert "Verification: OK" in result.stdout, result.stdout + result.stderr
        assert f"New, {name}, Cipher is" in result.stdout
        assert "221 2.0.0 Bye" in result.stdout


class SServer:
    """openssl s_server that takes one mail, behind a handshake that comes first."""

    def __init__(self, pair, port, flag):
        self.lines = []
        self.process = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.2:{port}", "-cert", pair.cert,
                                         "-key", pair.key, flag, "-quiet", "-naccept", "1"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=self.talk, daemon=True).start()

    def say(self, text):
        self.process.stdin.write(text.encode() + b"\r\n")
        self.process.stdin.flush()

    def talk(self):
        self.say("220 mx.far.test ESMTP")
        in_data = False
        for line in self.process.stdout:
            line = line.decode().rstrip("\r\n")
            self.lines.append(line)
            if in_data:
                in_data = line != "."
                if not in_data:
                    self.say("250 2.0.0 taken")
            elif line == "DATA":
                in_data = True
                self.say("354 go")
            elif line == "QUIT":
                self.say("221 bye")
            elif line:
                self.say("250 ok")


@pytest.mark.parametrize("key", KEYS)
def test_openssl_s_server_is_delivered_to(postern, dns, trusted, key):
    pair = trusted.issue("mx.far.test", key=key)
    dns.host("mx.far.test", "127.0.0.2")
    mx = postern("mydestination =\nrelayhost = [mx.far.test]:1465\nsmtp_tls_wrappermode = yes\nsmtp_tls_loglevel = 1\n"
                 f"smtp_tls_security_level = secure\nsmtp_tls_secure_cert_match = mx.far.test\n"
                 f"smtp_tls_CAfile = {trusted.cert}\n")
    for flag, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
        server = SServer(pair, 1465, flag)
        wait.until(lambda: ":05B9 " in pathlib.Path("/proc/net/tcp").read_text(), "s_server")
        assert "status=sent (250 2.0.0 taken)" in send(mx, "jo@far.test")
        mx.log.wait(f"Verified TLS connection established to mx.far.test[127.0.0.2]:1465: {name} with cipher *")
        server.process.kill()
        server.process.wait()


@pytest.mark.skipif(shutil.which("testssl") is None, reason="needs testssl.sh")
def test_testssl_finds_nothing_worse_than_low(postern, trusted, tmp_path):
    """A server with its defaults and a certificate. Takes about a minute."""
    pair = trusted.issue("mx.test", "mx.test", key="rsa")
    mx = postern(LOCAL + f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {pair.chain}\n")
    report = tmp_path / "report.json"
    subprocess.run(["testssl", "--quiet", "--color", "0", "--starttls", "smtp", "--ip", "127.0.0.1", "--nodns", "none",
                    "--add-ca", trusted.cert, "--warnings", "batch", "--jsonfile", report, "--protocols", "--std",
                    "--vulnerable", "--server-defaults", f"mx.test:{mx.port}"], timeout=500,
                   stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    findings = json.loads(report.read_text())
    assert len(findings) > 30, findings
    about_us = [f for f in findings if not f["id"].startswith("cert_")]  # of a private authority, without OCSP
    bad = [f for f in about_us if f["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")]
    assert not bad, bad
