# SPDX-License-Identifier: Apache-2.0
"""postern explain says what a running server says: Postern, and the reference with the same configuration."""
import json
import os
import pathlib
import re
import subprocess

import pytest

import restriction_cases as table
from test_restrictions import world  # noqa: F401  one server for the table of restrictions
from world.session import Session

SETTINGS = """
    mydestination = mx.test, example.test
    local_recipient_maps = inline:{ jo=yes, ann=yes }
    relay_domains = relay.test
    relay_recipient_maps = inline:{ u@relay.test=yes }
    virtual_alias_domains = alias.test
    virtual_alias_maps = inline:{ a@alias.test=jo@example.test }
    virtual_mailbox_domains = box.test
    virtual_mailbox_maps = inline:{ b@box.test=yes }
    mynetworks = 192.0.2.200
    message_size_limit = 100000
    smtpd_authorized_xclient_hosts = 127.0.0.0/8
    smtpd_restriction_classes = careful
    careful = warn_if_reject reject_unknown_client_hostname, check_sender_access inline:{ {odd.test = 550 5.7.9 no} }
    smtpd_client_restrictions =
        check_client_access inline:{ {bad.test = REJECT go away}, {soft.test = 450 4.7.3 later},
            {192.0.2.66 = 521 bye}, {odd.test = DEFER_IF_PERMIT maybe}, {192.0.2.4 = careful} }
        permit_mynetworks
    smtpd_helo_restrictions = reject_invalid_helo_hostname,
        check_helo_access inline:{ {liar.test = DEFER_IF_REJECT not sure} }
    smtpd_sender_restrictions = reject_non_fqdn_sender
    smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
    smtpd_recipient_restrictions = check_recipient_access inline:{ {ann@example.test = REJECT not ann} }, permit
    smtpd_data_restrictions = check_sender_access inline:{ {nodata.test = REJECT} }
    smtpd_end_of_data_restrictions = check_sender_access inline:{ {noend.test = 554 5.7.7 all for nothing} }
    defer_transports = local, relay, virtual, smtp
"""
SERVICES = {
    21711: "",
    21712: "-o smtpd_delay_reject=no",
    21713: "-o smtpd_helo_required=yes -o strict_rfc821_envelopes=yes -o soft_bounce=yes",
}
MASTER = "".join(f"127.0.0.1:{port} inet n - n - - smtpd {options}\n" for port, options in SERVICES.items())

CLIENTS = ["mail.bad.test[192.0.2.1]", "soft.test[192.0.2.2]", "x.test[192.0.2.66]", "odd.test[192.0.2.3]",
           "unknown[192.0.2.4]", "ok.test[192.0.2.5]", "own.test[192.0.2.200]"]
RECIPIENTS = ["jo@example.test", "nobody@example.test", "ann@example.test", "u@relay.test", "x@relay.test", "u@far.test",
              "a@alias.test", "c@alias.test", "b@box.test", "c@box.test", "u%far.test@relay.test", "postmaster"]
ENVELOPES = [  # helo, sender, SIZE=
    ("client.test", "joe@client.test", None),
    ("liar.test", "joe@odd.test", None),
    ("bad_name..", "joe@client.test", None),
    (None, "joe@client.test", None),
    ("client.test", "joe@client", None),
    ("client.test", "", None),
    ("client.test", "joe@client.test", "200000"),
    ("client.test", "joe@nodata.test", None),
    ("client.test", "joe@noend.test", None),
]


def postern():
    return pathlib.Path(os.environ["POSTERN_BUILD"]).resolve() / "src/command/postern"


def run(*args, status=(0, 1, 3, 75), stdin=None):
    result = subprocess.run([postern(), "explain", *map(str, args)], capture_output=True, text=True, timeout=60, input=stdin)
    assert result.returncode in status, result.stderr + result.stdout[-2000:]
    return result


def explain(config, *args):
    answer = json.loads(run("--config", config, "--json", *args).stdout)
    assert answer["version"] == 1
    return answer


