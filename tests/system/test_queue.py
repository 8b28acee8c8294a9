# SPDX-License-Identifier: Apache-2.0
"""The queue: waiting, listing, holding, deleting, trying again, giving up."""
import json
import re

import pytest

from world import wait

WAITING = """
    minimal_backoff_time = 300s
    mydestination = mx.test
    local_recipient_maps =
"""


def deferred(mx, dns, recipient="bob@far.test", sender="ann@client.test"):
    """One message that waits because nobody answers at its destination."""
    dns.mx("far.test", "mx.far.test", "127.0.0.9")
    with mx.session() as s:
        queue_id = s.ehlo().mail(sender, recipient)
    mx.log.wait(f"{queue_id}: to=<{recipient}>, *status=deferred (*")
    return queue_id


def test_mailq_lists_what_waits_and_why(postern, dns):
    mx = postern(WAITING)
    queue_id = deferred(mx, dns)
    wait.until(lambda: "Connection refused" in mx.queue.listing(), "the reason in the listing")
    lines = mx.queue.listing().splitlines()
    assert lines[0] == "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------"
    assert re.match(rf"^{queue_id} +\d+ \w{{3}} \w{{3}} [ \d]\d \d\d:\d\d:\d\d  ann@client\.test$", lines[1]), lines
    assert lines[2].strip() == "(connect to mx.far.test[127.0.0.9]:25: Connection refused)"
    assert lines[3] == " " * 41 + "bob@far.test"
    assert re.match(r"^-- \d+ Kbytes in 1 Request\.$", lines[5])
    entry = json.loads(mx.command("postqueue", "-j").stdout)
    assert entry["queue_id"] == queue_id and entry["queue_name"] == "deferred"
    assert entry["sender"] == "ann@client.test"
    assert entry["recipients"][0]["address"] == "bob@far.test"


@pytest.mark.postern_only("the reference remembers that the destination was dead")
def test_hold_release_requeue_and_delete(postern, dns, remote):
    mx = postern(WAITING)
    queue_id = deferred(mx, dns)
    assert "Placed on hold: 1 message" in mx.command("postsuper", "-h", queue_id).stderr
    assert re.search(rf"^{queue_id}! ", mx.queue.listing(), re.M)
    assert "Released from hold: 1 message" in mx.command("postsuper", "-H", queue_id).stderr
    assert not re.search(rf"^{queue_id}! ", mx.queue.listing(), re.M)
    assert "Deleted: 1 message" in mx.command("postsuper", "-d", queue_id).stderr
    wait.until(mx.queue.is_empty, "an empty queue")
    deferred(mx, dns)
    far = remote("127.0.0.9")
    assert "Requeued: 1 message" in mx.command("postsuper", "-r", "ALL").stderr
    wait.until(lambda: far.messages, "the requeued message")


def test_flush_of_one_message_tries_it_now(postern, dns, remote):
    mx = postern(WAITING)
    queue_id = deferred(mx, dns)
    far = remote("127.0.0.9")
    mx.command("postqueue", "-i", queue_id)
    wait.until(lambda: far.messages, "the flushed message")
    mx.queue.wait_empty()


def test_postcat_shows_envelope_and_content(postern, dns):
    mx = postern(WAITING)
    queue_id = deferred(mx, dns)
    text = mx.command("postcat", "-q", queue_id).stdout
    assert "sender: ann@client.test" in text and "recipient: bob@far.test" in text
    assert "Subject: test" in text and "\nhello\n" in text
    assert "sender:" not in mx.command("postcat", "-h", "-q", queue_id).stdout


def test_what_is_too_old_comes_back(postern, dns):
    mx = postern("""
        mydestination = mx.test
        local_recipient_maps =
        maximal_queue_lifetime = 0
    """)
    dns.mx("far.test", "mx.far.test", "127.0.0.9")
    with mx.session() as s:
        queue_id = s.ehlo().mail("nobody@mx.test", "bob@far.test")
    mx.log.wait(f"{queue_id}: from=<nobody@mx.test>, status=expired, returned to sender")
    wait.until(lambda: "Connection refused" in mx.mailbox("nobody"), "the notice")


def test_a_temporary_refusal_waits_and_the_next_mx_is_tried(postern, dns, remote):
    mx = postern(WAITING)
    dns.mx("far.test", "mx1.far.test", "127.0.0.8", 10).mx("far.test", "mx2.far.test", "127.0.0.9", 20)
    first = remote("127.0.0.8", replies={"MAIL": "451 4.3.0 not now"})
    second = remote("127.0.0.9")
    with mx.session() as s:
        s.ehlo().mail("ann@client.test", "bob@far.test")
    wait.until(lambda: second.messages, "the message at the second MX")
    assert first.sessions and not first.messages


