# SPDX-License-Identifier: Apache-2.0
"""AUTH with Dovecot's own authentication server: mechanisms, replies, log lines, what a login is good for."""
import base64
import hashlib
import hmac
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from world import wait
from world.session import Session

DOVECOT = """
base_dir = {dir}/run
state_dir = {dir}/run
log_path = {dir}/log
protocols =
ssl = no
disable_plaintext_auth = no
default_internal_user = postfix
default_internal_group = postfix
default_login_user = nobody
auth_mechanisms = plain login cram-md5 anonymous
auth_failure_delay = 1 s
first_valid_uid = 1
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/tmp
}}
service auth {{
  chroot =
  unix_listener {dir}/auth {{
    mode = 0666
  }}
  inet_listener {{
    address = 127.0.0.1
    port = 20399
  }}
}}
service auth-worker {{
  user = root
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""
AUTH = "-o smtpd_sasl_auth_enable=yes -o smtpd_sasl_type=dovecot "
PORTS = {
    "plain": (20301, "-o smtpd_sasl_authenticated_header=yes "
                     "-o smtpd_relay_restrictions=permit_sasl_authenticated,reject"),
    "noplaintext": (20302, "-o smtpd_sasl_security_options=noplaintext"),
    "tls": (20303, "-o smtpd_tls_auth_only=yes -o smtpd_tls_security_level=may"),
    "broken": (20304, "-o smtpd_sasl_exceptions_networks=127.0.0.3 -o broken_sasl_auth_clients=yes "
                      "-o smtpd_sasl_security_options="),
    "inet": (20305, "-o smtpd_sasl_path=inet:127.0.0.1:20399 -o smtpd_sasl_mechanism_filter=plain"),
    "rate": (20306, "-o smtpd_client_event_limit_exceptions= -o smtpd_client_auth_rate_limit=1"),
    "tlsopt": (20307, "-o smtpd_sasl_security_options=noplaintext -o smtpd_sasl_tls_security_options=noanonymous "
                      "-o smtpd_tls_security_level=may"),
    "helo": (20308, "-o smtpd_helo_required=yes -o smtpd_discard_ehlo_keywords=auth"),
}


class Dovecot:
    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="dovecot-"))
        os.chmod(self.dir, 0o755)
        (self.dir / "dovecot.conf").write_text(DOVECOT.format(dir=self.dir))
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(["dovecot", "-F", "-c", self.dir / "dovecot.conf"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait.until(self.answers, "Dovecot's authentication server")

    def answers(self):
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(2)
                sock.connect(str(self.dir / "auth"))
                return b"VERSION" in sock.recv(1000)
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


@pytest.fixture(scope="module")
def dovecot():
    if shutil.which("dovecot") is None:
        pytest.skip("needs dovecot-core")
    server = Dovecot()
    yield server
    server.stop()
    shutil.rmtree(server.dir, ignore_errors=True)


@pytest.fixture(scope="module")
def mx(module_postern, dovecot, certificate):
    key, cert = certificate
    options = f"{AUTH} -o smtpd_sasl_path={dovecot.dir}/auth"
    return module_postern(
        f"mydestination = mx.test\nlocal_recipient_maps =\nmynetworks = 127.0.0.9/32\n"
        f"smtpd_tls_cert_file = {cert}\nsmtpd_tls_key_file = {key}\ndefer_transports = smtp\n",
        extra_master="".join(f"127.0.0.1:{port} inet n - n - - smtpd {options} {more}\n"
                             for port, more in PORTS.values()))


def connect(name, source=None):
    return Session(("127.0.0.1", PORTS[name][0]), source=source)


def b64(text):
    return base64.b64encode(text.encode()).decode()


GOOD, BAD = b64("\0jo\0secret"), b64("\0jo\0wrong")


def offers(s):
    return [line[4:] for line in s.ehlo().reply.splitlines() if "AUTH" in line]


def test_mechanisms_are_those_of_the_server(mx):
    with connect("plain") as s:
        assert offers(s) == ["AUTH PLAIN LOGIN CRAM-MD5"]
    with connect("noplaintext") as s:
        assert offers(s) == ["AUTH CRAM-MD5 ANONYMOUS"]
        s.send("AUTH PLAIN " + GOOD).expect("535 5.7.8 Error: authentication failed: Invalid authentication mechanism")
    with connect("inet") as s:
        assert offers(s) == ["AUTH PLAIN"]
        s.send("AUTH PLAIN " + GOOD).expect("235 2.7.0 Authentication successful")
    with connect("broken") as s:
        assert offers(s) == ["AUTH PLAIN LOGIN CRAM-MD5 ANONYMOUS", "AUTH=PLAIN LOGIN CRAM-MD5 ANONYMOUS"]
    with connect("broken", "127.0.0.3") as s:
        assert offers(s) == []
    with connect("tlsopt") as s:
        assert offers(s) == ["AUTH CRAM-MD5 ANONYMOUS"]
        assert offers(s.starttls()) == ["AUTH PLAIN LOGIN CRAM-MD5"]
    with connect("helo") as s:
        s.send("AUTH PLAIN " + GOOD).expect("503 5.5.1 Error: send HELO/EHLO first")
        assert offers(s) == []


@pytest.mark.parametrize("say, hear", [
    (["AUTH"], ["501 5.5.4 Syntax: AUTH mechanism"]),
    (["AUTH PLAIN a b"], ["501 5.5.4 Syntax: AUTH mechanism"]),
    (["AUTH FOO"], ["535 5.7.8 Error: authentication failed: Invalid authentication mechanism"]),
    (["AUTH PLAIN !!!"], ["535 5.7.8 Error: authentication failed: Invalid base64 data in initial response"]),
    (["AUTH PLAIN", "*", "NOOP"], ["334 ", "501 5.7.0 Authentication aborted", "250 *"]),
    (["AUTH PLAIN", BAD], ["334 ", "535 5.7.8 Error: authentication failed: (reason unavailable)"]),
    (["AUTH PLAIN", GOOD], ["334 ", "235 2.7.0 Authentication successful"]),
    (["AUTH plain " + GOOD, "AUTH PLAIN " + GOOD],
     ["235 2.7.0 Authentication successful", "503 5.5.1 Error: already authenticated"]),
    (["AUTH LOGIN", b64("jo"), b64("secret")],
     ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 2.7.0 Authentication successful"]),
    (["AUTH LOGIN " + b64("jo"), b64("secret"), "MAIL FROM:<a@b>"],
     ["334 UGFzc3dvcmQ6", "235 2.7.0 Authentication successful", "250 2.1.0 Ok"]),
    (["MAIL FROM:<a@b>", "AUTH PLAIN " + GOOD], ["250 *", "503 5.5.1 Error: MAIL transaction in progress"]),
    (["AUTH LOGIN", "A" * 13000, "NOOP"], ["334 *", "500 5.5.6 SASL response limit exceeded", "250 *"]),
])
def test_conversation(mx, say, hear):
    with connect("plain") as s:
        s.ehlo()
        for line, reply in zip(say, hear):
            s.send(line).expect(reply)


def test_challenge_and_response(mx):
    with connect("plain") as s:
        s.ehlo().send("AUTH CRAM-MD5").expect("334 *")
        challenge = base64.b64decode(s.reply.split()[1])
        digest = hmac.new(b"secret", challenge, hashlib.md5).hexdigest()
        s.send(b64("jo " + digest)).expect("235 2.7.0 Authentication successful")


def test_who_logged_in_may_relay_and_is_named(mx):
    with connect("plain") as s:
        s.ehlo()
        s.send("AUTH PLAIN " + GOOD).expect("235 *")
        s.send("MAIL FROM:<a@b> AUTH=foo+2Bbar").expect("250 *")
        s.send("RCPT TO:<x@far.test>").expect("250 *").send("DATA").expect("354 *")
        s.raw(b"Subject: x\r\n\r\nx\r\n.\r\n").expect("250 2.0.0 Ok: queued as *")
        queue_id = s.reply.split()[-1]
        s.send("MAIL FROM:<a@b> AUTH=<>").expect("250 *").send("RCPT TO:<x@far.test>").expect("250 *")
    mx.log.wait(f"{queue_id}: client=localhost[127.0.0.1], sasl_method=PLAIN, sasl_username=jo, sasl_sender=foo+2Bbar")
    mx.log.wait("client=localhost[127.0.0.1], sasl_method=PLAIN, sasl_username=jo")
    text = mx.command("postcat", "-q", queue_id).stdout
    assert "(Authenticated sender: jo)" in text and "with ESMTPA id" in text
    with connect("plain") as s:
        s.ehlo().send("MAIL FROM:<a@b>").expect("250 *").send("RCPT TO:<x@far.test>").expect("554 5.7.1 *")


def test_failures_are_logged(mx):
    with connect("plain") as s:
        s.ehlo().send("AUTH PLAIN " + BAD).expect("535 *").send("AUTH LOGIN").expect("334 *").send("*").expect("501 *")
        s.send("AUTH FOO x").expect("535 *").send("QUIT").expect("221 *")
    mx.log.wait("localhost[127.0.0.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=jo")
    mx.log.wait("localhost[127.0.0.1]: SASL LOGIN authentication aborted")
    mx.log.wait("localhost[127.0.0.1]: SASL FOO authentication failed: Invalid authentication mechanism, "
                "sasl_username=(unavailable)")
    mx.log.wait("disconnect from localhost[127.0.0.1] ehlo=1 auth=0/3 quit=1 commands=2/5")


def test_only_on_an_encrypted_connection_where_that_is_demanded(mx):
    with connect("tls") as s:
        assert offers(s) == []
        s.send("AUTH PLAIN " + GOOD).expect("50? 5.5.? *")  # 503 before 3.10
        s.starttls()
        assert offers(s) == ["AUTH PLAIN LOGIN CRAM-MD5"]
        s.send("AUTH PLAIN " + GOOD).expect("235 *")


def test_rate_of_logins(mx):
    with connect("rate") as s:
        s.ehlo().send("AUTH PLAIN " + BAD).expect("535 *")
        s.send("AUTH PLAIN " + GOOD).expect("450 4.7.1 Error: too many AUTH commands from 127.0.0.1")
    mx.log.wait("AUTH command rate limit exceeded: 2 from localhost[127.0.0.1] for service 127.0.0.1:20306")


@pytest.mark.postern_only("the reference needs a process for each client")
def test_failing_logins_hold_no_worker(postern, dovecot):
    """Dovecot answers a wrong password late; one worker has many such clients and still serves others."""
    mx = postern("mydestination = mx.test\n", extra_master=(
        f"127.0.0.1:20330 inet n - n - 1 smtpd {AUTH} -o smtpd_sasl_path={dovecot.dir}/auth\n"))
    sessions = [Session(("127.0.0.1", 20330)) for _ in range(20)]
    for s in sessions:
        s.ehlo().send("AUTH PLAIN " + BAD)
    started = time.monotonic()
    with Session(("127.0.0.1", 20330)) as s:
        s.send("QUIT").expect("221 *")
    assert time.monotonic() - started < 0.9
    for s in sessions:
        s.expect("535 *")
        s.close()
    assert mx.is_listening()


@pytest.mark.postern_only("the reference does not start without an authentication server")
def test_without_the_server_it_is_try_later(postern, tmp_path):
    os.chmod(tmp_path, 0o755)
    path = pathlib.Path(tempfile.mkdtemp(prefix="auth-")) / "auth"
    os.chmod(path.parent, 0o755)
    served = threading.Event()

    def serve(listener):
        connection, _ = listener.accept()
        connection.sendall(b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nDONE\n")
        while b"AUTH" not in connection.recv(4000):
            pass
        connection.close()
        listener.close()
        served.set()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        os.chmod(path, 0o666)
        listener.listen(1)
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        mx = postern("mydestination = mx.test\n", extra_master=(
            f"127.0.0.1:20331 inet n - n - 1 smtpd {AUTH} -o smtpd_sasl_path={path}\n"))
        with Session(("127.0.0.1", 20331)) as s:
            assert offers(s) == ["AUTH PLAIN"]
            for _ in range(2):
                s.send("AUTH PLAIN " + GOOD).expect(
                    "454 4.7.0 Temporary authentication failure: Connection lost to authentication server")
            assert served.wait(5)
        thread.join(5)
    shutil.rmtree(path.parent)
    mx.log.wait("SASL PLAIN authentication failed: Connection lost to authentication server, *")
    mx.log.wait("warning: SASL: Connect to Dovecot auth socket '*' failed: *")


@pytest.mark.postern_only("Debian's postfix has Cyrus SASL")
def test_cyrus_is_refused_at_the_start(postern):
    mx = postern("smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = cyrus\n", start=False)
    try:
        mx.start()
    except AssertionError:
        pass
    mx.log.wait('fatal: parameter smtpd_sasl_type: "cyrus" is not supported here; use dovecot')