def without_id(reply):
    return re.sub(r"queued as \S+", "queued as ID", reply)


def replies_of(answer):
    """stage -> replies, as a client would hear them; EHLO's keywords depend on what else is built in."""
    return [(s["stage"], s["reply"].split("\n")[0] if s["stage"] == "HELO" and s["code"] == 250 else without_id(s["reply"]))
            for s in answer["stages"]]


def play(port, client, helo, sender, size, recipients):
    """The same session with a server that runs."""
    said = []
    name, address = client.rstrip("]").split("[")

    def step(stage, reply):
        said.append((stage, reply.split("\n")[0] if stage == "HELO" and reply[0] == "2" else without_id(reply)))
        return reply[0] in "23"

    with Session(("127.0.0.1", port), greeting=None) as s:
        s.read_reply()
        name = "[UNAVAILABLE]" if name == "unknown" else name
        s.send("EHLO us.test").read_reply()
        reply = s.send(f"XCLIENT NAME={name} REVERSE_NAME={name} ADDR={address}").read_reply()
        if not step("CONNECT", reply):
            return said
        if helo is not None and not step("HELO", s.send(f"EHLO {helo}").read_reply()):
            return said
        if not step("MAIL", s.send(f"MAIL FROM:<{sender}>" + (f" SIZE={size}" if size else "")).read_reply()):
            return said
        passed = []
        for recipient in recipients:
            passed.append(step("RCPT", s.send(f"RCPT TO:<{recipient}>").read_reply()))
            if said[-1][1].startswith(("421", "521")):
                return said
        if any(passed) and step("DATA", s.send("DATA").read_reply()):
            step("END-OF-MESSAGE", s.raw(b".\r\n").read_reply())
    return said


@pytest.fixture(scope="module")
def mx(module_postern):
    return module_postern(SETTINGS + "\n    smtpd_error_sleep_time = 0\n", extra_master=MASTER)


@pytest.mark.parametrize("port", SERVICES)
@pytest.mark.parametrize("client", CLIENTS)
def test_says_what_the_server_says(mx, client, port):
    """Seven clients, three services, nine envelopes, twelve recipients."""
    for helo, sender, size in ENVELOPES if client.startswith(("ok", "unknown")) else ENVELOPES[:2]:
        args = ["--client", client, "--port", port, "--from", sender]
        args += ["--helo", helo] if helo is not None else []
        args += ["--size", size] if size else []
        for recipient in RECIPIENTS:
            args += ["--to", recipient]
        live = play(port, client, helo, sender, size, RECIPIENTS)
        assert replies_of(explain(mx.config, *args)) == live, (client, helo, sender)


def one_of_each():
    """For each restriction a case that refuses and one that does not."""
    seen = {(c.restriction, bool(c.reply)): c for c in reversed(table.CASES)}
    return sorted(seen.values(), key=lambda c: c.number)


@pytest.mark.parametrize("case", one_of_each(), ids=lambda c: f"{c.label}-{c.restriction}")
def test_says_what_the_server_says_of_each_restriction(world, case):  # noqa: F811
    """The table of restrictions, with DNS and the policy server asked for real."""
    if world.kind == "reference" and case.restriction in ("permit_naked_ip_address", "reject_maps_rbl", "check_relay_domains"):
        pytest.skip("removed since the reference's release")
    args = ["--dns", "--live", "--client", case.client, "--helo", case.helo, "--service", f"127.0.0.1:{world.port}"]
    if case.where == "etrn":
        args += ["--etrn", f"{case.label}.etrn.test"]
    else:
        args += ["--from", case.sender, "--to", case.recipient]
    answer = explain(world.config, *args)
    stage = case.stage
    replies = [s["reply"] for s in answer["stages"] if s["stage"] == stage] or [s["reply"] for s in answer["stages"]][-1:]
    try:
        live = case.play(world.port)
    except EOFError:  # HANGUP
        live = ""
    # records of one name come in any order
    assert sorted(re.split(" / |; ", without_id(replies[-1]))) == sorted(re.split(" / |; ", without_id(live)))


