# SPDX-License-Identifier: Apache-2.0
"""Address verification: probes, the replies they lead to, and the cache."""
import concurrent.futures
import os
import signal
import subprocess
import time

import pytest

from world import wait
from world.session import Session

MAIN = """
    mydestination = mx.test
    local_recipient_maps =
    smtpd_reject_unlisted_recipient = no
    recipient_delimiter = +
    transport_maps = inline:{ far.test=smtp:[127.0.0.2], down.test=smtp:[127.0.0.9], { bad.test = error:5.1.2 bad domain },
        gone.test=discard:gone, { late.test = retry:4.4.1 not now }, pipe.test=pp: }
    virtual_mailbox_domains = v.test
    virtual_mailbox_base = /tmp
    virtual_mailbox_maps = inline:{ a@v.test=a, b@v.test=b/ }
    virtual_uid_maps = static:1000
    virtual_gid_maps = static:1000
    virtual_alias_domains = va.test
    virtual_alias_maps = inline:{ x@va.test=ann@far.test, y@va.test=no@far.test }
    relay_domains = far.test
    alias_maps = inline:{ { team = ann@far.test, nobody }, { cmd = "|/bin/true" } }
    address_verify_map = btree:$data_directory/verify_cache
    address_verify_poll_delay = 1
    address_verify_poll_count = 10
    smtpd_recipient_restrictions = reject_unverified_recipient, permit
    unverified_recipient_reject_code = 550
"""
PIPE = """
pp unix - n n - - pipe user=nobody argv=/bin/false ${recipient}
"""
MASTER = PIPE + """
127.0.0.1:20925 inet n - n - - smtpd
    -o smtpd_recipient_restrictions=reject_unverified_sender,permit
127.0.0.1:20926 inet n - n - - smtpd
    -o smtpd_recipient_restrictions=reject_unverified_recipient,permit
    -o unverified_recipient_reject_reason=Custom_reason
    -o unverified_recipient_defer_code=451
127.0.0.1:20927 inet n - n - - smtpd
    -o smtpd_recipient_restrictions=warn_if_reject,reject_unverified_recipient,permit
127.0.0.1:20928 inet n - n - - smtpd
    -o smtpd_recipient_restrictions=reject_unverified_recipient,reject
    -o unverified_recipient_reject_code=450
127.0.0.1:20929 inet n - n - - smtpd
    -o smtpd_recipient_restrictions=reject_unverified_recipient,permit
    -o address_verify_poll_count=1
127.0.0.1:20930 inet n - n - - smtpd
    -o smtpd_recipient_restrictions=reject_unverified_recipient,reject
    -o unverified_recipient_tempfail_action=defer
"""
SAYS = "host 127.0.0.2[127.0.0.2] said: "


def replies():
    return {"RCPT TO:<no@far.test>": "550 5.1.1 no such user", "RCPT TO:<later@far.test>": "450 4.2.0 later"}


@pytest.fixture(scope="module")
def far():
    from world.remote import Remote
    host = Remote("127.0.0.2", replies=replies())
    yield host
    host.close()


@pytest.fixture(scope="module")
def mx(module_postern, far):
    return module_postern(MAIN, extra_master=MASTER)


def ask(port, recipient, sender="s@s.test"):
    with Session(("127.0.0.1", port), timeout=40) as s:
        s.ehlo().send(f"MAIL FROM:<{sender}>").expect("250 *")
        return s.send(f"RCPT TO:<{recipient}>").read_reply()


def probes(far, address):
    return far.lines.count(f"RCPT TO:<{address}>")


