# SPDX-License-Identifier: Apache-2.0
"""What the person who runs the server meets: start, stop, reload, mistakes."""
import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest

from world import wait

postern_only = pytest.mark.postern_only


def listening():
    """Every TCP socket that listens in this world: {(address, port)}."""
    text = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    return {tuple(line.split()[3].rsplit(":", 1)) for line in text.splitlines()}


def test_first_chapter_of_the_seed_listens_on_loopback_only(postern, dns, remote):
    subprocess.run("ip addr add 192.0.2.1/24 dev lo", shell=True, check=True)
    before = listening()
    mx = postern("""
        inet_interfaces = loopback-only
        mynetworks = 127.0.0.0, [::1]
        inet_protocols = all
    """, master_cf=None, start=False)
    text = (mx.config / "master.cf").read_text()
    (mx.config / "master.cf").write_text(text.replace(f"127.0.0.1:{mx.port}", str(mx.port)))
    mx.start()
    new = listening() - before
    subprocess.run("ip addr del 192.0.2.1/24 dev lo", shell=True, check=True)
    assert {address for address, _ in new} == {"127.0.0.1", "[::1]"}
    assert {int(port) for _, port in new} == {mx.port}


def test_bare_network_in_mynetworks_is_one_address(postern, dns):
    mx = postern("mynetworks = 127.0.0.0, [::1]")
    with mx.session() as s:
        s.ehlo()
        s.send("MAIL FROM:<ann@client.test>").expect("250 2.1.0 Ok")
        s.send("RCPT TO:<bob@far.test>").expect("454 4.7.1 <bob@far.test>: Relay access denied")


def test_stop_ends_every_process_and_start_finds_the_mail(postern, dns, remote):
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    mx = postern()
    with mx.session() as s:
        queue_id = s.ehlo().mail("ann@client.test", "bob@far.test")
    mx.log.wait(f"{queue_id}: to=<bob@far.test>, *status=deferred (connect to mx.far.test[127.0.0.2]:25: "
                "Connection refused)")
    mx.stop()
    assert not mx.is_listening()
    far = remote("127.0.0.2")
    mx.start()
    mx.command("postqueue", "-f")
    wait.until(lambda: far.messages, "the message after the restart")
    mx.queue.wait_empty()


def test_second_start_is_refused(postern):
    mx = postern()
    name = "postfix" if mx.kind == "reference" else "postern"
    result = mx.command(name, "-c", mx.config, "start", check=False)
    assert result.returncode != 0
    mx.log.wait("fatal: the Postfix mail system is already running")


def test_status_tells_whether_it_runs(postern):
    mx = postern()
    name = "postfix" if mx.kind == "reference" else "postern"
    mx.command(name, "-c", mx.config, "status")
    mx.log.wait(f"the Postfix mail system is running: PID: {mx.pid()}")
    mx.stop()
    result = mx.command(name, "-c", mx.config, "status", check=False)
    assert result.returncode != 0
    mx.log.wait("the Postfix mail system is not running")


@postern_only("the reference keeps no process of its own for sessions")
def test_reload_changes_what_new_sessions_see_and_keeps_old_ones(postern):
    mx = postern("smtpd_banner = $myhostname ESMTP one")
    with mx.session(greeting="220 mx.test ESMTP one") as old:
        mx.write_main("smtpd_banner = $myhostname ESMTP two")
        mx.reload()
        mx.log.wait("reload -- version *")

        def new_banner():
            with mx.session(greeting="220 *") as s:
                return s.reply == "220 mx.test ESMTP two"
        wait.until(new_banner, "the new banner")
        old.send("NOOP").expect("250 2.0.0 Ok")


@postern_only("the reference does not check before it reloads")
def test_reload_of_a_broken_configuration_changes_nothing(postern):
    mx = postern("mydestination = example.test\nlocal_recipient_maps =")
    mx.sendmail("-f", "ann@client.test", "nobody@example.test", text="Subject: all services run\n\n.\n")
    mx.log.wait("removed")
    mx.write_main("mydestination = example.test\nlocal_recipient_maps =\nsmtpd_timeout = soon")
    os.kill(mx.pid(), 1)
    mx.log.wait("reload refused, the old configuration goes on: *main.cf*smtpd_timeout*")
    with mx.session() as s:
        s.ehlo().mail("ann@client.test", "nobody@example.test")


@postern_only("texts are our own")
@pytest.mark.parametrize("main_cf, wanted", [
    ("this is no setting", r"main\.cf, line \d+: "),
    ("smtpd_timeout = soon", r"main\.cf, line \d+: .*smtpd_timeout"),
    ("default_process_limit = many", r"main\.cf, line \d+: .*default_process_limit"),
    ("mail_owner = nosuchuser", r"mail_owner = nosuchuser"),
])
def test_a_broken_main_cf_is_one_clear_line(postern, main_cf, wanted):
    mx = postern(main_cf, start=False)
    result = mx.command("postern", "-c", mx.config, "start", check=False)
    assert result.returncode != 0
    assert re.search(wanted, result.stderr), result.stderr
    assert not mx.is_listening()


