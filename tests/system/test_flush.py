# SPDX-License-Identifier: Apache-2.0
"""Asking for what waits for one destination: ETRN, postqueue -s, sendmail -qR, postqueue -i."""
import json
import time

import pytest

from world import wait

MAIN = """
    mydestination = mx.test
    relay_domains = far.test
    fast_flush_domains = far.test
    transport_maps = static:smtp:[127.0.0.9]
    minimal_backoff_time = 1000s
    maximal_backoff_time = 1000s
    queue_run_delay = 1000s
"""
DOMAINS = ("far.test", "other.test", "a.far.test")


@pytest.fixture(scope="module")
def mx(module_postern):
    server = module_postern(MAIN)
    server.ids = {}
    with server.session() as s:
        s.ehlo()
        for domain in DOMAINS:
            server.ids[domain] = s.mail("s@s.test", "x@" + domain)
    for domain in DOMAINS:
        server.log.wait(f"to=<x@{domain}>, *status=deferred *")
    return server


def attempts(mx):
    return {d: mx.log.text().count(f"to=<x@{d}>") for d in DOMAINS}


def tries_only(mx, domain, do):
    """do() makes mail for this domain (None: no domain) be tried once more, and no other."""
    before = attempts(mx)
    do()
    if domain:
        wait.until(lambda: attempts(mx)[domain] == before[domain] + 1, f"another attempt for {domain}")
    time.sleep(0.3 if domain else 1)
    after = attempts(mx)
    assert {d for d in DOMAINS if after[d] != before[d]} == ({domain} if domain else set())


ELIGIBLE = [("far.test", "far.test"), ("FAR.test", "far.test"), ("a.far.test", "a.far.test")]


@pytest.mark.parametrize("site, domain", ELIGIBLE)
@pytest.mark.parametrize("command", [("postqueue", "-s"), ("sendmail", "-qR")])
def test_mail_for_the_site_is_tried(mx, command, site, domain):
    name, option = command
    arguments = [option, site] if option == "-s" else [option + site]
    tries_only(mx, domain, lambda: mx.command(name, *arguments))


@pytest.mark.parametrize("site", ["other.test", "[1.2.3.4]"])
def test_a_site_beyond_fast_flush_domains_is_refused(mx, site):
    def refused():
        result = mx.command("postqueue", "-s", site, check=False)
        assert result.returncode == 69
        assert result.stderr.endswith(
            f'postqueue: fatal: Flush service is not configured for destination "{site}"\n')
    tries_only(mx, None, refused)


def test_etrn(mx):
    with mx.session() as s:
        s.ehlo()
        tries_only(mx, "far.test", lambda: s.send("ETRN far.test").expect("250 Queuing started"))
        tries_only(mx, "a.far.test", lambda: s.send("ETRN @a.far.test").expect("250 Queuing started"))
        tries_only(mx, None, lambda: s.send("ETRN other.test").expect("459 <other.test>: service unavailable"))
        s.send("ETRN [1.2.3.4]").expect("459 <[1.2.3.4]>: service unavailable")
        s.send("ETRN no..x").expect("501 Error: invalid parameter syntax")
    assert mx.log.has("warning: reject: ETRN other.test... from localhost[127.0.0.1]")


def test_one_message(mx):
    tries_only(mx, "other.test", lambda: mx.command("postqueue", "-i", mx.ids["other.test"]))
    tries_only(mx, "far.test", lambda: mx.command("sendmail", "-qI" + mx.ids["far.test"]))
    assert mx.command("postqueue", "-i", "ABCDEF12345").returncode == 0
    assert mx.command("postqueue", "-i", "../x", check=False).returncode == 69


def test_when_it_is_down(postern):
    mx = postern(MAIN, start=False)
    for argv in (["postqueue", "-f"], ["postqueue", "-s", "far.test"], ["postqueue", "-i", "ABCDEF12345"],
                 ["postfix", "-c", mx.config, "flush"]):
        result = mx.command(*argv, check=False)
        assert result.returncode == 69 and "Cannot flush mail queue - mail system is down" in result.stderr, argv


def test_mail_in_the_maildrop_is_listed_and_deleted(postern):
    mx = postern(MAIN)
    mx.stop()
    mx.command("sendmail", "-f", "a@x.test", "nobody@mx.test", stdin="Subject: x\n\nhi\n")
    assert "a@x.test\n" + " " * 41 + "nobody@mx.test\n" in mx.queue.listing()
    found = json.loads(mx.command("postqueue", "-j").stdout)
    assert (found["queue_name"], found["sender"], found["recipients"]) == (
        "maildrop", "a@x.test", [{"address": "nobody@mx.test"}])
    assert "Deleted: 1 message\n" in mx.command("postsuper", "-d", "ALL", check=False).stderr
    assert list((mx.queue_dir / "maildrop").iterdir()) == []
