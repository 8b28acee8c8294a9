# SPDX-License-Identifier: Apache-2.0
"""Limits of counts and rates for one client: replies, log lines, exceptions."""
import time

import pytest

from world.session import Session

SETTINGS = """
    mydestination = mx.test
    local_recipient_maps =
    smtpd_client_event_limit_exceptions = 127.0.0.9, .exempt.test
    anvil_status_update_time = 2s
    smtpd_tls_cert_file = {cert}
    smtpd_tls_key_file = {key}
    smtpd_peername_lookup = yes
"""
PORTS = {
    "count": (20101, "-o smtpd_client_connection_count_limit=2"),
    "connects": (20102, "-o smtpd_client_connection_rate_limit=2"),
    "messages": (20103, "-o smtpd_client_message_rate_limit=2"),
    "recipients": (20104, "-o smtpd_client_recipient_rate_limit=2"),
    "tls": (20105, "-o smtpd_client_new_tls_session_rate_limit=1 -o smtpd_tls_security_level=may"),
    "wrapper": (20106, "-o smtpd_client_new_tls_session_rate_limit=1 -o smtpd_tls_wrappermode=yes"),
    "short": (20107, "-o smtpd_client_message_rate_limit=1 -o anvil_rate_time_unit=1s"),
}
MASTER = "".join(f"127.0.0.1:{port} inet n - n - - smtpd {options}\n" for port, options in PORTS.values())


@pytest.fixture(scope="module")
def mx(module_postern, certificate):
    key, cert = certificate
    return module_postern(SETTINGS.format(key=key, cert=cert), extra_master=MASTER)


def connect(name, source=None, greeting="220 *"):
    return Session(("127.0.0.1", PORTS[name][0]), source=source, greeting=greeting)


def test_connections_at_once(mx, dns):
    dns.host("client.test", "127.0.0.3")
    with connect("count", "127.0.0.3"), connect("count", "127.0.0.3") as second:
        with connect("count", "127.0.0.3",
                     "421 4.7.0 mx.test Error: too many connections from 127.0.0.3") as third:
            third.expect_close()
        mx.log.wait("Connection concurrency limit exceeded: 3 from *[127.0.0.3] for service 127.0.0.1:20101")
        mx.log.wait("disconnect from *[127.0.0.3] commands=0/0")
        with connect("count", "127.0.0.4"):  # another client
            pass
        second.send("QUIT").expect("221 *")
        second.expect_close()
        mx.log.wait("disconnect from *[127.0.0.3] quit=1 commands=1")
        with connect("count", "127.0.0.3"):
            pass


def test_highest_values_are_in_the_log(mx):
    sessions = [connect("count", "127.0.0.11") for _ in range(2)]
    connect("count", "127.0.0.11", "421 *").close()
    for session in sessions:
        session.close()
    mx.log.wait("postfix/anvil[*]: statistics: max connection count 3 for (127.0.0.1:20101:127.0.0.*) at *")
    mx.log.wait("postfix/anvil[*]: statistics: max cache size ? at *")


def test_exceptions_by_address_and_by_name(mx, dns):
    dns.host("host.exempt.test", "127.0.0.7")
    for source in ("127.0.0.9", "127.0.0.7"):
        sessions = [connect("count", source) for _ in range(4)]
        for session in sessions:
            session.close()


def test_rate_of_connections(mx):
    for _ in range(2):
        connect("connects").close()
    for n in (3, 4):
        connect("connects", None, "421 4.7.0 mx.test Error: too many connections from 127.0.0.1").close()
        mx.log.wait(f"Connection rate limit exceeded: {n} from localhost[127.0.0.1] for service 127.0.0.1:20102")


def test_rate_of_messages(mx):
    with connect("messages") as s:
        s.ehlo()
        for reply in ("250 2.1.0 Ok", "250 2.1.0 Ok", "450 4.7.1 Error: too much mail from 127.0.0.1"):
            s.send("MAIL FROM:<a@b>").expect(reply)
            s.send("RSET").expect("250 *")
    with connect("messages") as s:
        s.send("MAIL FROM:<a@b>").expect("450 4.7.1 *")
    mx.log.wait("Message delivery request rate limit exceeded: 4 from localhost[127.0.0.1] for service 127.0.0.1:20103")
    mx.log.wait("disconnect from localhost[127.0.0.1] ehlo=1 mail=2/3 rset=3 commands=6/7")
    mx.log.wait("statistics: max message rate 4/60s for (127.0.0.1:20103:127.0.0.1) at *")


def test_rate_of_recipients(mx):
    with connect("recipients") as s:
        s.send("MAIL FROM:<a@b>").expect("250 *")
        for reply in ("250 2.1.5 Ok", "250 2.1.5 Ok", "450 4.7.1 Error: too many recipients from 127.0.0.1"):
            s.send("RCPT TO:<jo@mx.test>").expect(reply)
    mx.log.wait("Recipient address rate limit exceeded: 3 from localhost[127.0.0.1] for service 127.0.0.1:20104")
    mx.log.wait("statistics: max recipient rate 3/60s for (127.0.0.1:20104:127.0.0.1) at *")


def test_rate_of_new_tls_sessions(mx):
    with connect("tls") as s:
        s.ehlo().starttls().ehlo()
    with connect("tls") as s:
        s.ehlo().starttls().expect(
            "421 4.7.0 mx.test Error: too many new TLS sessions from localhost[127.0.0.1]")
    with connect("tls") as s:
        s.ehlo().send("STARTTLS").expect(
            "454 4.7.0 Error: too many new TLS sessions from localhost[127.0.0.1]")
        s.send("MAIL FROM:<a@b>").expect("250 *")
    mx.log.wait("New TLS session rate limit exceeded: 2 from localhost[127.0.0.1] for service 127.0.0.1:20105")
    mx.log.wait("disconnect from localhost[127.0.0.1] ehlo=1 starttls=0/1 commands=1/2")
    mx.log.wait("Refusing STARTTLS request from localhost[127.0.0.1] for service 127.0.0.1:20105")
    mx.log.wait("statistics: max newtls rate 2/60s for (127.0.0.1:20105:127.0.0.1) at *")


@pytest.mark.postern_only("its anvil has one unit of time for all services")
def test_rates_begin_anew(mx):
    with connect("short") as s:
        s.send("MAIL FROM:<a@b>").expect("250 *").send("RSET").expect("250 *")
        deadline = time.monotonic() + 10
        while True:
            s.send("MAIL FROM:<a@b>").read_reply()
            if s.reply.startswith("250"):
                break
            assert s.reply.startswith("450 4.7.1 Error: too much mail") and time.monotonic() < deadline
            time.sleep(0.2)


@pytest.mark.postern_only("the reference has a process for each client")
def test_slow_names_hold_no_worker(postern, dns):
    """Many clients whose name server is silent, one thread, and another client is served at once."""
    mx = postern("mydestination = mx.test\nsmtpd_client_connection_count_limit = 50\nmynetworks =\n",
                 extra_master="127.0.0.1:20110 inet n - n - 1 smtpd\n")
    for last in range(20, 30):
        dns.delay(f"{last}.0.0.127.in-addr.arpa", 30)
    waiting = [Session(("127.0.0.1", 20110), source=f"127.0.0.{20 + i % 10}", greeting=None) for i in range(40)]
    started = time.monotonic()
    with Session(("127.0.0.1", 20110)) as s:
        s.send("QUIT").expect("221 *")
    assert time.monotonic() - started < 3
    for session in waiting:
        session.close()
    assert mx.is_listening()