@postern_only("texts are our own")
def test_a_port_in_use_is_one_clear_line(postern):
    mx = postern(start=False)
    with socket.create_server(("127.0.0.1", mx.port)):
        result = mx.command("postern", "-c", mx.config, "start", check=False)
    assert result.returncode != 0
    assert re.search(rf"master\.cf, line \d+: .*{mx.port}.*Address already in use", result.stderr), result.stderr


@postern_only("texts are our own")
def test_a_broken_master_cf_is_one_clear_line(postern):
    mx = postern(start=False, extra_master="broken unix x - n - - smtp\n")
    result = mx.command("postern", "-c", mx.config, "start", check=False)
    assert result.returncode != 0
    assert re.search(r"master\.cf, line \d+", result.stderr), result.stderr


@postern_only("texts are our own")
def test_a_missing_table_defers_and_names_the_file(postern):
    mx = postern("""
        mydestination = example.test
        local_recipient_maps = hash:/nonexistent/users
    """)
    with mx.session() as s:
        s.ehlo()
        s.send("MAIL FROM:<ann@client.test>").expect("250 2.1.0 Ok")
        s.send("RCPT TO:<jo@example.test>").expect("451 4.3.0 <jo@example.test>: Temporary lookup failure")
    mx.log.wait("/nonexistent/users*")


@postern_only("the reference has other directories")
def test_check_makes_and_repairs_directories(postern):
    mx = postern()
    mx.stop()
    os.chmod(mx.queue_dir / "journal", 0o777)
    shutil.rmtree(mx.queue_dir / "corrupt")
    result = mx.command("postern", "-c", mx.config, "check")
    assert "repaired owner and mode of" in result.stderr and "made directory" in result.stderr
    assert (mx.queue_dir / "journal").stat().st_mode & 0o777 == 0o700
    assert (mx.queue_dir / "corrupt").is_dir()
    assert "repaired" not in mx.command("postern", "-c", mx.config, "check").stderr


@postern_only("about the reference's own queue")
def test_mail_of_another_server_in_the_queue_directory_is_reported(postern):
    mx = postern(start=False)
    folder = mx.queue_dir / "deferred" / "A"
    folder.mkdir(parents=True)
    (folder / "A1234567890").write_bytes(b"x")
    result = mx.command("postern", "-c", mx.config, "check")
    assert "holds 1 messages of another mail server" in result.stderr
    assert (folder / "A1234567890").exists()


@postern_only("about programs of ours")
def test_a_dead_service_is_started_again(postern):
    mx = postern("mydestination = example.test\nlocal_recipient_maps =")
    for program in ("smtpd", "qmgr", "pickup"):
        victim = wait.until(lambda: mx.pids(program), f"a {program}")[0]
        os.kill(victim, 9)
        wait.until(lambda: [p for p in mx.pids(program) if p != victim], f"a new {program}")
        mx.log.wait(f"process *{program} pid {victim} killed by signal 9")
    wait.until(mx.is_listening, "the server again")
    with mx.session() as s:
        s.ehlo().mail("ann@client.test", "nobody@example.test")


@postern_only("a stock Debian configuration, run by Postern")
def test_stock_debian_configuration_starts_without_an_edit(postern):
    mx = postern(start=False)
    stock = pathlib.Path("/etc/postfix/master.cf.proto").read_text()
    (mx.config / "master.cf").write_text(stock.replace("smtp      inet", f"127.0.0.1:{mx.port} inet", 1))
    mx.start()
    mx.log.wait("daemon started -- version *")
    with mx.session() as s:
        s.ehlo()
        s.send("QUIT").expect("221 2.0.0 Bye")


@postern_only("wrapper scripts")
def test_a_wrapper_script_can_be_a_service(postern, dns, remote, stage):
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    far = remote("127.0.0.2")
    script = stage / "usr/lib/postfix/smtp_socks"
    script.write_text(f"#!/bin/sh\n\nexport SEEN=yes\nexec {stage}/usr/lib/postfix/smtp $@\n")
    script.chmod(0o755)
    mx = postern(start=False)
    text = (mx.config / "master.cf").read_text()
    (mx.config / "master.cf").write_text(re.sub(r"(?m)^smtp  unix.*$", "smtp unix - - n - - smtp_socks", text))
    mx.start()
    with mx.session() as s:
        s.ehlo().mail("ann@client.test", "bob@far.test")
    wait.until(lambda: far.messages, "the message through the wrapper")


@postern_only("texts are our own")
def test_a_misspelt_name_is_reported_with_the_nearest_one(postern):
    mx = postern("smtp_tsl_security_level = may\n")
    result = mx.command("postern", "-c", mx.config, "check")
    assert "smtp_tsl_security_level" in result.stderr and "smtp_tls_security_level" in result.stderr
