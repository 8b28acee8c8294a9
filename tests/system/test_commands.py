# SPDX-License-Identifier: Apache-2.0
"""What people and scripts do with the commands: send, ask for reports, look at the log."""
import contextlib
import email
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import threading

import pytest

from world import wait
from world.mta import _free_port

COMMANDS = ["postern", "postfix", "sendmail", "mailq", "newaliases", "postdrop", "postqueue", "postsuper",
            "postcat", "postmap", "postalias", "postconf", "postlog"]


@pytest.mark.postern_only("--help")
@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(postern, name):
    result = postern(start=False).command(name, "--help")
    assert result.stdout.startswith(f"usage: {name} ")
    assert result.stderr == ""


def test_sendmail_takes_recipients_from_the_header_and_hides_bcc(postern, dns, remote):
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    far = remote("127.0.0.2")
    mx = postern()
    mx.sendmail("-t", "-i", "-f", "ann@mx.test", "argument@far.test", text=(
        "To: one@far.test\nCc: Two <two@far.test>,\n three@far.test\nBcc: hidden@far.test\nSubject: list\n"
        "\nline\n.\nafter the dot\n"))
    wait.until(lambda: sum(len(m["recipients"]) for m in far.messages) == 5, "five recipients")
    assert sorted(r for m in far.messages for r in m["recipients"]) == [
        f"{name}@far.test" for name in ("argument", "hidden", "one", "three", "two")]
    assert all(b"hidden" not in m["content"] and b"Bcc" not in m["content"] for m in far.messages)
    assert far.messages[0]["content"].replace(b"\r\n..", b"\r\n.").endswith(b"line\r\n.\r\nafter the dot\r\n")


def test_sendmail_without_recipients_says_so(postern):
    result = postern().command("sendmail", "-t", stdin="Subject: nobody\n\nx\n", check=False)
    assert result.returncode != 0
    assert "No recipient addresses found in message header" in result.stderr


def report_of(mx, user, subject):
    wait.until(lambda: f"Subject: {subject}\n" in mx.mailbox(user), f"{subject!r} for {user}")
    for text in re.split(r"(?m)^From MAILER-DAEMON .*\n", mx.mailbox(user))[1:]:
        message = email.message_from_string(text)
        if message["Subject"] == subject:
            return message
    raise AssertionError(mx.mailbox(user))


def test_a_report_of_success_comes_when_it_was_asked_for(postern):
    mx = postern("mydestination = mx.test")
    with mx.session() as s:
        s.ehlo()
        s.send("MAIL FROM:<nobody@mx.test> RET=HDRS ENVID=QQ314159").expect("250 2.1.0 Ok")
        s.send("RCPT TO:<daemon@mx.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;daemon@origin.test").expect("250 2.1.5 Ok")
        s.send("DATA").expect("354 *")
        s.raw(b"Subject: parcel\r\n\r\nsecret body\r\n.\r\n").expect("250 *")
    report = report_of(mx, "nobody", "Successful Mail Delivery Report")
    assert report["From"] == "Mail Delivery System <MAILER-DAEMON@mx.test>"
    assert report["Return-Path"] == "<>"
    status = report.get_payload()[1].as_string()
    for line in ("Original-Envelope-Id: QQ314159", "Final-Recipient: rfc822; daemon@mx.test",
                 "Original-Recipient: rfc822;daemon@origin.test", "Action: delivered", "Status: 2.0.0"):
        assert f"\n{line}\n" in status
    assert report.get_payload()[2].get_content_type() == "text/rfc822-headers"
    assert "secret body" not in report.as_string()
    mx.log.wait("sender delivery status notification: *")


def test_a_late_message_is_reported_once(postern):
    mx = postern("""
        mydestination = mx.test
        relayhost = [127.0.0.2]:1
        delay_warning_time = 2s
        queue_run_delay = 1s
        minimal_backoff_time = 1s
        maximal_backoff_time = 1s
    """)
    mx.sendmail("-f", "nobody@mx.test", "bob@far.test", text="Subject: slow\n\nx\n")
    report = report_of(mx, "nobody", "Delayed Mail (still being retried)")
    assert "\nAction: delayed\n" in report.get_payload()[1].as_string()
    queue_id = mx.queue.ids()[0]
    tries = len(re.findall(f"{queue_id}: to=<bob@far.test>", mx.log.text()))
    wait.until(lambda: len(re.findall(f"{queue_id}: to=<bob@far.test>", mx.log.text())) >= tries + 2, "two more tries")
    assert mx.mailbox("nobody").count("Subject: Delayed Mail") == 1
    assert mx.queue.ids() == [queue_id]


