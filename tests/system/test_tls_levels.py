# SPDX-License-Identifier: Apache-2.0
"""TLS of the client by table, of the server by name and key; what attackers slip in before TLS."""
import pathlib
import shutil
import socket
import ssl

import pytest

from test_tls import LOCAL, RETRY, commands, send, table, trusted  # noqa: F401 (a fixture)
from world import wait
from world.remote import server_context
from world.session import Session, client_context

TLS12 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
TLS13 = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
REFUSED = "dsn=4.7.5, status=deferred (Server certificate not verified)"
PROBLEM = "dsn=4.7.5, status=deferred (client TLS configuration problem)"
SENT = "status=sent"


def test_policy_table_by_key_and_attribute(postern, remote, dns, trusted):
    """Each domain has a line; its host mx.DOMAIN shows a certificate for any.test or what is said."""
    other = type(trusted)(trusted.folder, "Other CA")
    any_pair = trusted.issue("any.test", "any.test", "*.wild.test", "mx.host.test", "hop.test")
    strange = other.issue("any.test")
    lines, cases = [], []

    def case(domain, policy, want, key=None, to=None):
        if policy is not None:
            lines.append(f"{key or domain} {policy}")
        cases.append((domain, to or domain, want))

    case("host.test", "verify", SENT)
    case("nohost.test", "verify", REFUSED)
    case("hop.test", "secure", SENT)
    case("below.any.test", "secure match=any.test", SENT)
    case("sub.wild.test", "secure match=nexthop", SENT)
    # Since 3.11 a wildcard stands for several labels.
    case("two.sub.wild.test", "secure match=nexthop", REFUSED if postern.is_reference else SENT)
    case("dothop.test", "secure match=dot-nexthop", REFUSED)
    case("suffix.test", "secure match=.wild.test", SENT)
    case("hostname.test", "secure match=hostname", REFUSED)
    case("list.test", "secure match=nothing.test:any.test", SENT)
    case("again.test", "secure match=nothing.test match=any.test", SENT)
    case("child.parent.test", "encrypt", SENT, key=".parent.test")
    case("grand.child.parent.test", None, SENT)
    case("finger.test", f"fingerprint match={'00:' * 31}00|{any_pair.fingerprint()}", SENT)
    case("fingerkey.test", f"fingerprint match={any_pair.key_fingerprint()}", SENT)
    case("fingerno.test", f"fingerprint match={'00:' * 31}00", REFUSED)
    case("fingernone.test", "fingerprint", PROBLEM)
    case("tafile.test", f"secure match=any.test tafile={other.cert}", REFUSED)
    case("proto12.test", "encrypt protocols=TLSv1.2", SENT)
    case("proto13.test", "encrypt protocols=!TLSv1:!TLSv1.1:!TLSv1.2", SENT)
    case("ciphers.test", "encrypt protocols=TLSv1.2 ciphers=high exclude=AES256:CHACHA20", SENT)
    case("servername.test", "encrypt servername=named.test", SENT)
    case("servernexthop.test", "secure match=any.test servername=nexthop", SENT)
    case("badlevel.test", "strong", PROBLEM)
    case("badattr.test", "secure foo=bar", PROBLEM)
    case("badmatch.test", "may match=x", PROBLEM)
    case("badgrade.test", "encrypt ciphers=best", PROBLEM)
    case("twice.test", "encrypt protocols=TLSv1.2 protocols=TLSv1.3", PROBLEM)
    case("grades.test", "encrypt ciphers=high ciphers=medium", PROBLEM)
    case("excludes.test", "encrypt exclude=AES exclude=RSA", PROBLEM)
    case("names.test", "encrypt servername=a.test servername=b.test", PROBLEM)
    case("badname.test", "encrypt servername=bad..name", PROBLEM)
    case("none.test", "none", SENT)
    mx = postern(f"""
        smtp_tls_security_level = may
        smtp_tls_loglevel = 1
        smtp_tls_CAfile = {trusted.cert}
        smtp_tls_policy_maps = hash:/etc/postfix/tls_policy
        {RETRY.replace(chr(10), chr(10) + '        ')}""", start=False)
    table(mx, "/etc/postfix/tls_policy", "\n".join(lines) + "\n")
    mx.start()
    host = remote("127.0.0.2", tls=any_pair.files)
    foreign = remote("127.0.0.3", tls=strange.files)
    handshakes = {}
    for domain, to, want in cases:
        dns.mx(domain, f"mx.{domain}", "127.0.0.2")
        before, shaken = len(host.lines), len(host.handshakes)
        status = send(mx, f"jo@{to}")
        assert want in status, (domain, status)
        if want != SENT:
            assert not [x for x in host.lines[before:] if x.startswith("MAIL")], domain
        handshakes[domain] = host.handshakes[shaken:]
    assert handshakes["none.test"] == []
    assert handshakes["proto12.test"][0]["version"] == "TLSv1.2"
    assert handshakes["proto13.test"][0]["version"] == "TLSv1.3"
    assert "AES128" in handshakes["ciphers.test"][0]["cipher"] or "AES_128" in handshakes["ciphers.test"][0]["cipher"]
    assert handshakes["servername.test"][0]["sni"] == "named.test"
    assert handshakes["servernexthop.test"][0]["sni"] == "servernexthop.test"
    # The authority that one line names is enough, and it alone.
    table(mx, "/etc/postfix/tls_policy", f"foreign.test secure match=any.test tafile={other.cert}\n"
          "unknown.test secure match=any.test\n[mx.foreign.test]:25 encrypt\n[mx.foreign.test] none\n")
    mx.reload()
    for domain, want in (("foreign.test", SENT), ("unknown.test", REFUSED)):
        dns.mx(domain, f"mx.{domain}", "127.0.0.3")
        wait.until(lambda: want in send(mx, f"jo@{domain}"), f"{domain}: {want}")
    assert foreign.messages
    mx.log.wait("certificate verification failed for mx.unknown.test[127.0.0.3]:25: untrusted issuer /CN=Other CA")


