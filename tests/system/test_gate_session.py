# SPDX-License-Identifier: Apache-2.0
"""Sessions under rules of their own: a proxy in front, filtered commands, footers, deadlines, errors."""
import socket
import struct
import time

import pytest

from world.session import Session

SETTINGS = """
    mydestination = mx.test
    local_recipient_maps =
    mynetworks = 127.0.0.9/32
    smtpd_error_sleep_time = 0
"""
PORTS = {
    "proxy": (20201, "-o smtpd_upstream_proxy_protocol=haproxy -o smtpd_upstream_proxy_timeout=2 -o inet_protocols=all"),
    "footer": (20202, "-o { smtpd_reject_footer = Call {$client} $client_address $server_name $helo_name $sender }"),
    "lines": (20203, r"-o { smtpd_reject_footer = \c. See $server_name\nsecond line }"),
    "footers": (20204, "-o smtpd_reject_footer=plain -o smtpd_reject_footer_maps=pcre:{dir}/footer.pcre"),
    "filter": (20205, "-o smtpd_command_filter=pcre:{dir}/filter.pcre -o smtpd_noop_commands=foo,Bar"),
    "deadline": (20206, "-o smtpd_timeout=2 -o smtpd_per_request_deadline=yes"),
    "keywords": (20207, "-o smtpd_discard_ehlo_keyword_address_maps=inline:{{127.0.0.1=dsn,etrn}} "
                        "-o smtpd_discard_ehlo_keywords=vrfy"),
    "open": (20208, "-o smtpd_client_port_logging=yes -o smtpd_delay_open_until_valid_rcpt=no"),
    "errors": (20209, "-o smtpd_hard_error_limit=3 -o smtpd_soft_error_limit=1 -o smtpd_error_sleep_time=1"),
    "junk": (20210, "-o smtpd_junk_command_limit=3 -o smtpd_hard_error_limit=2"),
    "recipients": (20211, "-o smtpd_recipient_limit=2 -o smtpd_recipient_overshoot_limit=2 -o smtpd_hard_error_limit=2"),
}
PORTS["early"] = (20212, "-o smtpd_forbid_unauth_pipelining=no -o smtpd_data_restrictions=reject_unauth_pipelining")
FILTER = "/^XX(.*)$/ NOOP$1\n/^rcpt to:<a>(.*)/i RCPT TO:<jo@mx.test>$1\n"


@pytest.fixture(scope="module")
def mx(module_postern):
    server = module_postern(SETTINGS, start=False)
    (server.dir / "filter.pcre").write_text(FILTER)
    (server.dir / "footer.pcre").write_text("/^50. 5.5.2 Error: command not recognized$/ special\n")
    with open(server.config / "master.cf", "a", encoding="ascii") as master:
        for port, options in PORTS.values():
            master.write(f"127.0.0.1:{port} inet n - n - - smtpd {options.replace('{dir}', str(server.dir))}\n")
    return server.start()


def connect(name, greeting="220 *", source=None):
    return Session(("127.0.0.1", PORTS[name][0]), greeting=greeting, source=source)


SIGN = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.8") + struct.pack("!HH", 1234, 25)
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") * 2 + struct.pack("!HH", 1234, 25)


@pytest.mark.parametrize("header, client", [
    (b"PROXY TCP4 192.0.2.5 192.0.2.6 1111 25\r\n", "unknown[192.0.2.5]"),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 1111 25\r\n", "unknown[2001:db8::1]"),
    (SIGN + b"\x21\x11\x00\x0c" + V4, "unknown[192.0.2.7]"),
    (SIGN + b"\x21\x11\x00\x10" + V4 + b"\x01\x00\x01x", "unknown[192.0.2.7]"),
    (SIGN + b"\x21\x21\x00\x24" + V6, "unknown[2001:db8::7]"),
    (SIGN + b"\x20\x00\x00\x00", "localhost[127.0.0.1]"),
    (SIGN + b"\x20\x11\x00\x0c" + b"x" * 12, "localhost[127.0.0.1]"),
])
def test_a_proxy_says_for_whom_it_connects(mx, header, client):
    sender = f"{abs(hash(header))}@client.test"
    with connect("proxy", None) as s:
        s.raw(header).expect("220 mx.test ESMTP Postfix")
        s.send(f"MAIL FROM:<{sender}>").expect("250 *").send("RCPT TO:<x@far.test>").expect("454 *")
    mx.log.wait(f"reject: RCPT from {client}: 454 4.7.1 *; from=<{sender}> *")


