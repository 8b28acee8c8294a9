# SPDX-License-Identifier: Apache-2.0
"""The configurations in docs/examples do what their README says."""
import pathlib
import shutil

from world.session import Session

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "docs/examples"
# What the test has to have its own way: no mail goes anywhere, and a client may be anybody.
OURS = """
smtpd_authorized_xclient_hosts = 127.0.0.1
local_transport = discard:
default_transport = discard:
smtpd_tls_cert_file = {1}
smtpd_tls_key_file = {0}
smtpd_tls_auth_only = no
smtpd_sasl_path = {2}
"""


def hears(mta, recipient, address, name, login=None, sender="eva@sender.test", helo="client.test"):
    with Session(("127.0.0.1", mta.port)) as s:
        s.send("EHLO test").read_reply()
        s.send(f"XCLIENT NAME={name} REVERSE_NAME={name} ADDR={address} LOGIN={login or '[UNAVAILABLE]'}").expect("220 *")
        s.send(f"EHLO {helo}").read_reply()
        s.send(f"MAIL FROM:<{sender}>").expect("250 *")
        return s.send(f"RCPT TO:<{recipient}>").read_reply()


def test_a_gate_that_trusts_nobody(postern, dns, certificate):
    dns.mx("sender.test", "mx.sender.test", "127.0.0.66", 10)
    dns.add("90.113.0.203.rbl.example.net", "A", "127.0.0.4").add("90.113.0.203.rbl.example.net", "TXT", '"seen sending spam"')
    dns.add("example.com", "MX", "10 mx.example.com.")
    source = EXAMPLES / "gate"
    from test_restrictions_session import DovecotGreeter
    auth = DovecotGreeter()
    mta = postern(start=False)
    mta.write_main((source / "main.cf").read_text() + OURS.format(*certificate, "inet:127.0.0.1:20199"))
    for table in source.iterdir():
        if table.name != "main.cf":
            shutil.copy(table, mta.config / table.name)
    mta.start()
    ok = "250 2.1.5 Ok"
    refused = "<home.client.test[192.0.2.9]>: Client host rejected: Your network sends unsolicited mail"
    assert hears(mta, "ann@example.com", "192.0.2.9", "home.client.test") == "554 5.7.1 " + refused
    assert hears(mta, "ann@example.com", "192.0.2.9", "home.client.test", login="ann") == "554 5.7.1 " + refused
    assert hears(mta, "eva@elsewhere.test", "203.0.113.80", "[UNAVAILABLE]", login="ann", helo="laptop") == ok
    assert hears(mta, "eva@elsewhere.test", "127.0.0.1", "localhost") == ok
    assert hears(mta, "ann@example.com", "203.0.113.80", "mail.client.test") == ok
    assert hears(mta, "eva@elsewhere.test", "203.0.113.80", "mail.client.test") == "554 5.7.1 <eva@elsewhere.test>: Relay access denied"
    # and some that the README does not show
    assert hears(mta, "nobody@example.com", "203.0.113.80", "mail.client.test").startswith("550 5.1.1 <nobody@example.com>: Recipient address rejected: User unknown")
    assert hears(mta, "ann@example.com", "203.0.113.80", "dsl-7.client.test") == (
        "554 5.7.1 <dsl-7.client.test[203.0.113.80]>: Client host rejected: Please send through the mail server of your provider")
    assert hears(mta, "ann@example.com", "203.0.113.80", "[UNAVAILABLE]") == (
        "450 4.7.1 Client host rejected: cannot find your reverse hostname, [203.0.113.80]")
    assert hears(mta, "ann@example.com", "203.0.113.80", "mail.client.test", helo="nodots") == (
        "504 5.5.2 <nodots>: Helo command rejected: need fully-qualified hostname")
    assert hears(mta, "ann@example.com", "203.0.113.80", "mail.client.test", sender="eva@nowhere.test") == (
        "450 4.1.8 <eva@nowhere.test>: Sender address rejected: Domain not found")
    assert hears(mta, "ann@example.com", "203.0.113.90", "mail.client.test") == (
        "554 5.7.1 Service unavailable; Client host [203.0.113.90] blocked using rbl.example.net; seen sending spam")
    auth.close()