@pytest.mark.postern_only("each setting is told apart here")
def test_one_connection_for_more_mail_only_where_the_table_says_so(postern, remote, dns, trusted):
    mx = postern("smtp_tls_security_level = encrypt\nsmtp_tls_loglevel = 1\ninitial_destination_concurrency = 1\n"
                 "default_destination_concurrency_limit = 1\nsmtp_tls_policy_maps = "
                 "inline:{ {yes.test=encrypt connection_reuse=yes} {no.test=encrypt} }\n")
    host = remote("127.0.0.2", tls=trusted.issue("any.test").files)
    for domain in ("yes.test", "no.test"):
        dns.mx(domain, f"mx.{domain}", "127.0.0.2")
        with mx.session() as s:
            s.ehlo()
            for _ in range(8):
                s.mail("ann@mx.test", f"jo@{domain}")
        mx.queue.wait_empty()
        print(domain, host.sessions, len(host.messages))
    assert len(host.messages) == 16
    assert len(host.handshakes) <= 8 + 4
    mx.log.wait("Untrusted TLS connection reused to mx.yes.test[127.0.0.2]:25: *")
    assert not mx.log.has("reused to mx.no.test*")


@pytest.mark.postern_only("the reference does not notice")
def test_a_host_that_stops_offering_starttls_is_noticed(postern, remote, dns, trusted):
    mx = postern("smtp_tls_security_level = may\nsmtp_connection_cache_on_demand = no\n")
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    host = remote("127.0.0.2", tls=trusted.issue("any.test").files)
    assert SENT in send(mx, "jo@far.test")
    assert not mx.log.has("*offered STARTTLS before*")
    host.close()
    host = remote("127.0.0.2")
    assert SENT in send(mx, "jo@far.test")
    mx.log.wait("warning: mx.far.test[127.0.0.2]:25 offered STARTTLS before and does not any more: *")