@pytest.mark.parametrize("header, why", [
    (b"PROXY UNKNOWN\r\n", "bad or missing protocol type: PROXY UNKNOWN\\r\\n"),
    (b"PROXY TCP4 192.0.2.500 192.0.2.6 1111 25\r\n", "bad or missing client address: *"),
    (b"PROXY TCP4 192.0.2.5 192.0.2.6 99999 25\r\n", "bad or missing client port: *"),
    (b"P" * 90 + b"\r\n", "unrecognized protocol header: *"),
    (SIGN + b"\x21\x12\x00\x0c" + b"y" * 12, "unsupported network protocol: *"),
    (SIGN + b"\x11\x11\x00\x0c" + b"z" * 12, "unrecognized protocol version: *"),
    (SIGN + b"\x22\x11\x00\x0c" + b"x" * 12, "bad command in proxy header: *"),
    (SIGN + b"\x21\x11\x00\x04xxxx", "short address field: *"),
])
def test_what_is_no_proxy_is_sent_away(mx, header, why):
    with connect("proxy", None) as s:
        s.raw(header).expect("421 4.3.0 mx.test Server local error")
    mx.log.wait("warning: haproxy read: " + why)


def test_a_proxy_that_says_nothing_is_not_waited_for(mx):
    with connect("proxy", None) as s:
        started = time.monotonic()
        s.raw(b"PROXY TCP4 192").expect("421 4.3.0 mx.test Server local error")
        assert time.monotonic() - started < 6
    mx.log.wait("warning: haproxy read: *: PROXY TCP4 192" if mx.kind == "reference"
                else "warning: haproxy read: timeout error: PROXY TCP4 192")


def test_footers_of_refusals(mx):
    with connect("footer") as s:
        s.ehlo("hh.test").send("MAIL FROM:<a@b>").expect("250 2.1.0 Ok")
        s.send("RCPT TO:<x@far.test>").expect(
            "454-4.7.1 <x@far.test>: Relay access denied\n"
            "454 4.7.1 Call {localhost[127.0.0.1]} 127.0.0.1 mx.test hh.test a@b")
        s.send("QUIT").expect("221 2.0.0 Bye")
    with connect("lines") as s:
        s.send("VRFY").expect("501-5.5.4 Syntax: VRFY address*. See mx.test\n501 5.5.4 second line")
    with connect("footers") as s:
        s.send("BOGUS").expect("50?-5.5.2 Error: command not recognized\n50? 5.5.2 special")
        s.send("RSET x").expect("501-5.5.4 Syntax: RSET\n501 5.5.4 plain")


def test_commands_are_replaced(mx):
    with connect("filter") as s:
        s.send("XX").expect("250 2.0.0 Ok").send("foo").expect("250 2.0.0 Ok").send("BAR x").expect("250 2.0.0 Ok")
        s.send("MAIL FROM:<a@b>").expect("250 *").send("rcpt to:<a>").expect("250 2.1.5 Ok")
        s.send("QUIT").expect("221 *")
    mx.log.wait('localhost[127.0.0.1]: replacing command "XX" with "NOOP"')
    mx.log.wait('localhost[127.0.0.1]: replacing command "rcpt to:<a>" with "RCPT TO:<jo@mx.test>"')


def test_a_request_has_a_deadline_as_a_whole(mx):
    with connect("deadline") as s:
        started = time.monotonic()
        try:
            for _ in range(20):
                s.raw(b"N")
                time.sleep(0.25)
        except OSError:
            pass
        assert time.monotonic() - started < 4.5
        s.expect("421 4.4.2 mx.test Error: timeout exceeded")
    with connect("deadline") as s:
        s.send("MAIL FROM:<a@b>").expect("250 *").send("RCPT TO:<jo@mx.test>").expect("250 *").send("DATA").expect("354 *")
        started = time.monotonic()
        try:
            for _ in range(40):
                s.raw(b"slow line\r\n")
                time.sleep(0.25)
        except OSError:
            pass
        assert time.monotonic() - started < 6
    mx.log.wait("timeout after DATA (* bytes) from localhost[127.0.0.1]")
    with connect("deadline") as s:  # what is quick enough may take longer
        s.send("MAIL FROM:<a@b>").expect("250 *").send("RCPT TO:<jo@mx.test>").expect("250 *").send("DATA").expect("354 *")
        for _ in range(14):
            s.raw(b"x" * 298 + b"\r\n")
            time.sleep(0.25)
        s.raw(b".\r\n").expect("250 2.0.0 Ok: queued as *")


