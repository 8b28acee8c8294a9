# SPDX-License-Identifier: Apache-2.0
"""XCLIENT and XFORWARD: what they change, what they leave, and who may say them."""
import re

import pytest

from world import wait
from world.session import matches

SETTINGS = """
    mydestination = mx.test
    local_recipient_maps =
    mynetworks = 127.0.0.9/32
    smtpd_authorized_xclient_hosts = 127.0.0.1, inline:{ {192.0.2.77 = yes} }
    smtpd_authorized_xforward_hosts = 127.0.0.1
    defer_transports = local
"""


@pytest.fixture(scope="module")
def mx(module_postern):
    return module_postern(SETTINGS)


def reject_line(mx, s):
    """The log line about a recipient that is refused now."""
    def rejects():
        return [line for line in mx.log.lines() if "reject: RCPT from" in line]
    before = len(rejects())
    s.send("MAIL FROM:<a@client.test>").expect("250 *")
    s.send("RCPT TO:<x@far.test>").expect("454 4.7.1 *")
    s.send("RSET").expect("250 *")
    return wait.until(lambda: rejects()[before:], "a log line about the refused recipient")[0]


def test_announced_to_those_who_may(mx):
    with mx.session() as s:
        s.ehlo()
        lines = s.reply.splitlines()
        at = lines.index("250-XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT")
        assert lines[at - 1] == "250-ETRN"
        assert lines[at + 1] == "250-XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT"
    with mx.session(source="127.0.0.5") as s:
        s.ehlo()
        assert "XCLIENT" not in s.reply and "XFORWARD" not in s.reply
        s.send("XCLIENT NAME=a.test").expect("550 5.7.0 Error: insufficient authorization")
        s.send("XFORWARD NAME=a.test").expect("550 5.7.0 Error: insufficient authorization")
        s.send("XCLIENT").expect("501 5.5.4 Syntax: XCLIENT attribute=value...")


@pytest.mark.parametrize("args, reply", [
    ("", "501 5.5.4 Syntax: XCLIENT attribute=value..."),
    (" FOO=bar", "501 5.5.4 Bad XCLIENT attribute name: FOO"),
    (" NAME", "501 5.5.4 Error: attribute=value expected"),
    (" NAME=", "501 5.5.4 Error: attribute=value expected"),
    (" NAME=a..b", "501 5.5.4 Bad NAME syntax: a..b"),
    (" NAME=u+2Btest", "501 5.5.4 Bad NAME syntax: u+test"),
    (" ADDR=1.2.3", "501 5.5.4 Bad ADDR syntax: 1.2.3"),
    (" ADDR=[TEMPUNAVAIL]", "501 5.5.4 Bad ADDR syntax: [TEMPUNAVAIL]"),
    (" PORT=x", "501 5.5.4 Bad PORT syntax: x"),
    (" PORT=123456", "501 5.5.4 Bad PORT syntax: 123456"),
    (" PROTO=LMTP", "501 5.5.4 Bad PROTO syntax: LMTP"),
    (" DESTADDR=1.2.3", "501 5.5.4 Bad DESTADDR syntax: 1.2.3"),
    (" PORT=65536 DESTPORT=0 name=A.test", "220 mx.test ESMTP Postfix"),
])
def test_reply_to_xclient(mx, args, reply):
    with mx.session() as s:
        s.send("XCLIENT" + args).expect(reply)


@pytest.mark.parametrize("args, said", [
    ("HELO=abc PROTO=ESMTP", "RCPT from localhost[127.0.0.1]: *proto=ESMTP helo=<abc>"),
    ("HELO=a+0Ab", "RCPT from localhost[127.0.0.1]: *proto=SMTP helo=<a?b>"),
    ("HELO=a+ZZ", "RCPT from localhost[127.0.0.1]: *proto=SMTP helo=<a+ZZ>"),
    ("NAME=nm.test ADDR=192.0.2.3", "RCPT from nm.test[192.0.2.3]: *proto=SMTP"),
    ("NAME=[UNAVAILABLE] ADDR=192.0.2.3", "RCPT from unknown[192.0.2.3]: *proto=SMTP"),
    ("ADDR=[UNAVAILABLE] HELO=[UNAVAILABLE]", "RCPT from localhost[unknown]: *proto=SMTP"),
])
def test_what_the_client_is_then(mx, args, said):
    with mx.session() as s:
        s.ehlo("before.test")
        s.send("XCLIENT " + args).expect("220 *")
        line = reject_line(mx, s)
        body = line.split("reject: ")[1]
        assert matches(body, said), body


