# SPDX-License-Identifier: Apache-2.0
"""TLS in both directions: what a policy demands is met, or the mail waits and nothing went in clear."""
import hashlib
import pathlib
import shutil
import ssl

import pytest

from world import wait
from world.session import Session, client_context

# As the guide for careful senders writes it.
CLIENT = """
tls_high_cipherlist = HIGH:@STRENGTH

smtp_tls_loglevel          = 1
smtp_tls_security_level   = may
smtp_tls_session_cache_database = btree:/var/lib/postfix/smtp_tls_cache
smtp_tls_CAfile           = /etc/ssl/certs/ca-certificates.crt
smtp_tls_protocols        = !SSLv2, !SSLv3
smtp_tls_ciphers          = high
smtp_tls_exclude_ciphers  = aNULL, MD5, CAMELLIA
smtp_tls_policy_maps = hash:/etc/postfix/tls_policy
"""
POLICY = "gmail.com    secure match=.google.com:google.com:.gmail.com:gmail.com\n"
# A destination that failed is asked again at once.
RETRY = "default_destination_concurrency_failed_cohort_limit = 0\nsmtp_connection_cache_on_demand = no\n"
LOCAL = "mydestination = mx.test\nlocal_recipient_maps =\n"

HOST = "gmail-smtp-in.l.google.com"
PEER = f"{HOST}[127.0.0.2]:25"
MITM = {"greeting": "220 *****", "ehlo": ("SIZE 35882577", "8BITMIME", "XXXXXXA", "ENHANCEDSTATUSCODES")}


@pytest.fixture
def trusted(machine_files, private_ca):
    """The machine trusts the private authority."""
    shutil.copy(private_ca.cert, "/etc/ssl/certs/ca-certificates.crt")
    return private_ca


def table(mx, path, text):
    pathlib.Path(path).write_text(text)
    mx.command("postmap", path)


def send(mx, recipient):
    """Hand in a mail; the log line of its delivery."""
    with mx.session() as s:
        queue_id = s.ehlo().mail("ann@mx.test", recipient)
    return mx.log.wait(f"{queue_id}: to=<{recipient}>*status=*")


def commands(host):
    return [line.split()[0].upper() for line in host.lines]


def test_policy_of_the_guide_holds_against_every_impostor(postern, remote, dns, trusted):
    mx = postern(CLIENT + RETRY, start=False)
    table(mx, "/etc/postfix/tls_policy", POLICY)
    mx.start()
    dns.mx("gmail.com", HOST, "127.0.0.2", 5)
    dns.mx("other.test", "mx.other.test", "127.0.0.3")
    good = trusted.issue("mx.google.com").files
    untrusted = f"certificate verification failed for {PEER}: "
    for why, host, want, line in (
            ("satisfied", {"tls": good}, "dsn=2.0.0, status=sent (250 2.0.0 taken)",
             f"Verified TLS connection established to {PEER}: TLSv1.3 with cipher *"),
            ("wrong name", {"tls": trusted.issue("mx.google.com.evil.test").files},
             "dsn=4.7.5, status=deferred (Server certificate not verified)",
             untrusted + "num=62:hostname mismatch"),
            ("expired", {"tls": trusted.issue("mx.google.com", days=(-3, -1)).files},
             "dsn=4.7.5, status=deferred (Server certificate not verified)",
             untrusted + "certificate has expired"),
            ("self-signed", {"tls": trusted.issue("mx.google.com", self_signed=True).files},
             "dsn=4.7.5, status=deferred (Server certificate not verified)",
             untrusted + "self-signed certificate"),
            ("stripped", MITM, "dsn=4.7.4, status=deferred (TLS is required, but was not offered by host "
             f"{HOST}[127.0.0.2])", ""),
            ("refused", {"ehlo": ["STARTTLS"], "replies": {"STARTTLS": "454 4.7.0 not today"}},
             f"dsn=4.7.0, status=deferred (TLS is required, but host {HOST}[127.0.0.2] refused to start TLS: "
             "454 4.7.0 not today)", ""),
            ("no handshake", {"ehlo": ["STARTTLS"], "replies": {"STARTTLS": "220 go"}},
             "dsn=4.7.5, status=deferred (Cannot start TLS: handshake failure)", f"SSL_connect error to {PEER}: *"),
    ):
        host = remote("127.0.0.2", **host)
        status = send(mx, "jo@gmail.com")
        print(why, status)
        assert status.endswith(want), (why, status)
        assert ", tls=" not in status or ", tls=secure" in status
        if line:
            mx.log.wait(line)
        if "sent" in want:
            assert [m["tls"] for m in host.messages] == [True], why
            assert commands(host)[:4] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]
        else:
            assert "MAIL" not in commands(host) and not host.messages, (why, host.lines)
        host.close()