def test_wrapped_tls_both_ways(postern, remote, dns, trusted):
    pair = trusted.issue("mx.test")
    mx = postern(LOCAL + f"smtpd_tls_cert_file = {pair.cert}\nsmtpd_tls_key_file = {pair.key}\n"
                 "relayhost = [127.0.0.2]:1465\nsmtp_tls_security_level = encrypt\nsmtp_tls_wrappermode = yes\n"
                 "smtpd_tls_loglevel = 1\nsmtp_tls_loglevel = 1\n",
                 extra_master="127.0.0.1:1466 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes "
                              "-o smtpd_tls_security_level=encrypt\n")
    host = remote("127.0.0.2", port=1465, tls=pair.files, wrapped=True)
    with Session(("127.0.0.1", 1466), greeting=None) as s:
        s.handshake().expect("220 *")
        s.ehlo()
        assert "STARTTLS" not in s.reply
        s.mail("ann@mx.test", "jo@far.test")
    wait.until(lambda: host.messages, "the mail at the far host")
    assert host.messages[0]["tls"]


@pytest.mark.parametrize("key", ["rsa", "ecdsa", "ed25519"])
def test_every_key_type_serves_both_versions(postern, trusted, key):
    pair = trusted.issue("mx.test", key=key)
    mx = postern(LOCAL + f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {pair.chain}\n"
                 "smtpd_tls_loglevel = 1\nsmtpd_tls_received_header = yes\n")
    for versions, name in ((TLS12, "TLSv1.2"), (TLS13, "TLSv1.3")):
        with mx.session() as s:
            s.ehlo().starttls(client_context(versions=versions)).ehlo()
            queue_id = s.mail("ann@client.test", "nobody@mx.test")
        mx.log.wait(f"Anonymous TLS connection established from localhost[127.0.0.1]: {name} with cipher *")
        mx.log.wait(f"{queue_id}: removed")
        assert f"\t(using {name} with cipher " in mx.mailbox("nobody")
    text = mx.mailbox("nobody")
    signature = {"rsa": "RSA-PSS (2048 bits) server-digest SHA256", "ecdsa": "ECDSA (prime256v1) server-digest SHA256",
                 "ed25519": "ED25519"}[key]
    assert f"server-signature {signature})" in text
    assert "\t(No client certificate requested)" in text


def test_several_keys_at_once_and_names_of_ones_own(postern, machine_files, trusted):
    rsa, ecdsa = trusted.issue("rsa.mx.test", key="rsa"), trusted.issue("ecdsa.mx.test")
    named = trusted.issue("named.test")
    mx = postern(LOCAL + f"""
smtpd_tls_security_level = may
smtpd_tls_cert_file = {rsa.cert}
smtpd_tls_key_file = {rsa.key}
smtpd_tls_eccert_file = {ecdsa.cert}
smtpd_tls_eckey_file = {ecdsa.key}
smtpd_tls_loglevel = 1
tls_server_sni_maps = hash:/etc/postfix/sni
""", start=False)
    pathlib.Path("/etc/postfix/sni").write_text(f"named.test {named.key} {named.cert}\n"
                                                f".below.test {named.chain}\n")
    mx.command("postmap", "-F", "hash:/etc/postfix/sni")
    mx.start()
    for name, ciphers, want in (("x.test", "ECDHE-ECDSA-AES256-GCM-SHA384", ecdsa),
                                ("x.test", "ECDHE-RSA-AES256-GCM-SHA384", rsa),
                                ("named.test", None, named), ("a.b.below.test", None, named), ("below.test", None, ecdsa)):
        context = client_context(versions=TLS12, ciphers=ciphers)
        with mx.session() as s:
            s.ehlo().send("STARTTLS").expect("220 *")
            s.file.close()
            s.sock = context.wrap_socket(s.sock, server_hostname=name)
            s.file = s.sock.makefile("rb")
            assert s.sock.getpeercert(True) == want.cert_der(), (name, ciphers)
            s.ehlo()
    mx.log.wait("Anonymous TLS connection established from localhost[127.0.0.1] to named.test: TLSv1.2 with cipher *")


def resume(mx, session, port, versions):
    """A connection that shows the session; its socket."""
    context = client_context(versions=versions)
    if session is not None:
        context = session[0]
    s = Session(("127.0.0.1", port))
    s.ehlo().send("STARTTLS").expect("220 *")
    s.file.close()
    s.sock = context.wrap_socket(s.sock, session=session[1] if session else None)
    s.file = s.sock.makefile("rb")
    s.ehlo()  # TLS 1.3 sends the ticket behind the handshake
    return s, (context, s.sock.session)