def test_names_the_rule_and_its_line(mx):
    answer = explain(mx.config, "--client", "mail.bad.test[192.0.2.1]", "--helo", "a.test", "--from", "j@a.test",
                     "--to", "jo@example.test")
    lines = (mx.config / "main.cf").read_text().splitlines()
    decided = answer["decided_by"]
    assert answer["outcome"] == "refused" and answer["exit_status"] == 1
    assert decided["rule"] == "check_client_access" and decided["list"] == "smtpd_client_restrictions"
    assert decided["place"]["file"] == str(mx.config / "main.cf")
    assert "check_client_access" in lines[decided["place"]["line"] - 1]
    rule = answer["stages"][3]["steps"][0]["steps"][0]
    assert [(s["key"], s["answer"], s["value"]) for s in rule["steps"] if s["type"] == "table"] == [
        ("mail.bad.test", "none", ""), ("bad.test", "found", "REJECT go away")]


def test_names_a_line_of_master_cf(mx):
    answer = explain(mx.config, "--client", "ok.test[192.0.2.5]", "--port", 21711, "-o", "smtpd_helo_required=yes",
                     "--from", "j@a.test", "--to", "jo@example.test")
    assert answer["reply"] == "503 5.5.1 Error: send HELO/EHLO first"
    assert answer["decided_by"]["own"] == "smtpd_helo_required" and answer["decided_by"]["place"]["override"]


def test_exit_status_and_text(mx):
    session = ["--config", mx.config, "--client", "ok.test[192.0.2.5]", "--helo", "a.test", "--from", "j@a.test", "--to"]
    accepted = run(*session, "jo@example.test", status=(0,))
    assert "Accepted (END-OF-MESSAGE): 250 2.0.0 Ok" in accepted.stdout
    assert "\033" not in accepted.stdout and "\u251c" not in accepted.stdout
    refused = run(*session, "u@far.test", status=(1,))
    assert "Refused (RCPT): 554 5.7.1 <u@far.test>: Relay access denied" in refused.stdout
    assert re.search(r"Decided by reject_unauth_destination in smtpd_relay_restrictions: .*/main.cf, line \d+", refused.stdout)
    assert "\033[31m" in run(*session, "u@far.test", "--color", "always").stdout
    soft = ["--config", mx.config, "--client", "soft.test[192.0.2.2]", "--helo", "a.test", "--from", "j@a.test"]
    assert "450 4.7.3" in run(*soft, "--to", "jo@example.test", status=(75,)).stdout
    assert "is missing" in run(status=(64,)).stderr
    assert "client \"nonsense\"" in run("--client", "nonsense", status=(64,)).stderr
    assert "/nowhere/main.cf" in run("--config", "/nowhere", "--client", "1.2.3.4", status=(78,)).stderr
    assert "--zone FILE" in run("--help", status=(0,)).stdout


def test_answers_from_outside(mx):
    """No network is needed: answers are given, or taken for granted and tried both ways."""
    session = ["--client", "ok.test[192.0.2.5]", "--helo", "a.test", "--from", "j@sender.test", "--to", "jo@example.test",
               "-o", "smtpd_recipient_restrictions=reject_rbl_client bl.test=127.0.0.[4..6], reject_unknown_sender_domain,"
               " check_policy_service inet:127.0.0.1:1, check_sender_access mysql:/nowhere"]
    unknown = explain(mx.config, *session)
    assert unknown["outcome"] == "open" and unknown["exit_status"] == 3
    otherwise = {u["key"] or u["name"]: u["otherwise_reply"] for u in unknown["unknown"] if u["otherwise_reply"]}
    assert otherwise["5.2.0.192.bl.test"].startswith("554 5.7.1 Service unavailable; Client host [192.0.2.5] blocked")
    assert "Domain not found" in otherwise["sender.test"]
    assert "Access denied" in otherwise["inet:127.0.0.1:1"]
    known = ["--dns-answer", "sender.test MX 10 mx.sender.test", "--dns-default", "none",
             "--policy-answer", "inet:127.0.0.1:1 DUNNO", "--table-answer", "mysql:/nowhere j@sender.test OK"]
    answer = explain(mx.config, *session, *known)
    assert answer["outcome"] == "accepted" and answer["unknown"] == []
    listed = explain(mx.config, *session, *known, "--dns-answer", "5.2.0.192.bl.test A 127.0.0.5")
    assert listed["decided_by"]["rule"] == "reject_rbl_client"
    failed = explain(mx.config, *session, *known, "--dns-answer", "sender.test MX ERROR")
    assert failed["outcome"] in ("deferred", "accepted")


