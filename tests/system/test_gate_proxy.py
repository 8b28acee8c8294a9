# SPDX-License-Identifier: Apache-2.0
"""smtpd_proxy_filter: a content filter hears the message while it comes in, and the client hears the filter."""
import re
import socketserver
import threading

import pytest

from world.session import Session

MASTER = """
127.0.0.1:20601 inet n - n - - smtpd -o smtpd_proxy_filter=127.0.0.1:20690 -o smtpd_proxy_ehlo=proxy.test
127.0.0.1:20602 inet n - n - - smtpd -o smtpd_proxy_filter=127.0.0.1:1
127.0.0.1:20603 inet n - n - - smtpd -o smtpd_proxy_filter=127.0.0.1:20690 -o message_size_limit=2000
"""


class Filter(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        self.said, self.content = [], []
        super().__init__(("127.0.0.1", 20690), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        self.say("220 filter ESMTP")
        for line in self.rfile:
            line = line.decode().rstrip("\r\n")
            self.server.said.append(line)
            verb = line.split()[0].upper() if line.split() else ""
            if verb == "EHLO":
                self.say("250-filter\r\n250-XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT\r\n250 DSN")
            elif verb == "DATA":
                self.say("354 go")
                content = b""
                while not content.endswith(b"\r\n.\r\n"):
                    got = self.rfile.readline()
                    if not got:
                        return
                    content += got
                self.server.content.append(content)
                self.say("550-5.7.1 virus\r\n550 5.7.1 found" if b"virus" in content else "250 2.0.0 Ok: queued as FILTERED")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            elif verb == "RCPT" and "refused" in line:
                self.say("550 5.1.1 filter says no")
            else:
                self.say("250 2.0.0 Ok")


@pytest.fixture(scope="module")
def content_filter():
    server = Filter()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def mx(module_postern, content_filter):
    return module_postern("mydestination = mx.test\nlocal_recipient_maps =\nmynetworks = 127.0.0.9\n", extra_master=MASTER)


def test_the_filter_hears_the_message_and_the_client_the_filter(mx, content_filter):
    content_filter.said.clear()
    with Session(("127.0.0.1", 20601)) as s:
        s.ehlo("client.test")
        s.send("MAIL FROM:<a@b> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=xx").expect("250 2.1.0 Ok")
        s.send("RCPT TO:<refused@mx.test>").expect("550 5.1.1 filter says no")
        s.send("RCPT TO:<jo@mx.test> NOTIFY=NEVER ORCPT=rfc822;x@y").expect("250 2.1.5 Ok")
        s.send("RCPT TO:<x@far.test>").expect("454 4.7.1 *")
        s.send("DATA").expect("354 End data with <CR><LF>.<CR><LF>")
        s.raw(b"Subject: x\r\n\r\n..dot\r\nbody\r\n.\r\n").expect("250 2.0.0 Ok: queued as FILTERED")
        s.send("MAIL FROM:<c@d>").expect("250 2.1.0 Ok").send("RCPT TO:<jo@mx.test>").expect("250 2.1.5 Ok")
        s.send("RSET").expect("250 *").send("QUIT").expect("221 *")
    said = content_filter.said
    assert said[0] == "EHLO proxy.test"
    assert re.fullmatch(r"XFORWARD NAME=localhost ADDR=127\.0\.0\.1 PORT=\d+ HELO=client\.test IDENT=\[UNAVAILABLE\] "
                        r"PROTO=ESMTP SOURCE=LOCAL", said[1])
    assert said[2:6] == ["MAIL FROM:<a@b> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=xx", "RCPT TO:<refused@mx.test>",
                         "RCPT TO:<jo@mx.test> NOTIFY=NEVER ORCPT=rfc822;x@y", "DATA"]
    lines = content_filter.content[-1].decode().split("\r\n")
    assert lines[0] == "Received: from client.test (localhost [127.0.0.1])"
    assert lines[1] == "\tby mx.test (Postfix) with ESMTP"
    assert lines[2].startswith("\tfor <jo@mx.test>; ")
    assert lines[3:] == ["Subject: x", "", "..dot", "body", ".", ""]
    mx.log.wait("NOQUEUE: client=localhost[127.0.0.1]")
    mx.log.wait('warning: proxy 127.0.0.1:20690 rejected "RCPT TO:<refused@mx.test>": "550 5.1.1 filter says no"')
    mx.log.wait("proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as FILTERED; from=<a@b> to=<jo@mx.test> proto=ESMTP "
                "helo=<client.test>")
    mx.log.wait("disconnect from localhost[127.0.0.1] ehlo=1 mail=2 rcpt=2/4 data=1 rset=1 quit=1 commands=8/10")


def test_chunks_are_a_message_like_others(mx, content_filter):
    with Session(("127.0.0.1", 20601)) as s:
        s.ehlo().send("MAIL FROM:<a@b>").expect("250 *").send("RCPT TO:<jo@mx.test>").expect("250 *")
        s.raw(b"BDAT 15\r\nSubject: x\r\n\r\n.").expect("250 2.0.0 Ok: 15 bytes")
        s.raw(b"BDAT 7 LAST\r\nline\r\n.").expect("250 2.0.0 Ok: queued as FILTERED").send("QUIT").expect("221 *")
    assert content_filter.content[-1].split(b"\r\n")[3:] == [b"Subject: x", b"", b"..line", b"..", b".", b""]


def test_a_refused_message(mx):
    with Session(("127.0.0.1", 20601)) as s:
        s.ehlo().send("MAIL FROM:<v@b>").expect("250 *").send("RCPT TO:<jo@mx.test>").expect("250 *")
        s.send("DATA").expect("354 *").raw(b"Subject: x\r\n\r\nvirus\r\n.\r\n").expect("550-5.7.1 virus\n550 5.7.1 found")
        s.send("QUIT").expect("221 *")
    mx.log.wait("proxy-reject: END-OF-MESSAGE: 550*; from=<v@b> to=<jo@mx.test> proto=ESMTP helo=<client.test>")


def test_without_the_filter_it_is_try_later(mx):
    with Session(("127.0.0.1", 20602)) as s:
        s.ehlo().send("MAIL FROM:<a@b>").expect("250 *")
        s.send("RCPT TO:<jo@mx.test>").expect("451 4.3.0 Error: queue file write error")
        s.send("DATA").expect("554 5.5.1 Error: no valid recipients")
    mx.log.wait("warning: connect to proxy filter *127.0.0.1:1: Connection refused")


def test_what_is_too_big_does_not_reach_its_end(mx, content_filter):
    before = len(content_filter.content)
    with Session(("127.0.0.1", 20603)) as s:
        s.ehlo().send("MAIL FROM:<a@b>").expect("250 *").send("RCPT TO:<jo@mx.test>").expect("250 *")
        s.send("DATA").expect("354 *").raw(b"Subject: x\r\n\r\n" + b"x" * 70 * 40 + b"\r\n.\r\n").expect("552 5.3.4 *")
        s.send("QUIT").expect("221 *")
    assert len(content_filter.content) == before