def test_what_may_is_sent_in_clear_when_starttls_is_stripped_and_only_then(postern, remote, dns, trusted):
    mx = postern(CLIENT + RETRY, start=False)
    table(mx, "/etc/postfix/tls_policy", POLICY)
    mx.start()
    dns.mx("other.test", "mx.other.test", "127.0.0.2")
    peer = "mx.other.test[127.0.0.2]:25"
    for why, host, is_tls, line in (
            ("self-signed will do", {"tls": trusted.issue("any.test", self_signed=True).files}, True,
             f"Untrusted TLS connection established to {peer}: *"),
            ("known authority", {"tls": trusted.issue("any.test").files}, True,
             f"Trusted TLS connection established to {peer}: *"),
            ("stripped", MITM, False, ""),
            ("refused", {"ehlo": ["STARTTLS"], "replies": {"STARTTLS": "454 4.7.0 not today"}}, False, ""),
    ):
        host = remote("127.0.0.2", **host)
        status = send(mx, "jo@other.test")
        assert "dsn=2.0.0, status=sent" in status, (why, status)
        assert [m["tls"] for m in host.messages] == [is_tls], why
        if line:
            mx.log.wait(line)
        host.close()
    # A handshake that fails: later perhaps, and not in clear before the message has waited.
    host = remote("127.0.0.2", ehlo=["STARTTLS"], replies={"STARTTLS": "220 go"})
    assert "status=deferred (Cannot start TLS: handshake failure)" in send(mx, "jo@other.test")
    assert "MAIL" not in commands(host)


SERVER = """
tls_high_cipherlist = HIGH:@STRENGTH

smtpd_tls_loglevel          = 1
smtpd_tls_security_level    = may
smtpd_tls_session_cache_database = btree:/var/lib/postfix/smtpd_tls_cache
smtpd_tls_cert_file         = /etc/ssl/example.com.crt
smtpd_tls_key_file          = /etc/ssl/example.com.key
smtpd_tls_protocols         = !SSLv2, !SSLv3
smtpd_tls_ciphers           = high
smtpd_tls_exclude_ciphers   = aNULL, MD5, CAMELLIA

smtpd_recipient_restrictions =
    permit_mynetworks,
    permit_tls_clientcerts,
    reject
mynetworks = 127.0.0.1, [::1], 1.2.4.5
compatibility_level = 0
"""
RELAY_SERVICE = """
8025      inet n      -      -      -      -      smtpd
-o smtpd_tls_req_ccert=yes
-o smtpd_tls_security_level=encrypt
-o smtpd_tls_CAfile=/etc/ssl/certs/ca-certificates.crt
-o smtpd_tls_fingerprint_digest=sha1
-o relay_clientcerts=hash:/etc/postfix/relay_clientcerts
"""
STRANGER = "127.0.0.9"


@pytest.fixture
def relay(postern, trusted, remote, dns):
    """The relay of the guide: its certificate is /etc/ssl/example.com.crt."""
    pair = trusted.issue("relay.example.com", key="rsa")
    shutil.copy(pair.cert, "/etc/ssl/example.com.crt")
    shutil.copy(pair.key, "/etc/ssl/example.com.key")
    pathlib.Path("/etc/ssl/example.com.key").chmod(0o400)
    client = trusted.issue("client.example.com", key="rsa")
    # The guide's text has no blanks before -o; the reference wants them.
    service = RELAY_SERVICE.replace("\n-o", "\n  -o") if postern.is_reference else RELAY_SERVICE
    mx = postern(SERVER, start=False, extra_master=service)
    table(mx, "/etc/postfix/relay_clientcerts", f"{client.fingerprint('sha1')} example.com\n")
    mx.start()
    mx.pair, mx.client = pair, client
    dns.mx("far.test", "mx.far.test", "127.0.0.3").host("relay.example.com", "127.0.0.1")
    mx.far = remote("127.0.0.3")
    return mx


def relay_session(**options):
    return Session(("127.0.0.1", 8025), source=STRANGER, **options)


def test_relay_of_the_guide_takes_mail_from_known_certificates(relay, trusted):
    with relay_session() as s:
        s.ehlo()
        for line in ("MAIL FROM:<ann@client.test>", "RCPT TO:<jo@far.test>", "DATA", "RSET", "VRFY jo"):
            s.send(line).expect("530 5.7.0 Must issue a STARTTLS command first")
        s.send("NOOP").expect("250 *")
        s.starttls(client_context(relay.client)).ehlo()
        assert "STARTTLS" not in s.reply
        s.mail("ann@client.test", "jo@far.test")
    wait.until(lambda: relay.far.messages, "the mail at the far host")
    relay.log.wait(f"Trusted TLS connection established from unknown[{STRANGER}]: TLSv1.3 with cipher *")


