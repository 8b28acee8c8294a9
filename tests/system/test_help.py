# SPDX-License-Identifier: Apache-2.0
"""postern help, and the manual pages that `make install` lays out."""
import json
import os
import pathlib
import re
import subprocess

import pytest

pytestmark = pytest.mark.postern_only("its own pages")


@pytest.fixture
def ask(stage, tmp_path):
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\nmydomain = example.test\n"
                                      "relayhost = [smtp.$mydomain]\nqueue_run_delay = 5m\n")

    def call(*args, status=0):
        done = subprocess.run([stage / "usr/sbin/postern", "-c", tmp_path, "help", *args],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    return call


@pytest.mark.parametrize("args, want", [
    ([], ["usage: postern", "  reload "]),
    (["relayhost"], ["set to     [smtp.$mydomain]  (main.cf, line 3)", "value here [smtp.example.test]",
                     "default    empty", "read by    "]),
    (["smtpd_timeout"], ["default    ${stress?{10}:{300}}s", "time, at least 1s", "read by    smtpd"]),
    (["queue_run_delay"], ["no effect  qmgr tries each message when it is due"]),
    (["smtpd_use_tls"], ["will go    use smtpd_tls_security_level"]),
    (["slow_destination_rate_delay"], ["Pause between deliveries", "default    $default_destination_rate_delay"]),
    (["postmap"], ["postmap - make, query", "OPTIONS", "-q KEY"]),
    (["postqueue"], ["OPTIONS"]), (["smtpd"], ["PARAMETERS", "smtpd_banner"]),
    (["cidr"], ["cidr_table - "]),
    (["table", "lmdb"], ["lmdb_table - LMDB files"]), (["access"], ["DEFER_IF_PERMIT"]),
    (["table", "redis"], ["key_format"]), (["reload"], ["postern reload - take a changed configuration over"]),
    (["smtpd_tls_*_file"], ["smtpd_tls_cert_file\n", "smtpd_tls_key_file\n"]),
])
def test_help_tells(ask, args, want):
    said = ask(*args)
    for text in want:
        assert text in said


@pytest.mark.parametrize("name, near", [("smtpd_timout", "smtpd_timeout"), ("postmpa", "postmap"),
                                        ("relayhots", "relayhost")])
def test_a_misspelt_name_gets_the_nearest(ask, name, near):
    said = ask(name, status=1)
    assert f'"{name}"' in said and near in said.split("near are:")[1]


def test_help_as_json(ask):
    entry = json.loads(ask("--json", "relayhost"))
    assert entry["set_to"] == "[smtp.$mydomain]" and entry["value_here"] == "[smtp.example.test]"
    assert entry["default"] == "" and "smtp" in entry["read_by"]
    page = json.loads(ask("--json", "postmap"))
    assert page["section"] == 1 and "-q KEY" in page["text"]


def test_every_command_service_and_table_type_has_a_page(ask, stage):
    man = stage / "usr/share/man"
    programs = {p.name for folder in ("usr/sbin", "usr/bin", "usr/lib/postfix/sbin")
                for p in (stage / folder).iterdir() if os.access(p, os.X_OK) and p.is_file()}
    for name in programs:
        assert list(man.glob(f"man*/{name}.*")), name
    types = subprocess.run([stage / "usr/sbin/postconf", "-m"], capture_output=True, text=True).stdout
    for name in types.split():
        assert (man / f"man5/{name}_table.5").exists(), name
        ask("table", name)


def test_the_parameter_reference_has_every_parameter(stage):
    text = (stage / "usr/share/man/man5/postconf.5").read_text().replace("\\-", "-").replace("\\&", "")
    names = subprocess.run([stage / "usr/sbin/postconf", "-dHC", "builtin"], capture_output=True,
                           text=True).stdout.split()
    listed = set(re.findall(r"^\\fB(\S+) \(default: ", text, re.M))
    assert set(names) - listed == set()


def test_pages_are_good_roff(stage):
    man = stage / "usr/share/man"
    pages = sorted(str(p.relative_to(man)) for p in man.glob("man*/*"))
    assert len(pages) > 50
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", *pages], cwd=man, capture_output=True,
                          text=True)
    trouble = [line for line in done.stderr.splitlines() if "cannot adjust" not in line and
               "can't break" not in line]
    assert done.returncode == 0 and not trouble, trouble[:10]


def test_installed_files(stage):
    for name in ("usr/sbin/postern", "usr/sbin/postfix", "usr/sbin/posttls-finger", "usr/sbin/postmap",
                 "usr/bin/mailq", "usr/bin/newaliases", "usr/lib/sendmail", "usr/lib/postfix/sbin/smtpd",
                 "etc/postfix/main.cf", "etc/postfix/master.cf", "usr/share/man/man1/postmap.1"):
        assert (pathlib.Path(stage) / name).exists(), name
