# SPDX-License-Identifier: Apache-2.0
"""ETRN: for whom it is, who may say it, and every reply."""
import pytest

from world.session import Session

MASTER = """
127.0.0.1:20501 inet n - n - - smtpd
127.0.0.1:20502 inet n - n - - smtpd -o smtpd_etrn_restrictions=reject
127.0.0.1:20503 inet n - n - - smtpd -o smtpd_helo_required=yes -o smtpd_discard_ehlo_keywords=etrn
127.0.0.1:20504 inet n - n - - smtpd -o smtpd_client_restrictions=reject
127.0.0.1:20505 inet n - n - - smtpd -o smtpd_etrn_restrictions=inline:{{far.test=ok}},reject
"""


@pytest.fixture(scope="module")
def mx(module_postern):
    return module_postern("mydestination = mx.test\nfast_flush_domains = far.test, .dot.test\n", extra_master=MASTER)


@pytest.mark.parametrize("line, reply", [
    ("ETRN", "500 Syntax: ETRN domain"),
    ("ETRN a b", "500 Syntax: ETRN domain"),
    ("ETRN far.test", "250 Queuing started"),
    ("ETRN FAR.TEST", "250 Queuing started"),
    ("ETRN @far.test", "250 Queuing started"),
    ("ETRN #far.test", "250 Queuing started"),
    ("ETRN sub.far.test", "250 Queuing started"),
    ("ETRN x.dot.test", "459 <x.dot.test>: service unavailable"),
    ("ETRN other.test", "459 <other.test>: service unavailable"),
    ("ETRN [1.2.3.4]", "459 <[1.2.3.4]>: service unavailable"),
    ("ETRN far..test", "501 Error: invalid parameter syntax"),
    ("ETRN -bad", "501 Error: invalid parameter syntax"),
])
def test_reply(mx, line, reply):
    with Session(("127.0.0.1", 20501)) as s:
        s.send(line).expect(reply)


def test_not_inside_a_transaction(mx):
    with Session(("127.0.0.1", 20501)) as s:
        s.send("MAIL FROM:<a@b>").expect("250 *").send("ETRN far.test").expect("503 Error: MAIL transaction in progress")
        s.send("RSET").expect("250 *").send("ETRN other.test").expect("459 *").send("QUIT").expect("221 *")
    mx.log.wait("warning: reject: ETRN other.test... from localhost[127.0.0.1]")
    mx.log.wait("disconnect from localhost[127.0.0.1] mail=1 rset=1 etrn=0/2 quit=1 commands=3/5")


def test_who_may_say_it(mx):
    with Session(("127.0.0.1", 20502)) as s:
        s.send("ETRN far.test").expect("554 5.7.1 <far.test>: Etrn command rejected: Access denied")
    mx.log.wait("NOQUEUE: reject: ETRN from localhost[127.0.0.1]: 554 5.7.1 <far.test>: Etrn command rejected: "
                "Access denied; proto=SMTP")
    with Session(("127.0.0.1", 20503)) as s:
        s.send("ETRN far.test").expect("503 Error: send HELO/EHLO first")
        assert "ETRN" not in s.ehlo().reply
        s.send("ETRN far.test").expect("250 Queuing started")
    with Session(("127.0.0.1", 20504)) as s:
        s.send("ETRN far.test").expect("554 5.7.1 <localhost[127.0.0.1]>: Client host rejected: Access denied")
    with Session(("127.0.0.1", 20505)) as s:
        s.send("ETRN far.test").expect("250 Queuing started")
        s.send("ETRN other.test").expect("554 5.7.1 <other.test>: Etrn command rejected: Access denied")