REPLIES = [
    ("yes@far.test", "250 2.1.5 Ok"),
    ("no@far.test", "550 5.1.1 <no@far.test>: Recipient address rejected: undeliverable address: " + SAYS +
     "550 5.1.1 no such user (in reply to RCPT TO command)"),
    ("later@far.test", "450 4.1.1 <later@far.test>: Recipient address rejected: unverified address: " + SAYS +
     "450 4.2.0 later (in reply to RCPT TO command)"),
    ("x@down.test", "450 4.1.1 <x@down.test>: Recipient address rejected: unverified address: "
     "connect to 127.0.0.9[127.0.0.9]:25: Connection refused"),
    ("x@bad.test", "550 5.1.1 <x@bad.test>: Recipient address rejected: undeliverable address: bad domain"),
    ("x@gone.test", "250 2.1.5 Ok"),
    ("x@late.test", "450 4.1.1 <x@late.test>: Recipient address rejected: unverified address: not now"),
    ("x@pipe.test", "250 2.1.5 Ok"),
    ("nobody@mx.test", "250 2.1.5 Ok"),
    ("nobody", "250 2.1.5 Ok"),
    ("nobody+ext@mx.test", "250 2.1.5 Ok"),
    ("nouser@mx.test", '550 5.1.1 <nouser@mx.test>: Recipient address rejected: undeliverable address: '
     'unknown user: "nouser"'),
    ("team@mx.test", "250 2.1.5 Ok"),
    ("cmd@mx.test", "250 2.1.5 Ok"),
    ("a@v.test", "250 2.1.5 Ok"),
    ("b@v.test", "250 2.1.5 Ok"),
    ("c@v.test", '550 5.1.1 <c@v.test>: Recipient address rejected: undeliverable address: unknown user: "c@v.test"'),
    ("x@va.test", "250 2.1.5 Ok"),
    ("y@va.test", "550 5.1.1 <y@va.test>: Recipient address rejected: undeliverable address: " + SAYS +
     "550 5.1.1 no such user (in reply to RCPT TO command)"),
    ("x@nosuch.test", "550 5.1.1 <x@nosuch.test>: Recipient address rejected: undeliverable address: "
     "Host or domain name not found. Name service error for name=nosuch.test type=A: Host not found"),
]


def test_the_reply_says_what_became_of_the_probe(mx, far):
    with concurrent.futures.ThreadPoolExecutor(len(REPLIES)) as pool:
        found = list(pool.map(lambda case: (case[0], ask(mx.port, case[0])), REPLIES))
    assert found == REPLIES
    assert far.messages == [] and "DATA" not in far.lines


def test_what_is_known_is_answered_at_once_and_probed_once(mx, far):
    assert ask(mx.port, "once@far.test") == "250 2.1.5 Ok"
    started = time.monotonic()
    for _ in range(5):
        assert ask(mx.port, "once@far.test") == "250 2.1.5 Ok"
    assert time.monotonic() - started < 5
    assert probes(far, "once@far.test") == 1
    assert ask(mx.port, "no@far.test").startswith("550 5.1.1 ")
    assert probes(far, "no@far.test") <= 2  # y@va.test too


def test_sender_is_verified_with_its_own_codes(mx):
    assert ask(20925, "nobody@mx.test", "yes@far.test") == "250 2.1.5 Ok"
    assert ask(20925, "nobody@mx.test", "") == "250 2.1.5 Ok"
    assert ask(20925, "nobody@mx.test", "no@far.test").startswith(
        "450 4.1.7 <no@far.test>: Sender address rejected: unverified address: " + SAYS + "550 5.1.1 no such user")


def test_codes_reasons_and_actions(mx):
    for address in ("no@far.test", "later@far.test"):
        ask(mx.port, address)
    assert ask(20926, "no@far.test") == ("550 5.1.1 <no@far.test>: Recipient address rejected: "
                                         "undeliverable address: Custom_reason")
    assert ask(20926, "later@far.test") == ("451 4.1.1 <later@far.test>: Recipient address rejected: "
                                            "unverified address: Custom_reason")
    for address in ("no@far.test", "later@far.test"):
        assert ask(20928, address).startswith("554 5.7.1 "), "defer_if_permit goes on, to reject"
    assert ask(20930, "later@far.test").startswith("450 4.1.1 "), "defer is at once"


def test_warn_if_reject(mx):
    ask(mx.port, "no@far.test")
    assert ask(20927, "no@far.test") == "250 2.1.5 Ok"
    assert mx.log.has("reject_warning: RCPT from *: 550 5.1.1 <no@far.test>: Recipient address rejected: "
                      "undeliverable address: *; from=<s@s.test> to=<no@far.test> proto=ESMTP helo=<client.test>")


def test_in_progress_when_nobody_waits(mx):
    assert ask(20929, "fresh@far.test") == (
        "450 4.1.1 <fresh@far.test>: Recipient address rejected: unverified address: Address verification in progress")
    wait.until(lambda: ask(20929, "fresh@far.test") == "250 2.1.5 Ok", "the result")


def test_log_of_probes(mx):
    ask(mx.port, "yes@far.test")
    ask(mx.port, "team@mx.test")
    assert mx.log.has("from=<double-bounce@mx.test>, size=*, nrcpt=1 (queue active)")
    assert mx.log.has("to=<yes@far.test>, relay=127.0.0.2[127.0.0.2]:25, *, dsn=2.1.5, status=deliverable (250 2.1.5 ok)")
    assert mx.log.has("to=<team@mx.test>, relay=local, *, dsn=2.0.0, status=deliverable (aliased to ann@far.test, nobody)")
    assert mx.log.has("cache btree:*/data/verify_cache full cleanup: retained=0 dropped=0 entries")
    mx.queue.wait_empty()
    assert not mx.log.has("sender non-delivery notification*")


