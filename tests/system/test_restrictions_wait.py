# SPDX-License-Identifier: Apache-2.0
"""A question that has to wait holds up nobody: not the worker, not other clients."""
import concurrent.futures
import time

import pytest

from world.session import Session

ONE_WORKER = """
127.0.0.1:20025 inet n - n - 1 smtpd
    -o smtpd_recipient_restrictions=sleep,1,permit
127.0.0.1:20026 inet n - n - 1 smtpd
    -o smtpd_delay_reject=no -o smtpd_client_restrictions=sleep,1 -o smtpd_helo_restrictions=sleep,1
    -o smtpd_data_restrictions=sleep,1 -o smtpd_end_of_data_restrictions=sleep,1
"""


@pytest.mark.postern_only("the reference needs a process for each client")
def test_sleep_holds_no_worker(postern):
    mx = postern(extra_master=ONE_WORKER)

    def client(_):
        with Session(("127.0.0.1", 20025)) as s:
            s.ehlo().mail("ann@client.test", "root@mx.test")

    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        list(pool.map(client, range(20)))
    assert 0.95 < time.monotonic() - started < 8
    assert mx.is_listening()


def test_what_was_forwarded_outlives_the_wait(postern):
    mx = postern("smtpd_authorized_xforward_hosts = 127.0.0.1\n", extra_master=ONE_WORKER
                 + "127.0.0.1:20027 inet n - n - 1 smtpd\n    -o smtpd_delay_reject=no -o smtpd_sender_restrictions=sleep,1\n")
    with Session(("127.0.0.1", 20027)) as s:
        s.ehlo().send("XFORWARD NAME=far.test ADDR=192.0.2.8").expect("250 2.0.0 Ok")
        queue_id = s.mail("ann@client.test", "root@mx.test")
    mx.log.wait(f"{queue_id}: client=localhost[127.0.0.1], orig_client=far.test[192.0.2.8]")


def test_every_stage_can_wait(postern):
    postern(extra_master=ONE_WORKER)
    for content in ("DATA\r\n", "BDAT 20\r\n"):
        started = time.monotonic()
        with Session(("127.0.0.1", 20026)) as s:
            assert time.monotonic() - started > 0.95
            s.ehlo().send("MAIL FROM:<ann@client.test>").expect("250 *").send("RCPT TO:<root@mx.test>").expect("250 *")
            s.raw(content.encode())
            if content.startswith("DATA"):
                s.expect("354 *").raw(b"Subject: x\r\n\r\nbody\r\n.\r\n").expect("250 2.0.0 Ok: queued as *")
            else:
                s.raw(b"Subject: x\r\n\r\nbody\r\n").expect("250 2.0.0 Ok: 20 bytes")
                s.send("BDAT 2 LAST").raw(b"\r\n").expect("250 2.0.0 Ok: 22 bytes queued as *")
            assert time.monotonic() - started > 3.9
            s.send("QUIT").expect("221 *")
