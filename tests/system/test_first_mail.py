# SPDX-License-Identifier: Apache-2.0
"""A message goes in and comes out."""
from world import wait


def test_mail_by_smtp_is_relayed_to_the_mx(postern, dns, remote):
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    far = remote("127.0.0.2")
    mx = postern()
    with mx.session() as s:
        queue_id = s.ehlo().mail("ann@client.test", "bob@far.test")
        s.send("QUIT").expect("221 2.0.0 Bye")
    mx.log.wait(f"{queue_id}: removed")
    assert mx.queue.is_empty()
    assert [m["recipients"] for m in far.messages] == [["bob@far.test"]]
    assert far.messages[0]["sender"] == "ann@client.test"
    assert far.messages[0]["content"].endswith(b"\r\n\r\nhello\r\n")
    assert mx.log.has(f"{queue_id}: to=<bob@far.test>, relay=mx.far.test[[]127.0.0.2]:25, *"
                      "status=sent (250 2.0.0 taken)".replace("[[]", "["))


def test_unknown_mailbox_is_refused_at_rcpt(postern):
    mx = postern("""
        mydestination = example.test
        local_recipient_maps = inline:{ jo=yes }
    """)
    with mx.session() as s:
        s.ehlo()
        s.send("MAIL FROM:<ann@client.test>").expect("250 2.1.0 Ok")
        s.send("RCPT TO:<nobody@example.test>").expect(
            "550 5.1.1 <nobody@example.test>: Recipient address rejected: User unknown*")
    mx.log.wait("reject: RCPT from *: 550 5.1.1 <nobody@example.test>*")
    assert mx.queue.is_empty()


def test_mail_for_a_local_user_lands_in_the_mbox(postern):
    mx = postern("mydestination = mx.test")
    with mx.session() as s:
        queue_id = s.ehlo().mail("ann@client.test", "nobody@mx.test",
                                 content="Subject: hi\r\n\r\nFrom here\r\n.dot\r\n")
    mx.log.wait(f"{queue_id}: to=<nobody@mx.test>, relay=local, *status=sent (delivered to mailbox)")
    text = mx.mailbox("nobody")
    assert text.startswith("From ann@client.test ")
    assert "\n>From here\n.dot\n\n" in text
    assert "\nX-Original-To: nobody@mx.test\nDelivered-To: nobody@mx.test\n" in text


def test_mail_by_sendmail_is_delivered(postern, dns, remote):
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    far = remote("127.0.0.2")
    mx = postern()
    mx.sendmail("-f", "jo@mx.test", "bob@far.test", text="Subject: by hand\n\nhello\n")
    wait.until(lambda: far.messages, "the message at the far host")
    content = far.messages[0]["content"]
    assert b"(Postfix, from userid 0)" in content
    assert b"Message-Id: <" in content
    mx.log.wait("uid=0 from=<jo@mx.test>")


def test_refused_recipient_comes_back_as_a_bounce(postern, dns, remote):
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    remote("127.0.0.2", replies={"RCPT TO:<gone@far.test>": "550 5.1.1 no such user"})
    mx = postern("mydestination = mx.test")
    with mx.session() as s:
        queue_id = s.ehlo().mail("nobody@mx.test", "gone@far.test",
                                 content="Subject: secret plan\r\n\r\nmeet me\r\n")
    mx.log.wait(f"{queue_id}: sender non-delivery notification: *")
    mx.log.wait(f"{queue_id}: removed")
    wait.until(lambda: "Undelivered Mail Returned to Sender" in mx.mailbox("nobody"), "the bounce")
    text = mx.mailbox("nobody")
    assert "Final-Recipient: rfc822; gone@far.test" in text
    assert "Status: 5.1.1" in text
    assert "Diagnostic-Code: smtp; 550 5.1.1 no such user" in text
    assert "Subject: secret plan" in text