def test_our_own_probe_sender_is_never_refused(mx):
    assert ask(20928, "double-bounce@mx.test") == "250 2.1.5 Ok"
    assert ask(20928, "postmaster") == "250 2.1.5 Ok"


@pytest.mark.postern_only("the reference needs a process for each client and asks every second")
def test_fifty_clients_share_one_probe_and_hold_no_worker(postern, far):
    slow = time.monotonic() + 1.5

    def answer(_):
        time.sleep(max(0, slow - time.monotonic()))
        return "250 2.1.5 ok"
    far.replies["RCPT TO:<SLOW@FAR.TEST>"] = answer
    postern(MAIN.replace("reject_unverified_recipient, permit", "permit"), extra_master="""
127.0.0.1:20940 inet n - n - 1 smtpd
    -o smtpd_recipient_restrictions=reject_unverified_recipient,permit
""" + PIPE)
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda _: ask(20940, "slow@far.test"), range(50)))
    assert set(found) == {"250 2.1.5 Ok"}
    assert probes(far, "slow@far.test") == 1
    assert time.monotonic() < slow + 4


@pytest.mark.parametrize("kind", ["btree", "hash", "lmdb"])
def test_restart_keeps_the_cache(postern, far, kind):
    main = MAIN.replace("btree:$data", kind + ":$data")
    mx = postern(main, extra_master=PIPE)
    name = f"kept-{kind}@far.test"
    far.replies[f"RCPT TO:<NOT-{kind}@FAR.TEST>".upper()] = "550 5.1.1 not here"
    assert ask(mx.port, name) == "250 2.1.5 Ok"
    assert ask(mx.port, f"not-{kind}@far.test").startswith("550 ")
    mx.stop()
    listed = subprocess.run(["/usr/sbin/postmap", "-c", mx.config, "-s", f"{kind}:{mx.dir}/data/verify_cache"],
                            capture_output=True, text=True).stdout
    assert f"{name}\t0:0:" in listed and ":250 2.1.5 ok\n" in listed
    assert f"not-{kind}@far.test\t2:0:" in listed
    mx.start()
    assert ask(mx.port, name) == "250 2.1.5 Ok"
    assert ask(mx.port, f"not-{kind}@far.test").startswith("550 ")
    assert probes(far, name) == 1


def test_entries_of_before_are_used_refreshed_and_expire(postern, far):
    mx = postern(MAIN, extra_master=PIPE, start=False)
    now = int(time.time())
    (mx.dir / "data").mkdir(exist_ok=True)
    (mx.dir / "data/verify_cache").write_text(
        f"old@far.test 0:0:{now - 8 * 86400}:250 2.0.0 was good\n"
        f"gone@far.test 2:0:{now - 4 * 86400}:550 was bad\n"
        f"bad@far.test 2:0:{now - 100}:said 550 before\n")
    subprocess.run(["/usr/sbin/postmap", "-c", mx.config, f"btree:{mx.dir}/data/verify_cache"], check=True)
    subprocess.run(["chown", "postfix:postfix", f"{mx.dir}/data/verify_cache.db", f"{mx.dir}/data"], check=True)
    mx.start()
    assert ask(mx.port, "old@far.test") == "250 2.1.5 Ok"
    wait.until(lambda: probes(far, "old@far.test") == 1, "the refreshing probe")
    assert ask(mx.port, "gone@far.test") == "250 2.1.5 Ok"
    assert ask(mx.port, "bad@far.test").endswith("undeliverable address: said 550 before")
    assert probes(far, "bad@far.test") == 0


def test_a_bad_result_does_not_replace_a_good_one(postern, far):
    far.replies["RCPT TO:<WAS@FAR.TEST>"] = "250 2.1.5 ok"
    mx = postern(MAIN + "    address_verify_positive_refresh_time = 1s\n", extra_master=PIPE)
    assert ask(mx.port, "was@far.test") == "250 2.1.5 Ok"
    far.replies["RCPT TO:<WAS@FAR.TEST>"] = "550 5.1.1 no more"
    wait.until(lambda: ask(mx.port, "was@far.test") == "250 2.1.5 Ok" and probes(far, "was@far.test") > 1, "refresh")
    mx.log.wait("to=<was@far.test>, *, status=undeliverable *")
    assert ask(mx.port, "was@far.test") == "250 2.1.5 Ok"


