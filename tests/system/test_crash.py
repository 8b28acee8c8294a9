# SPDX-License-Identifier: Apache-2.0
"""kill -9 of any process under load: every accepted message arrives."""
import os
import random
import re
import threading
import time

import pytest

from world import wait
from world.session import Session

pytestmark = pytest.mark.postern_only("processes of ours")
SENDERS = 6


class Load:
    def __init__(self, port, end_s):
        self.port, self.end = port, time.monotonic() + end_s
        self.accepted, self.number, self.lock = set(), 0, threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while time.monotonic() < self.end:
            try:
                with Session(("127.0.0.1", self.port), timeout=10) as s:
                    s.ehlo()
                    while time.monotonic() < self.end:
                        self.one(s)
            except (OSError, EOFError, AssertionError):
                time.sleep(0.05)

    def one(self, s):
        with self.lock:
            self.number += 1
            number = self.number
        recipient = f"n{number}@far.test" if number % 3 else "nobody@mx.test"
        size = random.choice((100, 100, 5000, 50000, 400000))
        s.mail("ann@client.test", recipient, content=f"Subject: n{number}.\r\n\r\n" + ("x" * 70 + "\r\n") * (size // 72))
        with self.lock:
            self.accepted.add(number)

    def join(self):
        for thread in self.threads:
            thread.join(60)


@pytest.mark.parametrize("program", ["smtpd", "qmgr", "smtp", "local", "master"])
def test_killed_process_loses_nothing(postern, dns, remote, program):
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    far = remote("127.0.0.2")
    mx = postern("""
        mydestination = mx.test
        local_recipient_maps =
        mailbox_size_limit = 0
        minimal_backoff_time = 1s
        transport_retry_time = 1s
        queue_run_delay = 1s
    """)
    load = Load(mx.port, 4)
    for _ in range(3):
        time.sleep(random.uniform(0.3, 1.0))
        if program == "master":
            os.kill(mx.pid(), 9)
            wait.until(lambda: not mx.is_listening(), "the end of the orphans", 20)
            wait.until(lambda: mx.command("postern", "-c", mx.config, "start", check=False).returncode == 0,
                       "a new start", 20)
        else:
            for pid in mx.pids(program):
                os.kill(pid, 9)
    load.join()
    assert len(load.accepted) > 20, "hardly any load"

    def missing():
        with far.lock:
            arrived = {int(re.search(rb"^Subject: n(\d+)\.", m["content"], re.M).group(1)) for m in far.messages}
        arrived |= {int(n) for n in re.findall(r"^Subject: n(\d+)\.", mx.mailbox("nobody"), re.M)}
        return load.accepted - arrived

    deadline = time.monotonic() + 40
    while missing() and time.monotonic() < deadline:
        mx.command("postqueue", "-f", check=False)
        time.sleep(0.5)
    assert not missing(), f"of {len(load.accepted)} accepted: {sorted(missing())[:20]}; log: {mx.log.text()[-3000:]}"