def test_two_instances_run_side_by_side_by_c_alone(postern):
    first, second = (postern("mydestination = mx.test\nsmtpd_banner = mx.test number " + number) for number in "12")
    for mx, number in ((first, "1"), (second, "2")):
        with mx.session(greeting=f"220 mx.test number {number}") as s:
            s.ehlo().mail("ann@client.test", "nobody@mx.test", content=f"Subject: {number}\r\n\r\nx\r\n")
        wait.until(lambda mx=mx: mx.mailbox("nobody"), "the message")
    assert "Subject: 1\n" in first.mailbox("nobody") and "Subject: 2\n" not in first.mailbox("nobody")
    assert "Subject: 2\n" in second.mailbox("nobody")
    first.stop()
    assert second.is_listening() and not first.is_listening()


def test_each_listener_has_its_own_settings(postern):
    port = _free_port()
    mx = postern(extra_master=f"""
        127.0.0.1:{port} inet n - n - - smtpd
          -o smtpd_banner=second -o {{ smtpd_client_restrictions = permit_mynetworks, reject }}
          -o syslog_name=postfix/submission -o smtpd_recipient_limit=1
        """.replace("\n        ", "\n"))
    with mx.session() as s:
        assert "second" not in s.reply
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), 10)) as sock:
        assert sock.makefile("rb").readline() == b"220 second\r\n"
    mx.log.wait("postfix/submission/smtpd[*]: connect from *")
    mx.log.wait("postfix/smtpd[*]: connect from *")


@contextlib.contextmanager
def as_the_installed_one(mx):
    """Unprivileged users cannot name a configuration directory: /etc/postfix must be it."""
    made = not os.path.isdir("/etc/postfix")
    if made:
        os.makedirs("/etc/postfix")
    subprocess.run(["mount", "--bind", mx.config, "/etc/postfix"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "/etc/postfix"], check=True)
        if made:
            os.rmdir("/etc/postfix")


def test_an_ordinary_user_sends_and_looks_at_the_queue(postern):
    mx = postern("mydestination = mx.test\nrelayhost = [127.0.0.2]:1\nmyorigin = mx.test")
    # The leak detector of a sanitizer cannot look at a program that changes its group.
    sanitized = b"__asan_init" in pathlib.Path(mx.program("postdrop")).read_bytes()
    user = "nobody:postdrop" if sanitized else "nobody"
    with as_the_installed_one(mx):
        mx.sendmail("bob@far.test", "daemon@mx.test", text="Subject: mine\n\nx\n", user=user)
        mx.log.wait("*to=<bob@far.test>, *status=deferred*")
        listing = mx.command("mailq", user=user).stdout
        assert "nobody@mx.test" in listing and "bob@far.test" in listing
        assert mx.command("postqueue", "-f", user=user).returncode == 0
        refused = mx.command("postsuper", "-d", "ALL", user=user, check=False)
        assert refused.returncode == 1
        assert refused.stderr == "postsuper: fatal: use of this command is reserved for the superuser\n"
    wait.until(lambda: "Subject: mine" in mx.mailbox("daemon"), "the message")
    assert f"by mx.test (Postfix, from userid {pwd.getpwnam('nobody').pw_uid})" in mx.mailbox("daemon")


def test_the_configuration_directory_of_others_is_refused_to_an_ordinary_user(postern):
    mx, other = postern("mydestination = mx.test"), postern("mydestination = mx.test")
    with as_the_installed_one(mx):
        result = mx.command("postqueue", "-c", other.config, "-p", user="nobody", check=False)
    assert result.returncode != 0
    assert "alternate_config_directories" in result.stderr and str(other.config) in result.stderr


