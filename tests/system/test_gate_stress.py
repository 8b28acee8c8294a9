# SPDX-License-Identifier: Apache-2.0
"""When all workers are at work, new sessions live under the configuration for times of stress."""
import socket

import pytest

from world.session import Session

MASTER = """127.0.0.1:20401 inet n - n - 1 smtpd
    -o smtpd_banner=${stress?{stressed}:{calm}}
    -o { smtpd_recipient_restrictions = check_recipient_access tcp:127.0.0.1:20402, permit }
127.0.0.1:20403 inet n - n - 1 smtpd
"""


@pytest.mark.postern_only("the reference counts processes, one for each client")
def test_sessions_that_begin_in_times_of_stress(postern):
    with socket.create_server(("127.0.0.1", 20402)) as table:
        mx = postern("mydestination = mx.test\nlocal_recipient_maps =\nmynetworks = 127.0.0.9\n", extra_master=MASTER)
        with Session(("127.0.0.1", 20401), greeting="220 calm") as calm, Session(("127.0.0.1", 20401)) as busy:
            busy.send("MAIL FROM:<a@b>").expect("250 *").send("RCPT TO:<jo@mx.test>")
            link, _ = table.accept()  # and no answer: the one worker waits
            mx.log.wait('postfix/master[*]: warning: service "127.0.0.1:20401" (20401) has reached its process limit "1": '
                        "new clients may experience noticeable delays")
            mx.log.wait("postfix/master[*]: warning: to avoid this condition, increase the process count in master.cf or "
                        "reduce the service time per client")
            with link:
                link.sendall(b"500 not found\n")
                busy.expect("250 2.1.5 Ok")
            with Session(("127.0.0.1", 20401), greeting="220 stressed") as s:
                s.send("NOOP").expect("250 *")
                s.send("BOGUS").expect("50? *").expect("421 4.7.0 mx.test Error: too many errors")  # limit 1, not 20
            calm.send("BOGUS").expect("50? *").send("QUIT").expect("221 *")
        with Session(("127.0.0.1", 20403)) as s:  # another service
            s.send("BOGUS").expect("50? *").send("QUIT").expect("221 *")
