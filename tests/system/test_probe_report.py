# SPDX-License-Identifier: Apache-2.0
"""sendmail -bv and -v: a report of what would become, or became, of each recipient."""
import email
import pathlib

import pytest

from world import wait

FAR = {"RCPT TO:<no@far.test>": "550 5.1.1 no such user", "RCPT TO:<later@far.test>": "450 4.2.0 later"}


@pytest.fixture
def mx(postern, remote):
    server = postern("""
        mydestination = mx.test
        transport_maps = inline:{ far.test=smtp:[127.0.0.2], gone.test=discard:gone }
        alias_maps = texthash:$config_directory/aliases
        """, start=False)
    (server.config / "aliases").write_text('cmd "|/bin/false"\nteam ann@far.test\nself :include:/nowhere\n')
    server.far = remote("127.0.0.2", replies=FAR)
    server.box = pathlib.Path(server.mail / "nobody")
    return server.start()


def report(mx):
    """{address: (Action, Status, Diagnostic-Code)} of the newest report in the mailbox."""
    def found():
        if not mx.box.exists():
            return None
        mails = [email.message_from_string(m) for m in mx.box.read_text().split("\nFrom MAILER-DAEMON")]
        return next((m for m in reversed(mails) if m["Subject"] == "Mail Delivery Status Report"), None)
    message = wait.until(found, f"a report; log:\n{mx.log.text()[-3000:]}")
    text, parts = message.get_payload(0).get_payload(), message.get_payload(1).get_payload()
    return text, {p["Final-Recipient"].split("; ")[1]: (p["Action"], p["Status"], p["Diagnostic-Code"])
                  for p in parts[1:]}, message


def test_bv_reports_on_every_recipient_and_delivers_nothing(mx):
    mx.command("sendmail", "-bv", "-f", "nobody", "yes@far.test", "no@far.test", "later@far.test", "nobody", "cmd",
               "nouser", "x@gone.test")
    text, found, message = report(mx)
    assert found == {
        "yes@far.test": ("deliverable", "2.1.5", "smtp; 250 2.1.5 ok"),
        "no@far.test": ("undeliverable", "5.1.1", "smtp; 550 5.1.1 no such user"),
        "later@far.test": ("undeliverable", "4.2.0", "smtp; 450 4.2.0 later"),
        "nobody@mx.test": ("deliverable", "2.0.0", "X-Postfix; delivery via local: delivers to mailbox"),
        "cmd@mx.test": ("deliverable", "2.0.0", "X-Postfix; delivery via local: delivers to command: /bin/false"),
        "nouser@mx.test": ("undeliverable", "5.1.1", 'X-Postfix; delivery via local: unknown user: "nouser"'),
        "x@gone.test": ("deliverable", "2.0.0", "X-Postfix; gone"),
    }
    assert "<yes@far.test>: delivery via 127.0.0.2[127.0.0.2]:25: 250 2.1.5 ok" in text
    assert message.get_payload(2).get_content_type() == "text/rfc822-headers"
    assert "Subject: probe" in message.get_payload(2).as_string()
    mx.queue.wait_empty()
    assert mx.far.messages == [] and "DATA" not in mx.far.lines
    assert mx.log.has("to=<later@far.test>, relay=127.0.0.2[127.0.0.2]:25, *, dsn=4.2.0, status=undeliverable (host *)")
    assert mx.log.has("sender delivery status notification: *")
    assert not mx.log.has("sender non-delivery notification*")


def test_v_delivers_and_reports_deferred_too(mx):
    mx.command("sendmail", "-v", "-N", "never", "-f", "nobody", "yes@far.test", "later@far.test",
               stdin="Subject: hi\n\nbody\n")
    _, found, _ = report(mx)
    assert found == {"yes@far.test": ("relayed", "2.0.0", "smtp; 250 2.0.0 taken"),
                     "later@far.test": ("delayed", "4.2.0", "smtp; 450 4.2.0 later")}
    assert len(mx.far.messages) == 1
    assert len(mx.queue.ids()) == 1


def test_bv_needs_addresses_on_the_command_line(mx):
    assert mx.command("sendmail", "-bv", "-t", "-f", "nobody", check=False).stderr.endswith(
        "sendmail: fatal: -t option cannot be used with -bv\n")
    assert mx.command("sendmail", "-bv", check=False).returncode != 0


def test_bv_with_data_as_target_stops_before_content(postern, remote):
    far = remote("127.0.0.2", replies={"DATA": lambda _: "354 go" if far.sessions == 1 else "554 5.7.1 not you"})
    mx = postern("""
        mydestination = mx.test
        transport_maps = inline:{ far.test=smtp:[127.0.0.2] }
        smtp_address_verify_target = data
        """)
    mx.command("sendmail", "-bv", "-f", "nobody", "yes@far.test")
    mx.log.wait("to=<yes@far.test>, *, status=deliverable (354 go)")
    mx.queue.wait_empty()
    mx.command("sendmail", "-bv", "-f", "nobody", "yes@far.test")
    mx.log.wait("to=<yes@far.test>, *, status=undeliverable (host * said: 554 5.7.1 not you (in reply to DATA command))")
    assert far.messages == []