@pytest.mark.skipif(shutil.which("pflogsumm") is None, reason="pflogsumm is not installed")
def test_pflogsumm_understands_the_log(postern, dns, remote):
    """Its Debian 12 version does not know tls= in delivery lines."""
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    remote("127.0.0.2", replies={"RCPT TO:<gone@far.test>": "550 5.1.1 no such user",
                                 "RCPT TO:<later@far.test>": "450 4.2.0 busy"})
    mx = postern("""
        mydestination = mx.test
        local_recipient_maps = inline:{ nobody=x }
        smtp_log_tls_feature_status = no
    """)
    with mx.session() as s:
        s.ehlo().mail("ann@client.test", "bob@far.test", "nobody@mx.test")
        s.mail("nobody@mx.test", "gone@far.test")
        s.mail("ann@client.test", "later@far.test")
        s.send("MAIL FROM:<ann@client.test>").expect("250 *")
        s.send("RCPT TO:<unknown@mx.test>").expect("550 *")
        s.send("QUIT").expect("221 *")
    mx.log.wait("*to=<later@far.test>, *status=deferred*")
    wait.until(lambda: len(mx.queue.ids()) == 1 and mx.mailbox("nobody").count("Subject:") >= 2, "rest delivered")
    text = subprocess.run(["pflogsumm", mx.log.path], capture_output=True, text=True, check=True).stdout
    totals = {name: int(count) for count, name in
              re.findall(r"(?m)^ +(\d+) +(received|delivered|deferred|bounced|rejected)\b", text)}
    assert totals == {"received": 3, "delivered": 3, "deferred": 1, "bounced": 1, "rejected": 1}
    assert "message deferral detail: none" not in text and "message bounce detail (by relay): none" not in text


@pytest.mark.postern_only("the reference logs to standard output by way of postlogd")
def test_in_a_container_the_log_is_on_standard_output(postern):
    mx = postern("maillog_file = /dev/stdout\nmaillog_file_prefixes = /dev/stdout", start=False)
    (mx.dir / "data").mkdir()
    shutil.chown(mx.dir / "data", "postfix", "postfix")
    with open(mx.dir / "out", "w") as out:
        process = subprocess.Popen([mx.program("postern"), "-c", mx.config, "start-fg"], stdout=out,
                                   stderr=subprocess.DEVNULL, env=mx.environment(), start_new_session=True)
    try:
        wait.until(mx.is_listening, "the server")
        mx.session().close()
        wait.until(lambda: "postfix/smtpd[" in (mx.dir / "out").read_text(), "a line of smtpd")
        mx.command("postern", "-c", mx.config, "stop")
        assert process.wait(20) == 0
    finally:
        process.poll() is None and process.kill()
    assert re.match(r"\w{3} [ \d]\d [\d:]{8} \S+ postfix/postfix-script\[\d+\]: ", (mx.dir / "out").read_text())


@contextlib.contextmanager
def syslogd():
    """A syslog daemon; yields the list of the lines that came."""
    path, there = pathlib.Path("/dev/log"), os.path.exists("/dev/log")
    own = pathlib.Path(os.environ["POSTERN_WORLD"]) / "log-socket" if there else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(own))
        os.chmod(own, 0o666)
        if there:
            subprocess.run(["mount", "--bind", own, path], check=True)
        lines = []

        def read():
            while data := sock.recv(8192):
                lines.append(data.decode())

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield lines
        finally:
            if there:
                subprocess.run(["umount", path], check=True)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
                end.sendto(b"", str(own))
            reader.join(5)
            own.unlink()


def test_without_a_log_file_lines_go_to_syslog(postern):
    with syslogd() as lines:
        mx = postern("maillog_file =\nsyslog_facility = local3\nsyslog_name = mta9")
        mx.session().close()

        def found(pattern):
            return any(re.match(pattern, line) for line in lines)

        # local3 (19) * 8 + info (6); no host name: syslogd adds it.
        wait.until(lambda: found(r"<158>\w{3} [ \d]\d [\d:]{8} mta9/smtpd\[\d+\]: connect from "), "a line of smtpd")
        assert found(r"<158>\w{3} [ \d]\d [\d:]{8} mta9/master\[\d+\]: daemon started -- version ")
        mx.command("postlog", "-p", "warn", "-t", "mta9/backup", "took", "3 s")
        wait.until(lambda: found(r"<156>\w{3} [ \d]\d [\d:]{8} mta9/backup(\[\d+\])?: warning: took 3 s"), "the line of postlog")
        mx.stop()


@pytest.mark.postern_only("the reference says nothing when it is no terminal")
@pytest.mark.skipif(os.path.exists("/dev/log"), reason="a syslogd listens here")
def test_without_any_log_each_line_is_said_once(postern):
    mx = postern("maillog_file =", start=False)
    result = mx.command("postern", "status", check=False)
    assert result.returncode == 1
    assert result.stderr == "postfix/postfix-script: the Postfix mail system is not running\n"
    refused = mx.command("postern", "-c", mx.config, "check", user="nobody", check=False)
    assert refused.returncode == 1
    assert all(line.startswith("postfix/postfix-script: ") for line in refused.stderr.splitlines())
    assert len(refused.stderr.splitlines()) == len(set(refused.stderr.splitlines()))