def test_nothing_is_touched(mx):
    """ETRN flushes nothing, an early queue file is not made."""
    answer = explain(mx.config, "--client", "ok.test[192.0.2.5]", "--helo", "a.test", "--etrn", "relay.test",
                     "-o", "fast_flush_domains=relay.test")
    assert (answer["stage"], answer["reply"]) == ("ETRN", "250 Queuing started")
    answer = explain(mx.config, "--client", "ok.test[192.0.2.5]", "--helo", "a.test", "--from", "j@a.test", "--to",
                     "jo@example.test", "-o", "smtpd_delay_open_until_valid_rcpt=no", "-o", "queue_directory=/nowhere")
    assert answer["outcome"] == "accepted"


def test_a_zone_file(mx, tmp_path):
    zone = tmp_path / "zone"
    zone.write_text("# names\n5.2.0.192.in-addr.arpa PTR liar.test\nliar.test A 192.0.2.99\nliar.test A 192.0.2.98\n")
    session = ["--client", "192.0.2.5", "--helo", "a.test", "--from", "j@a.test", "--to", "jo@example.test", "--dns-default",
               "none", "-o", "smtpd_client_restrictions=reject_unknown_client_hostname"]
    liar = explain(mx.config, *session, "--zone", zone)
    assert liar["reply"].startswith("450 4.7.25 Client host rejected: cannot find your hostname")
    zone.write_text("5.2.0.192.in-addr.arpa PTR liar.test\nliar.test A 192.0.2.5\n")
    assert explain(mx.config, *session, "--zone", zone)["outcome"] == "accepted"
    zone.write_text("\nbroken line\n")
    assert f"{zone}, line 2" in run("--config", mx.config, *session, "--zone", zone, status=(66,)).stderr


SAMPLE_LOG = """\
Nov 21 20:05:05 mx postfix/smtpd[1]: connect from ok.test[192.0.2.5]
Nov 21 20:05:05 mx postfix/smtpd[1]: Anonymous TLS connection established from ok.test[192.0.2.5]: TLSv1.3 with cipher X (256/256 bits)
Nov 21 20:05:05 mx postfix/smtpd[1]: 8F221A90511: client=ok.test[192.0.2.5], sasl_method=PLAIN, sasl_username=jo
Nov 21 20:05:05 mx postfix/qmgr[2]: 8F221A90511: from=<a@x.test>, size=269, nrcpt=2 (queue active)
Nov 21 20:05:05 mx postfix/local[3]: 8F221A90511: to=<jo@example.test>, orig_to=<a@alias.test>, relay=local, status=sent (x)
Nov 21 20:05:05 mx postfix/smtp[3]: 8F221A90511: to=<u@far.test>, relay=far.test[192.0.2.7]:25, delay=1, status=sent (250 ok)
Nov 21 20:05:05 mx postfix/qmgr[2]: 8F221A90511: removed
2026-11-21T20:05:06.000001+01:00 mx postfix/submission/smtpd[1]: NOQUEUE: reject: RCPT from unknown[192.0.2.9]:4711: \
550 5.1.1 <nobody@example.test>: Recipient address rejected: User unknown; from=<> to=<nobody@example.test> proto=SMTP helo=<h.test>
<22>1 2026-11-21T20:05:06Z mx postfix/smtpd 77 - - NOQUEUE: reject: RCPT from own.test[192.0.2.200]: \
554 5.7.1 <u@far.test>: Relay access denied; from=<a@x.test> to=<u@far.test> proto=ESMTP helo=<own.test>
Nov 21 20:05:07 mx postfix/smtpd[1]: 9999999999F: client=never.test[192.0.2.5]
a line of something else
"""