def test_without_a_negative_cache_every_question_is_a_probe(postern, far):
    mx = postern(MAIN + "    address_verify_negative_cache = no\n    address_verify_poll_count = 2\n",
                 extra_master=PIPE)
    before = probes(far, "no@far.test")
    for _ in range(2):
        assert ask(mx.port, "no@far.test") == (
            "450 4.1.1 <no@far.test>: Recipient address rejected: unverified address: "
            "Address verification in progress")
        mx.queue.wait_empty()
    assert probes(far, "no@far.test") >= before + 2
    assert mx.log.has("to=<no@far.test>, *, status=undeliverable-but-not-cached (*)")


def test_sender_of_probes_changes_and_is_known(postern, far):
    mx = postern(MAIN + "    address_verify_sender_ttl = 1000s\n    address_verify_map =\n", extra_master=PIPE)
    assert ask(mx.port, "ttl@far.test") == "250 2.1.5 Ok"
    line = mx.log.wait("from=<double-bounce*@mx.test>, size=*, nrcpt=1 (queue active)")
    sender = line.split("from=<")[1].split(">")[0]
    assert sender != "double-bounce@mx.test"
    assert ask(mx.port, sender) == "250 2.1.5 Ok"
    assert ask(mx.port, "double-bounceXYZ@mx.test").startswith("550 5.1.1 ")


def test_probes_may_go_another_way(postern, far):
    mx = postern(MAIN + "    address_verify_relayhost = [127.0.0.2]\n    address_verify_transport_maps =\n"
                 "    address_verify_relay_transport = error:5.1.1 not for you\n", extra_master=PIPE)
    assert ask(mx.port, "x@elsewhere.test") == "250 2.1.5 Ok"
    assert probes(far, "x@elsewhere.test") == 1
    assert ask(mx.port, "x@far.test").endswith("undeliverable address: not for you")


@pytest.mark.postern_only("the reference says it in other words")
def test_probes_beyond_the_limit_are_tried_later(postern, far):
    far.replies["RCPT TO:<STUCK@FAR.TEST>"] = lambda _: time.sleep(4) or "250 2.1.5 ok"
    mx = postern(MAIN + "    address_verify_pending_request_limit = 1\n", extra_master=PIPE)
    with Session(("127.0.0.1", mx.port)) as s:
        s.ehlo().send("MAIL FROM:<s@s.test>").expect("250 *").send("RCPT TO:<stuck@far.test>")
        wait.until(lambda: probes(far, "stuck@far.test"), "the probe")
        assert ask(mx.port, "more@far.test").endswith("unverified address: too many address verification requests")
        s.expect("250 *")
    mx.log.wait("to=<stuck@far.test>, *status=deliverable *")
    assert ask(mx.port, "more@far.test") == "250 2.1.5 Ok"


@pytest.mark.postern_only("the reference looks at its process table in another way")
def test_reload_and_the_death_of_the_service(postern, far):
    mx = postern(MAIN, extra_master=PIPE)
    assert ask(mx.port, "reload@far.test") == "250 2.1.5 Ok"
    before = mx.pids("verify")
    mx.reload()
    assert ask(mx.port, "reload@far.test") == "250 2.1.5 Ok"
    wait.until(lambda: len(mx.pids("verify")) == 1 and mx.pids("verify") != before, "the successor")
    assert ask(mx.port, "reload@far.test") == "250 2.1.5 Ok"
    assert probes(far, "reload@far.test") == 1
    os.kill(mx.pids("verify")[0], signal.SIGKILL)
    first = ask(mx.port, "killed@far.test")
    assert first.startswith(("250 ", "450 4.1.1 ")), first
    wait.until(lambda: ask(mx.port, "killed@far.test") == "250 2.1.5 Ok", "the next service")


@pytest.mark.postern_only("the reference has no redis tables")
def test_a_cache_at_a_redis_server(postern, far, redis_server):
    mx = postern(MAIN.replace("btree:$data_directory/verify_cache", "redis:$config_directory/redis.cf"),
                 extra_master=PIPE, start=False)
    (mx.config / "redis.cf").write_text(f"hosts = 127.0.0.1:{redis_server.port}\nkey_format = verify:%s\n")
    now = int(time.time())
    redis_server.command("SET", "verify:known@far.test", f"2:0:{now - 10}:other host said no")
    mx.start()
    assert ask(mx.port, "known@far.test").endswith("undeliverable address: other host said no")
    assert probes(far, "known@far.test") == 0
    assert ask(mx.port, "redis@far.test") == "250 2.1.5 Ok"
    wait.until(lambda: redis_server.command("GET", "verify:redis@far.test").startswith("0:0:"), "the entry")