def test_keywords_by_address(mx):
    with connect("keywords") as s:
        lines = s.ehlo().reply
        assert "VRFY" in lines and "DSN" not in lines and "ETRN" not in lines
    with connect("keywords", source="127.0.0.3") as s:
        lines = s.ehlo().reply
        assert "VRFY" not in lines and "DSN" in lines and "ETRN" in lines
    mx.log.wait("discarding EHLO keywords: ETRN DSN")
    mx.log.wait("discarding EHLO keywords: VRFY")


def test_a_message_begins_at_mail_where_that_is_wanted(mx):
    with connect("open") as s:
        s.send("MAIL FROM:<begins@b>").expect("250 *").send("RCPT TO:<x@far.test>").expect("454 *")
    line = mx.log.wait("reject: RCPT from localhost[127.0.0.1]:*: 454 4.7.1 *from=<begins@b>*")
    assert "NOQUEUE" not in line


def test_errors_are_answered_late_and_not_forever(mx):
    with connect("errors") as s:
        started = time.monotonic()
        s.send("BOGUS").expect("50? 5.5.2 *").send("BOGUS").expect("50? 5.5.2 *")
        assert time.monotonic() - started >= 0.99
        s.send("BOGUS").expect("50? 5.5.2 *").expect("421 4.7.0 mx.test Error: too many errors")
        s.expect_close()
    mx.log.wait("too many errors after UNKNOWN from localhost[127.0.0.1]")


def test_junk_becomes_an_error_in_the_end(mx):
    with connect("junk") as s:
        for _ in range(6):
            s.send("NOOP").expect("250 2.0.0 Ok")
        s.expect("421 4.7.0 mx.test Error: too many errors")
    mx.log.wait("too many errors after NOOP from localhost[127.0.0.1]")
    mx.log.wait("disconnect from localhost[127.0.0.1] noop=6 commands=6")


def test_who_does_not_wait_can_be_refused_by_a_restriction(mx):
    with connect("early") as s:
        s.ehlo().raw(b"MAIL FROM:<a@b>\r\nRCPT TO:<jo@mx.test>\r\n").expect("250 *").expect("250 *")
        s.send("DATA").expect("354 *").raw(b"Subject: x\r\n\r\nx\r\n.\r\n").expect("250 *")  # all in order so far
        s.raw(b"MAIL FROM:<a@b>\r\nRCPT TO:<jo@mx.test>\r\nDATA\r\nRSET\r\n").expect("250 *").expect("250 *")
        s.expect("503 5.5.0 *: Data command rejected: Improper use of SMTP command pipelining").expect("250 *")
        s.send("QUIT").expect("221 *")
    mx.log.wait("improper command pipelining after DATA from localhost[127.0.0.1]: RSET\\r\\n")


def test_too_many_recipients_become_errors(mx):
    with connect("recipients") as s:
        s.send("MAIL FROM:<a@b>").expect("250 *")
        for reply in ("250 2.1.5 Ok",) * 2 + ("452 4.5.3 Error: too many recipients",) * 4:
            s.send("RCPT TO:<jo@mx.test>").expect(reply)
        s.expect("421 4.7.0 mx.test Error: too many errors")
    mx.log.wait("disconnect from localhost[127.0.0.1] mail=1 rcpt=4/6 commands=5/7")


REWRITE = """
127.0.0.1:20251 inet n - n - - smtpd -o local_header_rewrite_clients=static:all
127.0.0.1:20252 inet n - n - - smtpd -o local_header_rewrite_clients=check_address_map,inline:{{127.0.0.3=x}}
127.0.0.1:20253 inet n - n - - smtpd -o local_header_rewrite_clients=permit_mynetworks
"""


def test_whose_headers_are_completed(postern):
    mx = postern("mydestination = mx.test\nlocal_recipient_maps =\nmynetworks = 127.0.0.5\ndefer_transports = local\n"
                 "myorigin = mx.test\n", extra_master=REWRITE)
    for port, source, completed in ((20251, "127.0.0.4", True), (20252, "127.0.0.3", True), (20252, "127.0.0.4", False),
                                    (20253, "127.0.0.5", True), (20253, "127.0.0.4", False)):
        with Session(("127.0.0.1", port), source=source) as s:
            queue_id = s.mail("a@b.test", "jo@mx.test", content="From: jo\r\nTo: ann\r\n\r\nx\r\n")
        text = mx.command("postcat", "-q", queue_id).stdout
        assert ("From: jo@mx.test" in text) == completed, (port, source)