def test_each_recipient_has_its_own_fate(postern, dns, remote):
    mx = postern(WAITING)
    dns.mx("far.test", "mx.far.test", "127.0.0.9")
    far = remote("127.0.0.9", replies={"RCPT TO:<later@far.test>": "450 4.2.1 later",
                                       "RCPT TO:<never@far.test>": "550 5.1.1 never"})
    with mx.session() as s:
        queue_id = s.ehlo().mail("nobody@mx.test", "good@far.test", "later@far.test", "never@far.test")
    mx.log.wait(f"{queue_id}: to=<good@far.test>, *dsn=2.0.0, status=sent (250 2.0.0 taken)")
    mx.log.wait(f"{queue_id}: to=<later@far.test>, *dsn=4.2.1, status=deferred (host mx.far.test[[]127.0.0.9] said: "
                "450 4.2.1 later (in reply to RCPT TO command))".replace("[[]", "["))
    mx.log.wait(f"{queue_id}: to=<never@far.test>, *dsn=5.1.1, status=bounced (*")
    assert far.messages[0]["recipients"] == ["good@far.test"]
    wait.until(lambda: "never@far.test" in mx.mailbox("nobody"), "the notice about one recipient")
    assert "later@far.test" not in mx.mailbox("nobody").split("Undelivered Message")[0].split("message/rfc822")[0]
    wait.until(lambda: "later@far.test" in mx.queue.listing(), "the one that waits")
    assert "good@far.test" not in mx.queue.listing()


def test_aliases_and_devnull_of_the_seed(postern):
    mx = postern("", start=False)
    (mx.config / "aliases").write_text("devnull: /dev/null\nnoreply: devnull\nboth: nobody, devnull\n")
    (mx.config / "virtual").write_text("noreply@example.com devnull\n")
    mx.write_main(f"""
        mydestination = mx.test
        virtual_alias_maps = hash:{mx.config}/virtual
        alias_maps = hash:{mx.config}/aliases
        alias_database = $alias_maps
        local_recipient_maps = $alias_maps
        notify_classes =
    """)
    mx.command("postalias", f"hash:{mx.config}/aliases")
    mx.command("postmap", f"hash:{mx.config}/virtual")
    mx.start()
    with mx.session() as s:
        first = s.ehlo().mail("ann@client.test", "noreply@example.com")
        second = s.mail("ann@client.test", "both@mx.test")
        s.send("MAIL FROM:<ann@client.test>").expect("250 *")
        s.send("RCPT TO:<nobody@mx.test>").expect("550 5.1.1 <nobody@mx.test>: Recipient address rejected: "
                                                  "User unknown in local recipient table")
    mx.log.wait(f"{first}: to=<devnull@mx.test>, orig_to=<noreply@example.com>, relay=local, *"
                "status=sent (delivered to file: /dev/null)")
    mx.log.wait(f"{second}: removed")
    assert "X-Original-To: both@mx.test" in mx.mailbox("nobody")


def test_transport_table_and_error_transport_of_the_seed(postern, dns, remote):
    far = remote("127.0.0.9", 2525)
    mx = postern("", start=False)
    (mx.config / "transport").write_text("far.test smtp:[127.0.0.9]:2525\n* error:Transport not found\n")
    mx.write_main(f"mydestination = mx.test\nlocal_recipient_maps =\ntransport_maps = hash:{mx.config}/transport\n")
    mx.command("postmap", f"hash:{mx.config}/transport")
    mx.start()
    with mx.session() as s:
        s.ehlo().mail("ann@client.test", "bob@far.test")
        s.send("MAIL FROM:<ann@client.test>").expect("250 *")
        s.send("RCPT TO:<x@other.test>").read_reply()
        assert "Transport not found" in s.reply
    wait.until(lambda: far.messages, "the message by the table")


def test_a_pipe_line_hands_its_own_options_to_the_command(postern, dns):
    mx = postern("", start=False)
    script = mx.dir / "keep.sh"
    out = mx.mail / "kept"
    script.write_text(f'#!/bin/sh\n{{ echo "args: $*"; cat; }} > {out}\n')
    script.chmod(0o755)
    with open(mx.config / "master.cf", "a") as master_cf:
        master_cf.write("filter unix - n n - - pipe\n  -o syslog_name=postfix/filter\n"
                        f"  flags=R user=nobody argv={script} -n ${{sender}} -t ${{recipient}} -s 1\n")
    mx.write_main("mydestination = mx.test\nlocal_recipient_maps =\ntransport_maps = inline:{far.test=filter:x}\n")
    mx.start()
    with mx.session() as s:
        queue_id = s.ehlo().mail("ann@client.test", "bob@far.test")
    mx.log.wait(f"postfix/filter/pipe*{queue_id}: to=<bob@far.test>, relay=filter, *status=sent (delivered via "
                "filter service)")
    kept = out.read_text()
    assert kept.startswith("args: -n ann@client.test -t bob@far.test -s 1\n")
    assert "Return-Path: <ann@client.test>" in kept and "hello" in kept