@pytest.mark.parametrize("why, make, line, reply, noted", [
    ("known", lambda ca, client: client, "Trusted", None, ""),
    ("trusted and not listed", lambda ca, client: ca.issue("client.example.com", key="rsa"), "Trusted",
     "554 5.7.1 <jo@far.test>: Recipient address rejected: Access denied", ""),
    ("missing", lambda ca, client: None, "Anonymous", "421 4.7.1 mx.test Error: No client certificate presented", ""),
    ("signed by itself", lambda ca, client: ca.issue("client.example.com", self_signed=True), "Untrusted",
     "421 4.7.1 mx.test Error: Client certificate not trusted",
     "certificate verification failed for unknown[127.0.0.9]: self-signed certificate"),
    ("expired", lambda ca, client: ca.issue("client.example.com", days=(-3, -1)), "Untrusted",
     "421 4.7.1 mx.test Error: Client certificate not trusted",
     "certificate verification failed for unknown[127.0.0.9]: certificate has expired"),
])
def test_relay_of_the_guide_looks_at_certificates(relay, trusted, why, make, line, reply, noted):
    with relay_session() as s:
        s.ehlo().starttls(client_context(make(trusted, relay.client)))
        if reply and reply.startswith("421"):
            s.send("EHLO client.test").expect(reply)
            s.expect_close()
            relay.log.wait("NOQUEUE: abort: TLS from unknown[127.0.0.9]: " + reply.split("Error: ")[1])
            relay.log.wait("disconnect from unknown[127.0.0.9] ehlo=1 starttls=1 commands=2")
        else:
            s.ehlo()
            s.send("MAIL FROM:<ann@client.test>").expect("250 *")
            s.send("RCPT TO:<jo@far.test>").expect(reply or "250 2.1.5 Ok")
    relay.log.wait(f"{line} TLS connection established from unknown[127.0.0.9]: TLSv1.3 with cipher *")
    if noted:
        relay.log.wait(noted)


SENDER = """
relayhost = [relay.example.com]:8025
smtp_tls_security_level      = fingerprint
smtp_tls_fingerprint_digest  = {digest}
smtp_tls_fingerprint_cert_match = {match}
smtp_tls_cert_file = {cert}
smtp_tls_key_file  = {key}

smtp_tls_loglevel = 1
smtp_bind_address = 127.0.0.9
mydestination =
"""


@pytest.mark.parametrize("digest, of", [("sha1", "cert"), ("sha256", "cert"), ("sha256", "key"), ("sha1", "wrong")])
def test_mail_goes_through_the_relay_whose_fingerprint_is_listed(postern, relay, digest, of):
    match = {"cert": relay.pair.fingerprint, "key": relay.pair.key_fingerprint,
             "wrong": relay.client.fingerprint}[of](digest)
    mx = postern(SENDER.format(digest=digest, match=match, cert=relay.client.cert, key=relay.client.key))
    status = send(mx, "jo@far.test")
    peer = "relay.example.com[127.0.0.1]:8025"
    if of == "wrong":
        assert status.endswith("dsn=4.7.5, status=deferred (Server certificate not verified)"), status
        assert not relay.log.has(": client=unknown[127.0.0.9]")
    else:
        assert "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as " in status
        mx.log.wait(f"Verified TLS connection established to {peer}: *")
        wait.until(lambda: relay.far.messages, "the mail at the far host")


DANE = """
smtp_dns_support_level = dnssec
smtp_tls_security_level = dane
smtp_tls_loglevel = 1
smtp_tls_policy_maps = hash:/etc/postfix/tls_policy
"""