@pytest.mark.parametrize("versions", [TLS12, TLS13], ids=["TLSv1.2", "TLSv1.3"])
def test_sessions_are_resumed_by_a_successor_too_and_by_no_other_service(postern, trusted, versions):
    pair = trusted.issue("mx.test")
    mx = postern(LOCAL + f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {pair.chain}\n",
                 extra_master="127.0.0.1:1025 inet n - n - - smtpd\n  -o smtpd_tls_ask_ccert=yes\n")
    s, session = resume(mx, None, mx.port, versions)
    assert not s.sock.session_reused
    s.close()
    s, session = resume(mx, session, mx.port, versions)
    assert s.sock.session_reused
    if mx.kind == "postern":  # since 3.12
        other, _ = resume(mx, session, 1025, versions)
        assert not other.sock.session_reused
        other.close()
    # A renewed certificate is taken up, and who is connected stays so.
    fresh = trusted.issue("mx.test")
    shutil.copy(fresh.chain, pair.chain)
    mx.reload()

    def renewed():
        with mx.session() as new:
            new.ehlo().starttls()
            return new.sock.getpeercert(True) == fresh.cert_der()
    wait.until(renewed, "the renewed certificate")
    s.send("NOOP").expect("250 *")
    s.mail("ann@client.test", "nobody@mx.test")
    s.close()
    if mx.kind == "postern":
        s, _ = resume(mx, session, mx.port, versions)
        assert s.sock.session_reused
        s.close()


@pytest.mark.parametrize("cache", ["", "btree:${data_directory}/smtpd_scache", "lmdb:${data_directory}/smtpd_scache"])
def test_a_client_without_tickets_resumes_where_sessions_are_kept(postern, trusted, cache):
    pair = trusted.issue("mx.test")
    mx = postern(LOCAL + f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {pair.chain}\n"
                 f"smtpd_tls_session_cache_database = {cache}\n")
    context = client_context(versions=TLS12)
    context.options |= ssl.OP_NO_TICKET
    session = None
    for reused in (False, bool(cache)):
        with mx.session() as s:
            s.ehlo().send("STARTTLS").expect("220 *")
            s.file.close()
            s.sock = context.wrap_socket(s.sock, session=session)
            s.file = s.sock.makefile("rb")
            s.ehlo()
            assert s.sock.session_reused == reused
            session = s.sock.session


@pytest.mark.postern_only("3.7 answers a command in clear behind STARTTLS with 554 or drops it likewise")
@pytest.mark.parametrize("injected", [b"EHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\n", b"NOOP\r\n", b"\r\n",
                                      b"RSET\r\nQUIT\r\n", b"x" * 5000])
def test_commands_slipped_in_before_the_handshake_do_nothing(postern, trusted, injected):
    pair = trusted.issue("mx.test")
    mx = postern(LOCAL + f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {pair.chain}\n"
                 "smtpd_forbid_unauth_pipelining = no\n")
    with mx.session() as s:
        s.ehlo()
        s.raw(b"STARTTLS\r\n" + injected).expect("220 *")
        try:
            s.handshake()
        except (ssl.SSLError, ConnectionError, socket.timeout):
            return  # taken for a handshake: the session is over
        s.ehlo()
        s.send("RCPT TO:<nobody@mx.test>").expect("503 5.5.1 Error: need MAIL command")
        s.send("QUIT").expect("221 *")
    mx.log.wait("disconnect from localhost[127.0.0.1] ehlo=2 starttls=1 rcpt=0/1 quit=1 commands=4/5")


def test_replies_slipped_in_before_the_handshake_are_not_believed(postern, remote, dns, trusted):
    mx = postern("smtp_tls_security_level = encrypt\n" + RETRY)
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    host = remote("127.0.0.2", tls=trusted.issue("any.test").files,
                  early=b"250-mx.far.test\r\n250 AUTH PLAIN\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n")
    status = send(mx, "jo@far.test")
    if mx.kind == "postern":
        assert "status=deferred (Cannot start TLS: host mx.far.test[127.0.0.2] sent bytes before the handshake)" \
            in status, status
        assert not host.messages
    else:
        assert "status=sent (250 2.0.0 taken)" in status or "status=deferred" in status, status