def test_sessions_out_of_a_log(mx, tmp_path):
    log = tmp_path / "mail.log"
    log.write_text(SAMPLE_LOG)
    found = json.loads(run("--config", mx.config, "--log", log, "--json", status=(0,)).stdout)
    assert (found["sessions"], found["refused_in_log"], found["refused_in_log_and_now"]) == (3, 2, 1)
    sessions = {e["session"] for g in found["groups"] for e in g["examples"]}
    assert sessions == {
        "client=ok.test[192.0.2.5] helo=ok.test from=<a@x.test> sasl=jo size=269 to=<a@alias.test> to=<u@far.test> tls=TLSv1.3:X",
        "client=unknown[192.0.2.9] helo=h.test from=<> to=<nobody@example.test> smtp=yes",
        "client=own.test[192.0.2.200] helo=own.test from=<a@x.test> to=<u@far.test>",
    }


def test_what_a_change_would_change(mx, tmp_path):
    """A dry run: who is treated differently when mynetworks shrinks."""
    other = tmp_path / "other"
    other.mkdir()
    for name in ("main.cf", "master.cf"):
        (other / name).write_text((mx.config / name).read_text())
    with open(other / "main.cf", "a") as file:
        file.write("mynetworks = 127.0.0.1\n")
    sessions = tmp_path / "sessions"
    sessions.write_text("# three\nclient=own.test[192.0.2.200] helo=own.test from=<a@x.test> to=<u@far.test>\n"
                        'client=ok.test[192.0.2.5] helo=ok.test from=<> to=jo@example.test sasl="jo the user"\n'
                        "client=ok.test[192.0.2.5] helo=ok.test from=<a@x.test> to=<jo@example.test> to=<u@far.test>\n")
    found = json.loads(run("--config", mx.config, "--sessions", sessions, "--diff", other, "--json", status=(1,)).stdout)
    assert (found["sessions"], found["different"], found["same"]) == (3, 1, 2)
    group = found["groups"][0]
    assert group["now"]["rule"] == "permit_mynetworks" and group["then"]["rule"] == "reject_unauth_destination"
    assert group["examples"][0]["id"] == "line 2"
    text = run("--config", mx.config, "--sessions", "-", "--diff", other, stdin=sessions.read_text(), status=(1,)).stdout
    assert "3 sessions: 2 end the same, 0 the same in other words, 1 differently" in text
    assert "then: 554 5.7.1 <u@far.test>: Relay access denied  (reject_unauth_destination" in text
    run("--config", mx.config, "--sessions", sessions, "--diff", mx.config, status=(0,))
    sessions.write_text("client=1.2.3.4 frm=<x>\n")
    assert f"{sessions}, line 1: no attribute \"frm\"" in run("--config", mx.config, "--sessions", sessions, status=(66,)).stderr


@pytest.mark.postern_only("the reference writes other words")
def test_the_log_of_clients_that_are_watched(postern_log_of_watched):
    """debug_peer_list: every command, reply, list and rule; nothing about others, no password."""
    mx = postern_log_of_watched
    for source in ("127.0.0.5", "127.0.0.6"):
        with mx.session(source=source) as s:
            s.ehlo().send("AUTH PLAIN c2VjcmV0").read_reply()
            s.send("MAIL FROM:<a@x.test>").expect("250 *").send("RCPT TO:<u@far.test>").expect("554 5.7.1 *")
    mx.log.wait("NOQUEUE: unknown[127.0.0.6]: >>> START Client host RESTRICTIONS <<<")
    lines = mx.log.lines()
    mine = [line for line in lines if "[127.0.0.6]" in line]
    for text in ("< unknown[127.0.0.6]: RCPT TO:<u@far.test>", "> unknown[127.0.0.6]: 554 5.7.1 <u@far.test>: Relay access denied",
                 "generic_checks: name=permit_mynetworks (", "generic_checks: name=permit_mynetworks status=0",
                 "mynetworks: lookup 127.0.0.6: not found", "generic_checks: name=reject_unauth_destination status=2"):
        assert any(text in line for line in mine), text
    assert not any("c2VjcmV0" in line for line in lines)
    assert not any("generic_checks" in line or "< " in line for line in lines if "[127.0.0.5]" in line)