def test_dane_trusts_what_dnssec_says_and_nothing_else(postern, remote, dns, trusted):
    mx = postern(DANE + RETRY + ("" if postern.is_reference else
                                 "dnssec_trust_anchor_file = /etc/postfix/anchor\n"), start=False)
    pathlib.Path("/etc/postfix/anchor").write_text(dns.sign("signed.test"))
    table(mx, "/etc/postfix/tls_policy", "only.signed.test dane-only\nbare.test dane-only\n"
          "bareonly.signed.test dane-only\n")
    mx.start()
    pair = trusted.issue("mx.any.test", "mx.any.test", "mx.ta.signed.test")
    good = "3 1 1 " + hashlib.sha256(pair.key_der()).hexdigest()
    whole = "3 0 2 " + hashlib.sha512(pair.cert_der()).hexdigest()
    anchor = "2 0 1 " + hashlib.sha256(trusted.cert_der()).hexdigest()
    wrong = "3 1 1 " + "ab" * 32
    unusable = "0 0 1 " + "ab" * 32
    pair_chain = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair_chain.load_cert_chain(pair.chain)
    host = remote("127.0.0.2", tls=pair_chain)
    plain = remote("127.0.0.3")
    refused = "dsn=4.7.5, status=deferred (Server certificate not verified)"
    for domain, records, want, line in (
            ("ee.signed.test", [good], "sent", "Verified TLS connection established to {}"),
            ("whole.signed.test", [whole], "sent", "Verified TLS connection established to {}"),
            ("ta.signed.test", [anchor], "sent", "Verified TLS connection established to {}"),
            ("taname.signed.test", [anchor], refused, "verification failed for {}: num=62:hostname mismatch"),
            ("roll.signed.test", [wrong, good], "sent", "Verified TLS connection established to {}"),
            ("wrong.signed.test", [wrong], refused,
             "verification failed for {}: num=65:no matching DANE TLSA records"),
            ("unusable.signed.test", [unusable], "sent", "Untrusted TLS connection established to {}"),
            ("mixed.signed.test", [unusable, good], "sent", "Verified TLS connection established to {}"),
            ("none.signed.test", [], "sent", "Untrusted TLS connection established to {}"),
            ("open.test", [good], "sent", "Untrusted TLS connection established to {}"),
            ("only.signed.test", [good], "sent", "Verified TLS connection established to {}"),
            ("bareonly.signed.test", [], "dsn=4.7.5, status=deferred (no TLSA records found)",
             "TLS policy lookup for bareonly.signed.test/mx.bareonly.signed.test: no TLSA records found"),
            ("bare.test", [good], "dsn=4.7.5, status=deferred (non DNSSEC destination)", ""),
    ):
        name = f"mx.{domain}"
        dns.mx(domain, name, "127.0.0.2")
        if records:
            dns.add(f"_25._tcp.{name}", "TLSA", *records)
        before = len(host.lines)
        status = send(mx, f"jo@{domain}")
        assert f"status={want}" in status or status.endswith(want), (domain, status)
        if line:
            mx.log.wait("*" + line.format(f"{name}[127.0.0.2]:25") + "*")
        if want != "sent":
            assert not [x for x in host.lines[before:] if x.startswith("MAIL")], domain
    # Where records demand TLS, clear text is no way out.
    for domain, records in (("clear.signed.test", [good]), ("clearodd.signed.test", [unusable])):
        dns.mx(domain, f"mx.{domain}", "127.0.0.3").add(f"_25._tcp.mx.{domain}", "TLSA", *records)
        assert "status=deferred (TLS is required, but was not offered by host" in send(mx, f"jo@{domain}")
    assert "MAIL" not in commands(plain)
    # What cannot be looked up is not "no record".
    dns.mx("fail.signed.test", "mx.fail.signed.test", "127.0.0.2").servfail("_25._tcp.mx.fail.signed.test")
    assert "dsn=4.7.5, status=deferred (TLSA lookup error for mx.fail.signed.test:25)" in send(
        mx, "jo@fail.signed.test")
    # The name of the host may be forged: its certificate is not.
    dns.add("elsewhere.test", "MX", "10 mx.ee.signed.test.")
    assert "status=sent" in send(mx, "jo@elsewhere.test")
    mx.log.wait("Trusted TLS connection established to mx.ee.signed.test[127.0.0.2]:25: *")
    # A signed alias: the records are at its end, or at its beginning.
    dns.add("alias.signed.test", "MX", "10 mail.alias.signed.test.")
    dns.add("mail.alias.signed.test", "CNAME", "mx.ee.signed.test.")
    assert "status=sent" in send(mx, "jo@alias.signed.test")
    mx.log.wait("Verified TLS connection established to mail.alias.signed.test[127.0.0.2]:25: *")


@pytest.mark.postern_only("the reference leaves it to its name server")
def test_a_bogus_signature_is_an_error_and_no_answer(postern, remote, dns, trusted):
    mx = postern(DANE + "dnssec_trust_anchor_file = /etc/postfix/anchor\n", start=False)
    pathlib.Path("/etc/postfix/anchor").write_text(dns.sign("signed.test"))
    table(mx, "/etc/postfix/tls_policy", "")
    mx.start()
    pair = trusted.issue("mx.any.test")
    host = remote("127.0.0.2", tls=pair.files)
    good = "3 1 1 " + hashlib.sha256(pair.key_der()).hexdigest()
    for domain, rdtype in (("tlsa.signed.test", "TLSA"), ("mx.signed.test", "MX")):
        dns.mx(domain, f"host.{domain}", "127.0.0.2").add(f"_25._tcp.host.{domain}", "TLSA", good)
        dns.spoil(domain if rdtype == "MX" else f"_25._tcp.host.{domain}", rdtype)
        assert "status=deferred" in send(mx, f"jo@{domain}")
    assert not host.messages