@pytest.mark.parametrize("setting, problem", [
    ("smtpd_tls_exclude_ciphers = ALL", "smtpd_tls_ciphers = medium: the list \"*\" selects no cipher"),
    ("smtpd_tls_ciphers = best", "invalid TLS cipher grade: \"best\""),
    ("smtpd_tls_protocols = TLSv9", "invalid TLS protocol list \"TLSv9\"*"),
    ("smtpd_tls_protocols = >=TLSv1.3, <=TLSv1.2", "*nothing is left*"),
    ("smtpd_tls_CAfile = /nonexistent", "smtpd_tls_CAfile = /nonexistent: *"),
    ("smtpd_tls_cert_file = /nonexistent", "smtpd_tls_cert_file = /nonexistent: *"),
    ("smtpd_tls_fingerprint_digest = crc", "smtpd_tls_fingerprint_digest: unknown digest \"crc\""),
    ("tls_ssl_options = NO_SUCH_THING", "tls_ssl_options: unknown name \"NO_SUCH_THING\""),
    ("tls_eecdh_auto_curves = X9999", "the list of curves \"X9999\" selects none that OpenSSL has"),
    ("tls_config_file = /nonexistent.cnf", "tls_config_file = /nonexistent.cnf*"),
])
@pytest.mark.postern_only("the words are ours")
def test_what_cannot_work_is_one_clear_line_and_no_tls(postern, trusted, setting, problem):
    pair = trusted.issue("mx.test")
    mx = postern(LOCAL + f"smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {pair.cert}\n"
                 f"smtpd_tls_key_file = {pair.key}\n{setting}\n")
    with mx.session() as s:
        s.ehlo()
        s.send("STARTTLS").expect("454 4.7.0 TLS not available due to local problem")
    mx.log.wait("warning: *" + problem)


def test_ciphers_as_the_guide_excludes_them_are_out(postern, trusted):
    pair = trusted.issue("mx.test", key="rsa")
    mx = postern(LOCAL + f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {pair.chain}\n"
                 "tls_high_cipherlist = HIGH:@STRENGTH\nsmtpd_tls_ciphers = high\n"
                 "smtpd_tls_protocols = !SSLv2, !SSLv3\nsmtpd_tls_exclude_ciphers = aNULL, MD5, CAMELLIA\n")
    for cipher, taken in (("ECDHE-RSA-AES256-GCM-SHA384", True), ("ECDHE-RSA-CAMELLIA256-SHA384", False),
                          ("ADH-AES256-GCM-SHA384", False)):
        context = client_context(versions=TLS12, ciphers=cipher + ":@SECLEVEL=0")
        with mx.session() as s:
            s.ehlo()
            try:
                s.starttls(context).ehlo()
                assert taken, cipher
            except (ssl.SSLError, ConnectionError, EOFError):
                assert not taken, cipher


def test_asked_for_certificates_are_told_in_received(postern, trusted):
    pair, client = trusted.issue("mx.test"), trusted.issue("client.test", key="rsa")
    mx = postern(LOCAL + f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {pair.chain}\n"
                 f"smtpd_tls_ask_ccert = yes\nsmtpd_tls_CAfile = {trusted.cert}\nsmtpd_tls_received_header = yes\n")
    for own, want in ((client, '\t(Client CN "client.test", Issuer "Private Test CA" (verified OK))'),
                      (trusted.issue("self.test", self_signed=True),
                       '\t(Client CN "self.test", Issuer "self.test" (not verified))'),
                      (None, "\t(Client did not present a certificate)")):
        with mx.session() as s:
            s.ehlo().starttls(client_context(own)).ehlo()
            queue_id = s.mail("ann@client.test", "nobody@mx.test")
        mx.log.wait(f"{queue_id}: removed")
        assert want in mx.mailbox("nobody")


