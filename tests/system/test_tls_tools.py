# SPDX-License-Identifier: Apache-2.0
"""What posttls-finger, postern tls-probe, tls-survey and tls say, and that mail agrees with them."""
import csv
import hashlib
import io
import json
import os
import pathlib
import subprocess

import pytest


REFERENCE_FINGER = "/usr/sbin/posttls-finger"
MITM = {"greeting": "220 *****", "ehlo": ("SIZE 35882577", "8BITMIME", "XXXXXXA", "ENHANCEDSTATUSCODES")}

pytestmark = pytest.mark.postern_only("tools of Postern; posttls-finger is compared inside")


@pytest.fixture
def mx(postern, dns):
    """Not running; DNSSEC knows one signed zone."""
    mx = postern("compatibility_level = 3.6\n", start=False)
    anchor = pathlib.Path(mx.config) / "anchor"
    anchor.write_text(dns.sign("signed.test"))
    mx.command("postconf", "-c", mx.config, "-e", f"dnssec_trust_anchor_file = {anchor}")
    return mx


def finger_both(mx, *args):
    """Our lines and the reference's."""
    ours = mx.command("posttls-finger", *args, check=False)
    theirs = subprocess.run([REFERENCE_FINGER, *map(str, args)], capture_output=True, text=True, timeout=60,
                            env=dict(os.environ, MAIL_CONFIG=str(mx.config)))
    # The version in Debian says "server certificate" where newer ones say "certificate".
    drop = ("DNSSEC", "dnssec", "unused parameter")
    return [[line.replace(": server certificate", ": certificate") for line in text.splitlines() if not any(word in line for word in drop)]
            for text in (ours.stdout, theirs.stdout)]


def test_posttls_finger_prints_what_the_reference_prints(mx, remote, dns, private_ca):
    good = private_ca.issue("mx.far.test", "mx.far.test", "*.far.test")
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    dns.mx("self.test", "mx.self.test", "127.0.0.3")
    dns.mx("mitm.test", "mx.mitm.test", "127.0.0.4")
    dns.mx("old.test", "mx.old.test", "127.0.0.5")
    dns.mx("down.test", "mx.down.test", "127.0.0.6")
    remote("127.0.0.2", tls=good.files)
    remote("127.0.0.3", tls=private_ca.issue("mx.self.test", self_signed=True).files)
    remote("127.0.0.4", **MITM)
    remote("127.0.0.5", replies={"EHLO": "502 5.5.1 what?"})
    for args in (
            ("-l", "secure", "-F", private_ca.cert, "far.test", "mx.far.test"),
            ("-l", "verify", "-F", private_ca.cert, "far.test"),
            ("-c", "-l", "verify", "-F", private_ca.cert, "far.test", "a.far.test"),
            ("-c", "-l", "secure", "far.test", "mx.far.test"),
            ("-l", "secure", "-F", private_ca.cert, "far.test", "wrong.test"),
            ("-c", "-C", "-L", "none", "-l", "verify", "-F", private_ca.cert, "far.test"),
            ("-c", "-l", "fingerprint", "far.test", good.fingerprint()),
            ("-c", "-l", "fingerprint", "-d", "sha1", "far.test", good.key_fingerprint("sha1")),
            ("-c", "-l", "secure", "self.test", "mx.self.test"),
            ("-l", "encrypt", "far.test"), ("-l", "may", "mitm.test"), ("-l", "may", "old.test"),
            ("-l", "none", "far.test"), ("-l", "may", "down.test"), ("-l", "may", "[mx.far.test]:25"),
            ("-l", "bogus", "far.test")):
        ours, theirs = finger_both(mx, *args)
        assert ours == theirs, args


def probe(mx, *args):
    result = mx.command("postern", "-c", mx.config, "tls-probe", "--json", *args, check=False)
    assert result.stderr == "", result.stderr
    return json.loads(result.stdout), result.returncode