@pytest.fixture
def postern_log_of_watched(postern):
    return postern("""
        debug_peer_list = 127.0.0.6
        mynetworks = 127.0.0.1
        smtpd_client_restrictions = permit_mynetworks
        smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
        mydestination = mx.test
        smtpd_peername_lookup = no
    """)


EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "docs/examples/gate"


needs_example = pytest.mark.skipif(not (EXAMPLE / "main.cf").exists(), reason="no such example")


def explained(config):
    """Each session of the example, as people see it; the example is said to be in /etc/postfix."""
    text = []
    for line in (config / "sessions").read_text().splitlines():
        if line.startswith("#"):
            continue
        attributes = [word.split("=", 1) for word in line.split()]
        args = [f"--{name}={value}" for name, value in attributes if name != "id"]
        answer = run("--config", config, "--zone", config / "zone", "--dns-default", "none", *args).stdout
        text.append(f"## {dict(attributes)['id']}\n\n{answer.replace(str(config), '/etc/postfix')}")
    return "\n".join(text)


@needs_example
def test_the_example_is_explained():
    """docs/examples/gate/explained.txt is what is said today; POSTERN_UPDATE=1 writes it anew."""
    file = EXAMPLE / "explained.txt"
    if os.environ.get("POSTERN_UPDATE"):
        file.write_text(explained(EXAMPLE))
    assert file.read_text() == explained(EXAMPLE)


DEBIAN = """
    smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
    biff = no
    append_dot_mydomain = no
    readme_directory = no
    smtpd_tls_security_level = may
    smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
    mydestination = $myhostname, localhost.$mydomain, localhost
    relayhost =
    mailbox_size_limit = 0
    recipient_delimiter = +
"""
DEBIAN_MASTER = """
submission inet n - y - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_auth_only=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_recipient_restrictions=
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
"""


def findings(mx):
    said = mx.command("postern", "-c", mx.config, "check", check=False).stderr
    return [line for line in said.splitlines() if "restriction" in line]


@needs_example
@pytest.mark.postern_only("the reference has no such check")
def test_no_alarm_about_configurations_that_work(postern):
    assert findings(postern(DEBIAN, extra_master=DEBIAN_MASTER, start=False)) == []
    own = ("myhostname", "mydomain", "mynetworks", "alias_maps", "compatibility_level")
    lines = (EXAMPLE / "main.cf").read_text().splitlines()
    mx = postern(start=False)
    for file in EXAMPLE.iterdir():
        if file.name != "main.cf":
            (mx.config / file.name).write_text(file.read_text())
    with open(mx.config / "main.cf", "a") as main:
        main.write("\n".join(line for line in lines if not line.startswith(own)) + "\n")
    assert findings(mx) == []


@pytest.mark.postern_only("the reference has no such check")
def test_alarm_with_file_and_line(postern):
    mx = postern("smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit, reject_unauth_destination\n",
                 extra_master="127.0.0.1:21799 inet n - n - - smtpd -o smtpd_helo_restrictions=reject_nonsense\n", start=False)
    said = findings(mx)
    assert any(re.search(r"main\.cf, line \d+: smtpd_recipient_restrictions: reject_unauth_destination is never reached", x)
               for x in said), said
    assert any("master.cf, line" in x and "there is no restriction \"reject_nonsense\"" in x for x in said), said
    assert any("strangers" in x for x in said), said
    assert mx.command("postern", "-c", mx.config, "check", check=False).returncode == 1