@pytest.mark.postern_only("the reference offers TLS 1.0 and ciphers without a certificate")
def test_tls_1_0_is_offered_only_where_it_is_asked_for(postern, trusted):
    pair = trusted.issue("mx.test", key="rsa")
    mx = postern(LOCAL + f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {pair.chain}\n",
                 extra_master="127.0.0.1:1025 inet n - n - - smtpd\n  -o smtpd_tls_protocols=>=TLSv1\n")
    old = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1)
    for port, taken in ((1025, True), (mx.port, False)):
        with Session(("127.0.0.1", port)) as s:
            s.ehlo()
            try:
                s.starttls(client_context(versions=old, ciphers="ALL:@SECLEVEL=0")).ehlo()
                assert taken and s.sock.version() == "TLSv1"
            except (ssl.SSLError, ConnectionError, EOFError):
                assert not taken


def test_a_failed_handshake_at_may_is_followed_by_clear_text_only_for_old_mail(postern, remote, dns):
    mx = postern("smtp_tls_security_level = may\nminimal_backoff_time = 2s\nmaximal_backoff_time = 2s\n"
                 "queue_run_delay = 1s\n" + RETRY)
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    host = remote("127.0.0.2", ehlo=["STARTTLS"], replies={"STARTTLS": "220 go"})
    assert "status=deferred (Cannot start TLS: handshake failure)" in send(mx, "jo@far.test")
    assert "MAIL" not in commands(host)
    wait.until(lambda: host.messages, "the mail, in clear now that it is old", 30)
    assert not host.messages[0]["tls"]


def test_certificates_and_keys_let_mail_through_by_sha256(postern, trusted):
    pair, client, key = trusted.issue("mx.test"), trusted.issue("one.test"), trusted.issue("two.test")
    stranger, foreign = trusted.issue("three.test"), trusted.issue("four.test", self_signed=True)
    common = ("  -o smtpd_tls_ask_ccert=yes\n  -o smtpd_tls_CAfile={ca}\n  -o smtpd_tls_fingerprint_digest=sha256\n"
              "  -o smtpd_relay_restrictions={rules}\n  -o relay_clientcerts=hash:/etc/postfix/relay_clientcerts\n")
    services = "".join(
        f"127.0.0.1:{port} inet n - n - - smtpd\n" + common.format(ca=trusted.cert, rules=rules) for port, rules in (
            (1025, "permit_tls_clientcerts,reject"), (1026, "permit_tls_all_clientcerts,reject"),
            (1027, "$by_ccert")))
    mx = postern(f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {pair.chain}\nmydestination =\n"
                 "by_ccert = check_ccert_access hash:/etc/postfix/ccert, reject\ndefault_transport = discard:\n",
                 start=False, extra_master=services)
    table(mx, "/etc/postfix/relay_clientcerts", f"{client.fingerprint()} one\n{key.key_fingerprint()} two\n")
    table(mx, "/etc/postfix/ccert", f"{client.fingerprint()} OK\n{key.key_fingerprint()} REJECT not you\n")
    mx.start()
    denied = "554 5.7.1 <jo@far.test>: Recipient address rejected: Access denied"
    for port, own, reply in (
            (1025, client, "250 *"), (1025, key, "250 *"), (1025, stranger, denied), (1025, None, denied),
            (1026, stranger, "250 *"), (1026, foreign, denied), (1026, None, denied),
            (1027, client, "250 *"), (1027, key, "554 5.7.1 <*: not you"), (1027, stranger, denied)):
        with Session(("127.0.0.1", port)) as s:
            s.ehlo().starttls(client_context(own)).ehlo()
            s.send("MAIL FROM:<ann@client.test>").expect("250 *")
            s.send("RCPT TO:<jo@far.test>").expect(reply)


def test_a_policy_table_that_fails_keeps_the_mail(postern, remote, dns):
    mx = postern("smtp_tls_security_level = may\nsmtp_tls_policy_maps = tcp:127.0.0.1:1\n")
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    host = remote("127.0.0.2")
    assert PROBLEM in send(mx, "jo@far.test")
    assert not host.lines