def test_the_right_is_that_of_the_new_client(mx):
    with mx.session() as s:
        s.send("XCLIENT ADDR=192.0.2.3").expect("220 *")
        s.ehlo()
        assert "XCLIENT" not in s.reply
        s.send("XCLIENT ADDR=127.0.0.1").expect("550 5.7.0 *")
    with mx.session() as s:
        s.send("XCLIENT ADDR=192.0.2.77").expect("220 *")
        s.ehlo()
        assert "250-XCLIENT" in s.reply and "250-XFORWARD" in s.reply


def test_not_inside_a_transaction_and_not_counted_as_done(mx):
    with mx.session() as s:
        s.send("XCLIENT NAME=count.test").expect("220 *")
        s.send("MAIL FROM:<a@b>").expect("250 *")
        s.send("XCLIENT").expect("503 5.5.1 Error: MAIL transaction in progress")
        s.send("XFORWARD").expect("503 5.5.1 Error: MAIL transaction in progress")
        s.send("QUIT").expect("221 *")
    mx.log.wait("disconnect from count.test[127.0.0.1] xclient=0/2 xforward=0/1 mail=1 quit=1 commands=2/5")


def test_permissions_follow_the_new_client(mx):
    with mx.session() as s:
        s.send("XCLIENT ADDR=127.0.0.9").expect("220 *")
        s.send("MAIL FROM:<a@b>").expect("250 *")
        s.send("RCPT TO:<x@far.test>").expect("250 *")
        s.send("RSET").expect("250 *")
        s.send("QUIT").expect("221 *")


def test_login_counts_as_authenticated(mx):
    with mx.session() as s:
        s.ehlo()
        s.send("XCLIENT LOGIN=jo NAME=login.test").expect("220 *")
        s.ehlo()
        queue_id = s.mail("a@b", "jo@mx.test")
        mx.log.wait(f"{queue_id}: client=login.test[127.0.0.1], sasl_method=XCLIENT, sasl_username=jo")


def test_xforward_names_who_came_before(mx):
    with mx.session() as s:
        s.ehlo()
        s.send("XFORWARD NAME=f.test ADDR=192.0.2.8 PORT=25 PROTO=ESMTP HELO=fh").expect("250 2.0.0 Ok")
        s.send("XFORWARD IDENT=ABCD+2BE SOURCE=LOCAL").expect("250 2.0.0 Ok")
        queue_id = s.mail("a@b", "jo@mx.test")
        second = s.mail("a@b", "jo@mx.test")
    mx.log.wait(f"{queue_id}: client=localhost[127.0.0.1], orig_queue_id=ABCD+E, orig_client=f.test[192.0.2.8]")
    line = mx.log.wait(f"{second}: client=localhost*")
    assert line.endswith("client=localhost[127.0.0.1]")  # for one message


@pytest.mark.parametrize("args, said", [
    ("IDENT=foo", ", orig_queue_id=foo"),
    ("NAME=only.test", ", orig_client=only.test"),
    ("ADDR=192.0.2.9", ", orig_client=unknown[192.0.2.9]"),
    ("NAME=[UNAVAILABLE] ADDR=192.0.2.9", ", orig_client=unknown[192.0.2.9]"),
    ("SOURCE=REMOTE", ""),
])
def test_what_xforward_puts_into_the_log(mx, args, said):
    with mx.session() as s:
        s.ehlo()
        s.send("XFORWARD " + args).expect("250 2.0.0 Ok")
        queue_id = s.mail("a@b", "jo@mx.test")
    line = mx.log.wait(f"{queue_id}: client=*")
    assert re.sub(r".*: client=localhost\[127\.0\.0\.1\]", "", line) == said


@pytest.mark.parametrize("args, reply", [
    ("", "501 5.5.4 Syntax: XFORWARD attribute=value..."),
    (" LOGIN=x", "501 5.5.4 Bad XFORWARD attribute name: LOGIN"),
    (" NAME=[TEMPUNAVAIL]", "501 5.5.4 Bad NAME syntax: [TEMPUNAVAIL]"),
    (" SOURCE=FOO", "501 5.5.4 Bad SOURCE syntax: FOO"),
    (" PORT=a", "501 5.5.4 Bad PORT syntax: a"),
    (" PROTO=LMTP HELO=[UNAVAILABLE]", "250 2.0.0 Ok"),
])
def test_reply_to_xforward(mx, args, reply):
    with mx.session() as s:
        s.ehlo()
        s.send("XFORWARD" + args).expect(reply)
