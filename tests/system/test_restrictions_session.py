# SPDX-License-Identifier: Apache-2.0
"""Restrictions about the session: stages, logins, certificates, what actions do to a message, what fails in the middle."""
import concurrent.futures
import os
import ssl
import subprocess
import time

import pytest

from world import wait
from world.policy import PolicyServer
from world.session import Session, matches

PORT = 20100


def service(number, **options):
    return f"127.0.0.1:{PORT + number} inet n - n - - smtpd\n" + "".join(f"  -o {{ {name} = {value} }}\n" for name, value in options.items())


def connect(number, source="127.0.0.9", **options):
    return Session(("127.0.0.1", PORT + number), source=source, **options)


def rcpt(number, recipient="jo@mx.test", sender="ann@sender.test", login=None, **options):
    """The reply to RCPT."""
    with connect(number, **options) as s:
        if login:
            s.send("EHLO proxy.test").read_reply()
            s.send(f"XCLIENT LOGIN={login}").expect("220 *")
        s.send("EHLO client.test").read_reply()
        s.send(f"MAIL FROM:<{sender}>").expect("250 *")
        return s.send(f"RCPT TO:<{recipient}>").read_reply()


BASE = """
mynetworks = 127.0.0.1/32
local_recipient_maps =
local_transport = discard:
smtpd_error_sleep_time = 0
"""


def test_each_list_says_what_it_is_about(postern, dns):
    dns.host("mail.client.test", "127.0.0.9")
    lists = ("client", "helo", "sender", "relay", "recipient", "data", "end_of_data", "etrn")
    postern(BASE, extra_master="".join(service(i, **{f"smtpd_{name}_restrictions": "reject"}) for i, name in enumerate(lists)))
    for i, subject in enumerate(("<mail.client.test[127.0.0.9]>: Client host", "<client.test>: Helo command", "<ann@sender.test>: Sender address",
                                 "<jo@mx.test>: Recipient address", "<jo@mx.test>: Recipient address")):
        assert rcpt(i) == f"554 5.7.1 {subject} rejected: Access denied"
    with connect(5) as s:
        s.ehlo().send("MAIL FROM:<>").expect("250 *").send("RCPT TO:<jo@mx.test>").expect("250 *")
        s.send("DATA").expect("554 5.7.1 <DATA>: Data command rejected: Access denied")
    with connect(6) as s:
        s.ehlo().send("MAIL FROM:<>").expect("250 *").send("RCPT TO:<jo@mx.test>").expect("250 *").send("DATA").expect("354 *")
        s.raw(b"\r\n.\r\n").expect("554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: Access denied")
    with connect(7) as s:
        s.ehlo().send("ETRN some.test").expect("554 5.7.1 <some.test>: Etrn command rejected: Access denied")


def test_without_delay_each_command_is_refused_at_once(postern, dns):
    dns.host("mail.client.test", "127.0.0.9")
    mx = postern(BASE + "smtpd_delay_reject = no\n", extra_master="".join(
        service(i, **{f"smtpd_{name}_restrictions": rule}) for i, (name, rule) in enumerate((
            ("client", "reject"), ("helo", "reject"), ("sender", "reject"), ("client", "defer_if_permit"), ("helo", "check_helo_access inline:{ client.test=HOLD }")))))
    with connect(0, greeting="554 5.7.1 <mail.client.test[127.0.0.9]>: Client host rejected: Access denied") as s:
        s.send("MAIL FROM:<>").expect("503 5.7.0 Error: access denied for mail.client.test[[]127.0.0.9]".replace("[[]", "["))
        s.send("QUIT").expect("221 *")
    with connect(1) as s:
        s.send("EHLO client.test").expect("554 5.7.1 <client.test>: Helo command rejected: Access denied")
    with connect(2) as s:
        s.ehlo().send("MAIL FROM:<ann@sender.test>").expect("554 5.7.1 <ann@sender.test>: Sender address rejected: Access denied")
    assert rcpt(3) == "450 4.7.0 <mail.client.test[127.0.0.9]>: Client host rejected: defer_if_permit requested"
    assert rcpt(4) == "250 2.1.5 Ok"
    mx.log.wait("warning: access table inline:{ client.test=HOLD }: with smtpd_delay_reject=no, action HOLD is always skipped in Client host or Helo command restrictions")