def test_mail_is_delivered_under_the_policy_that_the_probe_writes(mx, remote, dns, private_ca):
    mx.command("postconf", "-c", mx.config, "-e", f"smtp_tls_CAfile = {private_ca.cert}",
               "smtp_tls_policy_maps = hash:$config_directory/policy", "smtp_tls_loglevel = 1",
               "smtp_dns_support_level = dnssec")
    named = private_ca.issue("far.test", "far.test", "mx.far.test")
    hosted = private_ca.issue("mx.provider.test", "mx.provider.test")
    alone = private_ca.issue("x", self_signed=True)
    signed = private_ca.issue("y", self_signed=True)
    cases = (("far.test", "127.0.0.2", named, "secure", "far.test secure"),
             ("host.test", "127.0.0.3", hosted, "verified", "host.test secure match=mx.provider.test"),
             ("alone.test", "127.0.0.4", alone, "fingerprint",
              f"alone.test fingerprint match={alone.key_fingerprint()}"),
             ("signed.test", "127.0.0.5", signed, "dane", "signed.test dane-only"))
    lines = ""
    for domain, address, pair, grade, policy in cases:
        host = "mx.provider.test" if grade == "verified" else f"mx.{domain}"
        dns.mx(domain, host, address)
        remote(address, tls=pair.files)
        if grade == "dane":
            dns.add(f"_25._tcp.mx.{domain}", "TLSA", "3 1 1 " + hashlib.sha256(pair.key_der()).hexdigest())
        answer, status = probe(mx, domain)
        assert (answer[0]["grade"], answer[0]["policy"], status) == (grade, policy, 0)
        lines += answer[0]["policy"] + "\n"
    table = pathlib.Path(mx.config) / "policy"
    table.write_text(lines)
    mx.command("postmap", table)
    mx.start()
    for domain, *_ in cases:
        with mx.session() as s:
            queue_id = s.ehlo().mail("ann@mx.test", f"jo@{domain}")
        mx.log.wait(f"{queue_id}: to=<jo@{domain}>*status=sent*")
        mx.log.wait("Verified TLS connection established to mx.*:25: *")


def test_the_probe_shows_certificates_and_who_is_in_between(mx, remote, dns, private_ca):
    pair = private_ca.issue("mx.far.test", "mx.far.test", "other.test", days=(-40, 5))
    dns.mx("far.test", "mx.far.test", "127.0.0.2", 5).mx("far.test", "mx2.far.test", "127.0.0.3", 10)
    dns.mx("mitm.test", "mx.mitm.test", "127.0.0.4")
    remote("127.0.0.2", tls=pair.files)
    remote("127.0.0.3")
    remote("127.0.0.4", **MITM)
    answer, status = probe(mx, "--ca", private_ca.cert, "far.test.", "mitm.test", "none.test")
    assert status == 1
    first, second = answer[0]["hosts"]
    assert (first["host"], first["preference"], first["result"]) == ("mx.far.test", 5, "secured")
    assert first["trusted"] and first["names_host"] and first["protocol"] == "TLSv1.3"
    shown = first["certificates"][0]
    assert shown["names"] == ["mx.far.test", "other.test"]
    assert (shown["sha256"], shown["sha1"], shown["key_sha256"]) == (
        pair.fingerprint(), pair.fingerprint("sha1"), pair.key_fingerprint())
    assert (second["result"], answer[0]["grade"], answer[0]["policy"]) == ("no-starttls", "none", "far.test may")
    assert answer[1]["hosts"][0]["masked"] and not second["masked"]
    assert answer[2]["why"].startswith("Host or domain name not found")
    text = mx.command("postern", "-c", mx.config, "tls-probe", "--ca", private_ca.cert, "far.test", "mitm.test",
                      check=False).stdout
    assert f"sha256: {pair.fingerprint()}" in text
    assert "4 days left" in text or "5 days left" in text  # within the second it was made in
    assert "not offered: somebody on the way crosses out parts of the session" in text
    assert "\033" not in text


def test_the_survey_prints_the_two_tables(mx, remote, dns, private_ca, tmp_path):
    dns.mx("big.test", "mx.big.test", "127.0.0.2")
    dns.mx("mitm.test", "mx.mitm.test", "127.0.0.4")
    dns.mx("small.test", "mx.small.test", "127.0.0.3")
    remote("127.0.0.2", tls=private_ca.issue("big.test", "big.test").files)
    remote("127.0.0.3", tls=private_ca.issue("z", self_signed=True).files)
    remote("127.0.0.4", **MITM)
    people, groups = tmp_path / "people", tmp_path / "groups"
    people.write_text("".join(f"u{i}@big.test\n" for i in range(120)) + "Ann <ann@ALIAS.test>\n" * 30 +
                      "x@mitm.test\n" * 48 + "one@small.test\ntwo@gone.test\nnot an address\n")
    groups.write_text("alias.test big.test\n")
    run = ("postern", "-c", mx.config, "tls-survey", "--ca", private_ca.cert, "--group", groups)
    plain = mx.command(*run, people)
    assert plain.stderr == "postern tls-survey: 1 lines without a domain\n"
    rows = [line.split() for line in plain.stdout.splitlines() if line]
    assert ["big.test", "150", "75.00"] in rows and ["mitm.test", "48", "24.00"] in rows
    assert ["other", "2", "1.00"] in rows
    assert ["big.test", "yes", "secure", "TLSv1.3"] in rows and ["mitm.test", "no", "none", "-"] in rows
    assert ["other", "50%", "yes"] in rows
    assert "200 recipients in 4 domains: TLS for 75.5%, with a trusted certificate for 75.0%" in plain.stdout
    data = json.loads(mx.command(*run, "--json", people).stdout)
    assert [d["domain"] for d in data["domains"]] == ["big.test", "mitm.test", "gone.test", "small.test"]
    assert [d["starttls"] for d in data["domains"]] == [True, False, None, True]
    with open("/dev/full", "w") as full:
        lost = subprocess.run([mx.program("postern"), "-c", mx.config, "tls-survey", "--json", "/dev/null"], stdout=full,
                              stderr=subprocess.PIPE, text=True, env=mx.environment())
    assert (lost.returncode, lost.stderr) == (1, "postern tls-survey: standard output: No space left on device\n")
    table = list(csv.DictReader(io.StringIO(mx.command(*run, "--csv", "-", stdin=people.read_text()).stdout)))
    assert table[3]["policy"].startswith("small.test fingerprint match=")


def test_tls_is_enabled_with_one_command(postern, dns):
    mx = postern(start=False)
    tls = ("postern", "-c", mx.config, "tls")
    assert mx.command(*tls, "all-default-server").returncode == 0
    mx.command(*tls, "enable-server", "-a", "ecdsa", "mx.test", "mail.test")
    assert mx.command(*tls, "all-default-server", check=False).returncode == 1
    mx.start()
    with mx.session() as s:
        assert "STARTTLS" in s.ehlo().reply
        s.starttls()
        der = s.sock.getpeercert(True)
    key = mx.command("postconf", "-c", mx.config, "-h", "smtpd_tls_eckey_file").stdout.strip()
    records = mx.command(*tls, "output-server-tlsa", "-h", "mx.test").stdout.splitlines()
    public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], capture_output=True, check=True)
    assert records == [f"; {key}", "_25._tcp.mx.test. IN TLSA 3 1 1 " + hashlib.sha256(public.stdout).hexdigest()]
    request = mx.command(*tls, "output-server-csr", "-k", "ecdsa", "mx.test", "mail.test").stdout
    shown = subprocess.run(["openssl", "req", "-noout", "-text", "-verify"], input=request, capture_output=True, text=True)
    assert "DNS:mx.test, DNS:mail.test" in shown.stdout and "verify OK" in shown.stdout + shown.stderr
    assert os.stat(key).st_mode & 0o777 == 0o600
    cert = mx.command("postconf", "-c", mx.config, "-h", "smtpd_tls_eccert_file").stdout.strip()
    own = subprocess.run(["openssl", "x509", "-in", cert, "-outform", "DER"], capture_output=True, check=True).stdout
    assert own == der
    other = mx.command(*tls, "new-server-key", "-a", "ecdsa").stdout.split("private key:")[1].split()[0]
    refused = mx.command(*tls, "deploy-server-cert", cert, other, check=False)
    assert refused.returncode == 1 and "is not for the private key" in refused.stderr


def test_posttls_finger_looks_hosts_up_and_traces_as_the_reference_does(mx, remote, dns, private_ca):
    dns.mx("far.test", "mx.far.test", "127.0.0.2")
    remote("127.0.0.2", tls=private_ca.issue("mx.far.test").files)
    for args in (("-h", "native", "-l", "encrypt", "far.test"), ("-h", "dns,native", "-l", "encrypt", "far.test"),
                 ("-S", "far.test")):
        ours, theirs = finger_both(mx, *args)
        assert ours == theirs, args
    wrong = mx.command("posttls-finger", "-h", "both", "far.test", check=False).stdout
    assert 'smtp_host_lookup = both (use "dns", "native" or both)' in wrong
    ours, theirs = finger_both(mx, "-L", "debug", "-l", "encrypt", "far.test")
    for line in ("initializing the client-side TLS engine", "setting up TLS connection to mx.far.test[127.0.0.2]:25",
                 "SSL_connect:SSLv3/TLS write client hello", "SSL_connect:SSLv3/TLS read server certificate"):
        assert "posttls-finger: " + line in ours and "posttls-finger: " + line in theirs, line
    assert len([line for line in ours if "subject_CN" in line]) == 1