def test_without_delay_a_client_is_refused_behind_a_handshake_that_comes_first(postern, dns, certificate):
    key, cert = certificate
    dns.host("mail.client.test", "127.0.0.9")
    tls = {"smtpd_tls_wrappermode": "yes", "smtpd_tls_cert_file": cert, "smtpd_tls_key_file": key, "smtpd_delay_reject": "no"}
    postern(BASE, extra_master=service(0, smtpd_client_restrictions="reject", **tls) + service(1, smtpd_client_restrictions="permit", **tls))
    with connect(0, greeting=None) as s:
        s.handshake().expect("554 5.7.1 <mail.client.test[127.0.0.9]>: Client host rejected: Access denied")
        s.send("MAIL FROM:<>").expect("503 5.7.0 Error: access denied for mail.client.test[127.0.0.9]")
    with connect(1, greeting=None) as s:
        s.handshake().expect("220 *").ehlo().send("MAIL FROM:<>").expect("250 *").send("RCPT TO:<jo@mx.test>").expect("250 *")


def test_what_defers_a_refusal_stays_one_line_of_a_reply(postern, dns):
    policy = PolicyServer()
    policy.action = lambda attributes: "DEFER_IF_REJECT no\r250"
    postern(BASE, extra_master=service(0, smtpd_recipient_restrictions=f"check_policy_service inet:127.0.0.1:{policy.port}, reject"))
    assert rcpt(0) == "450 4.7.1 <jo@mx.test>: Recipient address rejected: no 250"
    policy.close()


def test_soft_bounce_and_the_order_of_lists(postern, dns):
    rules = {"smtpd_relay_restrictions": "check_recipient_access inline:{ { mx.test = REJECT relay } }, reject_unauth_destination",
             "smtpd_recipient_restrictions": "check_recipient_access inline:{ { mx.test = REJECT recipient } }"}
    postern(BASE, extra_master=service(0, soft_bounce="yes", **rules) + service(1, smtpd_relay_before_recipient_restrictions="no", **rules) + service(2, **rules))
    assert rcpt(0) == "454 4.7.1 <jo@mx.test>: Recipient address rejected: relay"
    assert rcpt(1) == "554 5.7.1 <jo@mx.test>: Recipient address rejected: recipient"
    assert rcpt(2) == "554 5.7.1 <jo@mx.test>: Recipient address rejected: relay"
    assert rcpt(2, "postmaster") == "250 2.1.5 Ok"


def test_logins(postern, dns):
    rules = ("reject_sender_login_mismatch", "reject_authenticated_sender_login_mismatch", "reject_known_sender_login_mismatch",
             "reject_unauthenticated_sender_login_mismatch", "permit_sasl_authenticated, reject", "check_sasl_access inline:{ { ann = REJECT no } }")
    settings = BASE + """
        smtpd_authorized_xclient_hosts = 127.0.0.9
        smtpd_sasl_auth_enable = yes
        smtpd_sasl_type = dovecot
        smtpd_sasl_path = inet:127.0.0.1:20199
        smtpd_sender_login_maps = inline:{ { ann@sender.test = ann, Bea } }
    """.replace("\n        ", "\n")
    auth = DovecotGreeter()
    postern(settings, extra_master="".join(service(i, smtpd_recipient_restrictions=rule) for i, rule in enumerate(rules)))
    ok, login = "250 2.1.5 Ok", "553 5.7.1 <ann@sender.test>: Sender address rejected: not logged in"
    mine = "553 5.7.1 <{}>: Sender address rejected: not owned by user {}"
    for number, user, sender, reply in (
            (0, None, "ann@sender.test", login), (0, "ann", "ann@sender.test", ok), (0, "bea", "ann@sender.test", ok),
            (0, "eve", "ann@sender.test", mine.format("ann@sender.test", "eve")), (0, "eve", "x@sender.test", mine.format("x@sender.test", "eve")),
            (0, None, "x@sender.test", ok), (0, "eve", "", ok),
            (1, None, "ann@sender.test", ok), (1, "eve", "ann@sender.test", mine.format("ann@sender.test", "eve")), (1, "ann", "ann@sender.test", ok),
            (2, "eve", "x@sender.test", ok), (2, "eve", "ann@sender.test", mine.format("ann@sender.test", "eve")), (2, None, "ann@sender.test", ok),
            (3, None, "ann@sender.test", login), (3, "eve", "ann@sender.test", ok),
            (4, "eve", "x@sender.test", ok), (4, None, "x@sender.test", "554 5.7.1 <jo@mx.test>: Recipient address rejected: Access denied"),
            (5, "ann", "x@sender.test", "554 5.7.1 <ann>: SASL login name rejected: no"), (5, "eve", "x@sender.test", ok), (5, None, "x@sender.test", ok)):
        assert (number, user, sender, rcpt(number, sender=sender, login=user)) == (number, user, sender, reply)
    auth.close()


class DovecotGreeter(PolicyServer):
    """Says what a dovecot auth server says first; nobody logs in here, XCLIENT does."""

    def __init__(self):
        import socketserver
        import threading

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.sendall(b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\tx\nDONE\n")
                while self.request.recv(1000):
                    pass

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.server = Server(("127.0.0.1", 20199), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def client_certificate(tmp_path_factory):
    """(key, certificate, its fingerprint, its public key's), signed by itself."""
    folder = tmp_path_factory.mktemp("client")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ann client",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    der = ssl.PEM_cert_to_DER_cert(cert.read_text())
    public = subprocess.run(f"openssl x509 -in {cert} -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -c",
                            shell=True, check=True, capture_output=True, text=True).stdout.split()[-1].upper()
    import hashlib
    digest = hashlib.sha256(der).hexdigest().upper()
    return key, cert, ":".join(digest[i:i + 2] for i in range(0, 64, 2)), public


def test_certificates(postern, dns, certificate, client_certificate):
    key, cert, fingerprint, public = client_certificate
    tls = {"smtpd_tls_security_level": "may", "smtpd_tls_key_file": certificate[0], "smtpd_tls_cert_file": certificate[1],
           "smtpd_tls_ask_ccert": "yes", "smtpd_tls_CAfile": cert, "smtpd_tls_fingerprint_digest": "sha256"}
    rules = ("permit_tls_all_clientcerts, reject", "permit_tls_clientcerts, reject", "reject_plaintext_session",
             f"check_ccert_access inline:{{ {{ {fingerprint} = REJECT cert }} }}", f"check_ccert_access inline:{{ {{ {public} = REJECT key }} }}",
             f"check_ccert_access {{ inline:{{ {{ {public} = REJECT key }}, {{ {fingerprint} = REJECT cert }} }}, {{ search_order = pubkey_fingerprint cert_fingerprint }} }}",
             f"check_ccert_access {{ inline:{{ {{ {public} = REJECT key }} }}, {{ search_order = cert_fingerprint }} }}")
    settings = BASE + f"relay_clientcerts = inline:{{ {{ {public} = ann }} }}\n"
    settings += "".join(f"c{i} = {rule}\n" for i, rule in enumerate(rules)) + f"smtpd_restriction_classes = {' '.join(f'c{i}' for i in range(len(rules)))}\n"
    postern(settings, extra_master="".join(service(i, smtpd_recipient_restrictions=f"c{i}", **tls) for i in range(len(rules))))

    def secure(number, with_certificate):
        context = ssl._create_unverified_context()
        if with_certificate:
            context.load_cert_chain(cert, key)
        with connect(number) as s:
            s.ehlo().starttls(context).ehlo()
            return s.send("MAIL FROM:<>").expect("250 *").send("RCPT TO:<jo@mx.test>").read_reply()

    no, ok = "554 5.7.1 <jo@mx.test>: Recipient address rejected: Access denied", "250 2.1.5 Ok"
    assert [secure(0, True), secure(0, False), rcpt(0)] == [ok, no, no]
    assert [secure(1, True), secure(1, False), rcpt(1)] == [ok, no, no]
    assert [secure(2, False), rcpt(2)] == [ok, "450 4.7.1 Session encryption is required"]
    name = "<ann client>: Client certificate rejected: "
    assert [secure(3, True), secure(3, False)] == ["554 5.7.1 " + name + "cert", ok]
    assert [secure(4, True), secure(4, False)] == ["554 5.7.1 " + name + "key", ok]
    assert secure(5, True) == "554 5.7.1 " + name + "key"
    assert secure(6, True) == ok


def test_actions_change_the_message(postern, dns, remote):
    host = remote("127.0.0.5")
    dns.mx("far.test", "mx.far.test", "127.0.0.5")
    mx = postern(BASE + "relay_domains = far.test\nlocal_transport = local:\n", extra_master="".join(service(i, smtpd_recipient_restrictions=f"check_sender_access inline:{{ {entry} }}, check_client_access inline:{{ {{ 127.0.0.9 = PREPEND X-Last: z }} }}") for i, entry in enumerate((
        "{ sender.test = PREPEND X-First: a }", "{ sender.test = BCC copy@far.test }", "{ sender.test = REDIRECT other@far.test }",
        "{ sender.test = FILTER smtp:[127.0.0.5]:25 }", "{ sender.test = DISCARD }"))))
    with connect(0) as s:
        s.ehlo().mail("ann@sender.test", "jo@far.test")
    wait.until(lambda: host.messages, "a message")
    content = host.messages[0]["content"]
    first, last, received = (content.index(text) for text in (b"X-First: a", b"X-Last: z", b"Received: from client.test"))
    assert first < last < received
    for number, recipients in ((1, ["copy@far.test", "jo@far.test"]), (2, ["other@far.test"]), (3, ["jo@far.test"])):
        host.messages.clear()
        with connect(number) as s:
            s.ehlo().mail("ann@sender.test", "jo@far.test")
        wait.until(lambda: sorted(r for m in host.messages for r in m["recipients"]) == recipients, f"mail for {recipients}")
    with connect(4) as s:
        s.ehlo().mail("ann@sender.test", "jo@far.test")
    mx.log.wait("discard: RCPT from *: <ann@sender.test>: Sender address triggers DISCARD action; *")
    mx.queue.wait_empty()


def test_policy_attributes_and_reuse(postern, dns):
    dns.host("mail.client.test", "127.0.0.9")
    policy = PolicyServer()
    rule = f"check_policy_service {{ inet:127.0.0.1:{policy.port}, policy_context=gate }}"
    postern(BASE, extra_master=service(0, smtpd_recipient_restrictions=rule, smtpd_end_of_data_restrictions=rule, smtpd_data_restrictions=rule))
    with connect(0) as s:
        s.ehlo().send("MAIL FROM:<ann@sender.test> SIZE=1234").expect("250 *")
        s.send("RCPT TO:<jo+x@mx.test>").expect("250 *").send("DATA").expect("354 *")
        s.raw(b"Subject: x\r\n\r\nbody\r\n.\r\n").expect("250 *")
    names = ("request protocol_state protocol_name client_address client_name client_port reverse_client_name server_address server_port helo_name "
             "sender recipient recipient_count queue_id instance size etrn_domain stress sasl_method sasl_username sasl_sender ccert_subject "
             "ccert_issuer ccert_fingerprint ccert_pubkey_fingerprint encryption_protocol encryption_cipher encryption_keysize policy_context").split()
    asked, data, end = policy.requests
    assert [name for name in asked if name in names] == names
    assert {k: asked[k] for k in ("request", "protocol_state", "protocol_name", "client_address", "client_name", "server_port", "helo_name", "sender",
                                  "recipient", "recipient_count", "size", "queue_id", "policy_context", "encryption_keysize")} == {
        "request": "smtpd_access_policy", "protocol_state": "RCPT", "protocol_name": "ESMTP", "client_address": "127.0.0.9", "client_name": "mail.client.test",
        "server_port": str(PORT), "helo_name": "client.test", "sender": "ann@sender.test", "recipient": "jo+x@mx.test", "recipient_count": "0",
        "size": "1234", "queue_id": "", "policy_context": "gate", "encryption_keysize": "0"}
    assert [data["protocol_state"], data["recipient_count"], end["protocol_state"], end["recipient"]] == ["DATA", "1", "END-OF-MESSAGE", "jo+x@mx.test"]
    assert len({r["instance"] for r in policy.requests}) == 1 and asked["instance"] and data["queue_id"]
    assert policy.connections == 1
    policy.close()


def test_what_fails_in_the_middle_is_tried_later(postern, dns):
    dns.servfail("9.0.0.127.list.test").servfail("sender.test")
    policy = PolicyServer()
    mx = postern(BASE, start=False)
    (mx.config / "access").write_text("127.0.0.9 OK\n")
    mx.command("postmap", f"hash:{mx.config}/access", check=False)
    rules = (f"check_client_access hash:{mx.config}/access", f"check_policy_service {{ inet:127.0.0.1:{policy.port}, timeout=1s, try_limit=1 }}",
             "reject_unknown_sender_domain", "permit_dnswl_client list.test, reject", "reject_rbl_client list.test", "check_sender_access tcp:127.0.0.1:1",
             f"check_policy_service {{ inet:127.0.0.1:{policy.port}, timeout=1s, try_limit=1, default_action=DUNNO }}")
    with open(mx.config / "master.cf", "a") as master:
        master.write("".join(service(i, smtpd_recipient_restrictions=rule) for i, rule in enumerate(rules)))
    mx.start()
    assert [rcpt(0), rcpt(1)] == ["250 2.1.5 Ok"] * 2
    policy.action = lambda attributes: None
    os.unlink(mx.config / "access.db")
    (mx.config / "access.db").write_bytes(b"no database")
    reply = rcpt(1)
    assert reply == "451 4.3.5 <jo@mx.test>: Recipient address rejected: Server configuration problem"
    mx.log.wait(f"warning: problem talking to server 127.0.0.1:{policy.port}: *")
    assert rcpt(6) == "250 2.1.5 Ok"
    assert rcpt(2) == "450 4.1.8 <ann@sender.test>: Sender address rejected: Domain not found"
    assert rcpt(3) == "450 4.7.1 <127.0.0.9>: Client host rejected: Service unavailable"
    assert rcpt(4) == "250 2.1.5 Ok"
    mx.log.wait("warning: 9.0.0.127.list.test: RBL lookup error: Host or domain name not found. Name service error for name=9.0.0.127.list.test type=A: Host not found, try again")
    assert rcpt(5) == "451 4.3.5 <ann@sender.test>: Sender address rejected: Server configuration error"
    mx.log.wait("warning: tcp:127.0.0.1:1 lookup error for \"*\"")
    policy.close()


@pytest.mark.postern_only("the reference opens a table again when it is idle")
def test_a_table_that_breaks_is_named(postern, dns):
    mx = postern(BASE, start=False)
    (mx.config / "access").write_text("127.0.0.9 OK\n")
    mx.command("postmap", f"hash:{mx.config}/access", check=False)
    with open(mx.config / "master.cf", "a") as master:
        master.write(service(0, smtpd_recipient_restrictions=f"check_client_access hash:{mx.config}/access"))
    mx.start()
    assert rcpt(0) == "250 2.1.5 Ok"
    (mx.config / "broken").write_bytes(b"no database")
    os.rename(mx.config / "broken", mx.config / "access.db")
    wait.until(lambda: rcpt(0) != "250 2.1.5 Ok", "the table to be missed")
    assert rcpt(0) == "451 4.3.5 <unknown[127.0.0.9]>: Client host rejected: Server configuration error"
    mx.log.wait(f"warning: *{mx.config}/access*")


@pytest.mark.postern_only("the reference asks one list after the other")
def test_all_lists_of_a_command_are_asked_at_once(postern, dns):
    names = [f"9.0.0.127.l{i}.test" for i in range(5)]
    for name in names:
        dns.delay(name, 1)
    postern(BASE, extra_master=service(0, smtpd_recipient_restrictions=", ".join(f"reject_rbl_client l{i}.test" for i in range(5))))
    started = time.monotonic()
    assert rcpt(0) == "250 2.1.5 Ok"
    assert time.monotonic() - started < 3


@pytest.mark.postern_only("the reference needs a process for each client")
def test_a_slow_list_delays_only_those_who_need_it(postern, dns):
    for client in range(10, 60):
        dns.delay(f"{client}.0.0.127.slow.test", 2)
    postern(BASE + "smtpd_peername_lookup = no\n", extra_master=service(
        0, smtpd_recipient_restrictions="check_client_access inline:{ 127.0.0.9=OK }, reject_rbl_client slow.test").replace("- - smtpd", "- 2 smtpd"))
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        slow = [pool.submit(lambda n=n: (time.monotonic(), rcpt(0, source=f"127.0.0.{n}"), time.monotonic())) for n in range(10, 60)]
        time.sleep(0.5)  # they all wait now, or soon do
        quick = []
        for _ in range(20):
            started = time.monotonic()
            assert rcpt(0) == "250 2.1.5 Ok"
            quick.append(time.monotonic() - started)
        assert sum(not f.done() for f in slow) > 25
        results = [f.result() for f in slow]
    assert sorted(quick)[10] < 0.5
    assert all(reply == "250 2.1.5 Ok" and 1.9 < end - begin < 15 for begin, reply, end in results)


def test_permits_are_logged_on_demand(postern, dns):
    dns.host("mail.client.test", "127.0.0.9")
    rules = ("permit", "check_client_access inline:{ 127.0.0.9=OK }", "permit_auth_destination", "check_sender_access inline:{ sender.test=12345 }", "permit_mynetworks")
    mx = postern(BASE, extra_master="".join(service(i, smtpd_recipient_restrictions=rule, smtpd_relay_restrictions="reject_unauth_destination", mynetworks="127.0.0.9",
                                                    smtpd_log_access_permit_actions="!permit_mynetworks, static:all") for i, rule in enumerate(rules)))
    for i in range(len(rules)):
        assert rcpt(i) == "250 2.1.5 Ok"
    for action in ("permit for Recipient address=jo@mx.test ", "OK for Client host=mail.client.test[127.0.0.9] from inline:{ 127.0.0.9=OK }",
                   "permit_auth_destination for Recipient address=jo@mx.test ", "12345 for Sender address=ann@sender.test from inline:{ sender.test=12345 }"):
        mx.log.wait(f"NOQUEUE: permit: RCPT from mail.client.test[127.0.0.9]: action={action}; from=<ann@sender.test> to=<jo@mx.test> proto=ESMTP helo=<client.test>")
    assert not mx.log.has("action=permit_mynetworks *")


def test_commands_out_of_step_and_bounces_to_many(postern, dns):
    postern(BASE, extra_master=service(0, smtpd_forbid_unauth_pipelining="no", smtpd_data_restrictions="reject_unauth_pipelining, reject_multi_recipient_bounce"))
    for recipients, data, reply in (
            (1, b"DATA\r\n", "354 *"), (2, b"DATA\r\n", "550 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce"),
            (1, b"DATA\r\nSubject: x\r\n\r\n.\r\n", "503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command pipelining")):
        with connect(0) as s:
            s.ehlo().send("MAIL FROM:<>").expect("250 *")
            for i in range(recipients):
                s.send(f"RCPT TO:<jo{i}@mx.test>").expect("250 *")
            s.raw(data).expect(reply)
