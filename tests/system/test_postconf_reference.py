# SPDX-License-Identifier: Apache-2.0
"""postconf beside Debian's: a stock /etc/postfix and a long-lived one, both printed by both."""
import collections
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
REFERENCE = pathlib.Path("/usr/sbin/postconf")
SHARED = pathlib.Path("/usr/share/postfix")
pytestmark = [
    pytest.mark.postern_only("runs both servers' postconf itself"),
    pytest.mark.skipif(not SHARED.is_dir(), reason="Debian's postfix is not installed"),
]

# Debian's postfix is 3.7. Parameters that came after it:
NEWER = set("""
    allow_srv_lookup_fallback default_cache_db_type force_mime_input_conversion
    full_name_encoding_charset ignore_srv_lookup_error lmtp_log_tls_feature_status
    lmtp_requiretls_policy lmtp_sasl_password_result_delimiter lmtp_tls_enable_rpk
    lmtp_tls_enforce_sts_mx_patterns lmtp_tls_loglevel_maps lmtp_tls_trace_size_limit
    lmtp_tlsrpt_enable lmtp_tlsrpt_skip_reused_handshakes lmtp_tlsrpt_socket_name
    maillog_file_permissions non_bdb_custom_mapping non_bdb_migration_allow_root_prefixes
    non_bdb_migration_allow_user_prefixes non_bdb_migration_level non_bdb_migration_log_redirect
    non_bdb_migration_service_name non_empty_end_of_header_action postscreen_starttls_timeout
    postscreen_tls_CAfile postscreen_tls_CApath postscreen_tls_always_issue_session_ids
    postscreen_tls_ask_ccert postscreen_tls_ccert_verifydepth postscreen_tls_cert_file
    postscreen_tls_chain_files postscreen_tls_ciphers postscreen_tls_dcert_file
    postscreen_tls_dh1024_param_file postscreen_tls_dh512_param_file postscreen_tls_dkey_file
    postscreen_tls_eccert_file postscreen_tls_eckey_file postscreen_tls_eecdh_grade
    postscreen_tls_enable_rpk postscreen_tls_exclude_ciphers postscreen_tls_fingerprint_digest
    postscreen_tls_key_file postscreen_tls_loglevel postscreen_tls_loglevel_maps
    postscreen_tls_mandatory_ciphers postscreen_tls_mandatory_exclude_ciphers
    postscreen_tls_mandatory_protocols postscreen_tls_protocols postscreen_tls_req_ccert
    postscreen_tls_trace_size_limit relocated_prefix_enable requiretls_enable
    requiretls_esmtp_header requiretls_redact_dsn smtp_log_tls_feature_status smtp_requiretls_policy
    smtp_sasl_password_result_delimiter smtp_tls_enable_rpk smtp_tls_enforce_sts_mx_patterns
    smtp_tls_loglevel_maps smtp_tls_trace_size_limit smtp_tlsrpt_enable
    smtp_tlsrpt_skip_reused_handshakes smtp_tlsrpt_socket_name smtpd_client_ipv4_prefix_length
    smtpd_client_ipv6_prefix_length smtpd_hide_client_session smtpd_reject_filter_maps
    smtpd_tls_enable_rpk smtpd_tls_loglevel_maps smtpd_tls_trace_size_limit socketmap_max_query_size
    socketmap_max_reply_size tls_ffdhe_auto_groups tls_required_enable tls_trace_rate_limit
    tls_trust_server_ccerts tlsproxy_tls_enable_rpk use_srv_lookup
""".split())
# Parameters of Postern alone, and why:
OWN = {"dnssec_trust_anchor_file": "validates DNSSEC itself"}
# Parameters that went after it:
GONE = {"tlsproxy_client_loglevel_parameter"}
# Parameters whose default is another one, and why:
DIFFERENT = {
    "address_verify_map": "3.11: from default_cache_db_type",
    "alias_database": "3.11: from default_database_type",
    "alias_maps": "3.11: from default_database_type, and no NIS",
    "html_directory": "a choice of Debian's package",
    "import_environment": "3.11: XDG_RUNTIME_DIR",
    "mail_release_date": "another version",
    "mail_version": "another version",
    "milter_default_action": "3.12: shutdown",
    "postscreen_cache_map": "3.11: from default_cache_db_type",
    "process_id": "another process",
    "proxy_read_maps": "3.8 to 3.12: more parameters with tables",
    "readme_directory": "a choice of Debian's package",
    "smtp_tls_dane_insecure_mx_policy": "3.10: dane",
    "smtp_tls_security_level": "3.11: may",
    "smtpd_forbid_bare_newline": "3.9: normalize",
    "smtpd_forbid_unauth_pipelining": "3.9: yes",
    "smtpd_sasl_type": "3.12: dovecot",
    "tls_eecdh_auto_curves": "3.8: another order",
    "tls_export_cipherlist": "3.9: empty",
    "tls_high_cipherlist": "3.9: without old ciphers",
    "tls_low_cipherlist": "3.9: empty",
    "tls_medium_cipherlist": "3.9: without old ciphers",
    "tls_null_cipherlist": "3.9: without old ciphers",
    "tlsproxy_client_policy_maps": "3.9: a ternary with the same meaning",
    "tlsproxy_client_security_level": "3.9: a ternary with the same meaning",
}
Answer = collections.namedtuple("Answer", "status out err")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("etc")
    for name, main_cf in (("stock", "main.cf.debian"), ("full", "main.cf.dist")):
        (root / name).mkdir()
        shutil.copy(SHARED / main_cf, root / name / "main.cf")
        shutil.copy(SHARED / "master.cf.dist", root / name / "master.cf")
    shutil.copytree(HERE / "fixtures/long-lived", root / "old")
    return root


@pytest.fixture
def both(stage, folders):
    """Call both; folder "old" or "stock"."""
    def call(folder, *args):
        answers = []
        for path in (REFERENCE, stage / "usr/sbin/postconf"):
            done = subprocess.run([path, "-c", folders / folder, *args], capture_output=True, text=True,
                                  timeout=60)
            err = [line.split("postconf: ", 1)[-1] for line in done.stderr.splitlines()]
            answers.append(Answer(done.returncode, done.stdout.splitlines(), err))
        return answers
    return call


def without_own(lines, names):
    return [line for line in lines if line.split(" =")[0].strip("\"{") not in names]


PRINTS = [
    ["-n"], ["-nf"], ["-nh"], ["-nH"], ["-nC", "builtin"], ["-nC", "user"], ["-nC", "service"],
    ["-C", "user"], ["-C", "service"], ["-C", "service", "-d"], ["-C", "user", "-x"],
    ["-M"], ["-Mf"], ["-Mx"], ["-Mfx"], ["-F"], ["-Ff"], ["-Fx"], ["-FH"],
    ["-M", "smtp"], ["-M", "smtp/inet"], ["-M", "*/inet"], ["-M", "nobody/unix"], ["-M", "smtp/nowhere"],
    ["-F", "smtp/inet"], ["-F", "*/*/command"], ["-F", "smtp/inet/chroot"], ["-P", "*/*/syslog_name"],
    ["-P", "smtp"], ["-P", "submission/inet/nothing"],
    ["mydestination", "relayhost", "nosuch"], ["-x", "mydestination", "smtpd_recipient_restrictions"],
    ["-fx", "smtpd_recipient_restrictions", "mynetworks"], ["-h", "mynetworks"], ["-H", "mynetworks"],
    ["-d", "relayhost", "mydestination", "config_directory"], ["-dx", "mydestination"],
    ["-n", "relayhost", "smtp_sasl_mechanism_filter"], ["-o", "relayhost=x", "relayhost"],
    ["-o", "relayhost=x", "-n"], ["-o", "mydomain=other.test", "-x", "mydestination"],
    ["slow_destination_concurrency_limit", "slow_delivery_slot_cost", "policyd_time_limit"],
    ["-x", "slow_destination_concurrency_limit", "smtpd_error_sleep_time", "nested", "compared", "levelled",
     "dollar"],
    ["-a"], ["-A"], ["-l"], ["-T", "run-version"], ["-T", "public-key-algorithms"],
    ["-dn"], ["-hH"], ["-M", "-F"], ["-Mh"], ["-Fn"], ["-Pd"], ["-ax"], ["-em"], ["-e"],
    ["-C", "nosuch"],
]
# All of it with the long-lived one, the usual with those that the package brings.
PAIRS = [("old", args) for args in PRINTS] + [
    (folder, args) for folder in ("stock", "full") for args in PRINTS[:1] + PRINTS[7:8] + PRINTS[11:19]]


@pytest.mark.parametrize("folder, args", PAIRS)
def test_prints_what_the_reference_prints(both, folder, args):
    reference, own = both(folder, *args)
    assert own.out == reference.out
    assert own.status == reference.status
    for line in reference.err:
        if "usage:" not in line:
            assert any(said.startswith(line) for said in own.err), (line, own.err)


@pytest.mark.parametrize("args", [["-P"], ["-Px"], ["-Ph"], ["-PH"], ["-Pf"], ["-P", "submission/inet"]])
def test_prints_options_of_services(both, args):
    """The reference has no order within a service; here it is the order of the file. Of a service that is
    there twice (smtp_out2) the reference mixes the options of both."""
    reference, own = both("old", *args)
    if args == ["-Pf"]:
        reference, own = (Answer(a.status, "\n".join(a.out).replace("\n    ", " ").split("\n"), a.err)
                          for a in (reference, own))
    plain = [sorted(line for line in answer.out if "smtp_out2" not in line) for answer in (reference, own)]
    if args == ["-Ph"]:
        own_twice = ["198.51.100.3", "198.51.100.4"]
        assert set(own_twice) <= set(plain[1])
        plain = [sorted(set(lines) - set(own_twice)) for lines in plain]
    assert plain[1] == plain[0]
    assert own.status == reference.status


@pytest.mark.parametrize("args", [[], ["-x"], ["-f"], ["-H"]])
@pytest.mark.parametrize("folder", ["stock", "old"])
def test_prints_everything(both, folder, args):
    reference, own = both(folder, *args)
    # A folded value goes with its name; what differs by default differs where it is not set too.
    joined = [Answer(a.status, "\n".join(a.out).replace("\n    ", " ").split("\n"), a.err)
              for a in (reference, own)]
    spared = NEWER | GONE | set(DIFFERENT) | set(OWN)
    if args == ["-x"]:  # values that quote the number of the process, or one of the above
        spared |= {"debugger_command", "local_recipient_maps", "milter_macro_v"}
    assert without_own(joined[1].out, spared) == without_own(joined[0].out, spared)


def test_the_defaults_are_the_reference_s(both):
    reference, own = (dict(line.split(" =", 1) for line in answer.out) for answer in both("stock", "-d"))
    assert own.keys() - reference.keys() == NEWER | set(OWN)
    assert reference.keys() - own.keys() == GONE
    assert {name for name in own.keys() & reference.keys() if own[name] != reference[name]} == \
        set(DIFFERENT)


@pytest.mark.parametrize("file, args", [
    ("main.cf", ["-e", "relayhost=[new.test]:25"]), ("main.cf", ["-e", "relayhost="]),
    ("main.cf", ["  spaced  =  v  "]), ("main.cf", ["-e", "mynetworks = 10.0.0.0/8,   11.0.0.0/8  "]),
    ("main.cf", ["-e", "mydestination=one"]), ("main.cf", ["-e", "message_size_limit=1"]),
    ("main.cf", ["-X", "relayhost"]), ("main.cf", ["-X", "mydestination"]), ("main.cf", ["-X", "nosuch"]),
    ("main.cf", ["-#", "mydestination"]), ("main.cf", ["-#", "relayhost"]),
    ("main.cf", ["-e", "a b=c"]), ("main.cf", ["-e", "nothing"]), ("main.cf", ["-e", "x=y\nz=1"]),
    ("main.cf", ["-X", ""]), ("main.cf", ["-e", "#x=y"]),
    ("master.cf", ["-M", "new/unix=new unix - - n - - smtp -o a=b"]),
    ("master.cf", ["-M", "relay/unix=other unix - - n - - smtp"]),
    ("master.cf", ["-MX", "relay/unix"]), ("master.cf", ["-MX", "smtp_out2/unix"]),
    ("master.cf", ["-MX", "nosuch/unix"]), ("master.cf", ["-MX", "*/inet"]),
    ("master.cf", ["-M#", "relay/unix"]), ("master.cf", ["-M#", "submission/inet"]),
    ("master.cf", ["-M#", "*/inet"]), ("master.cf", ["-MX", "relay"]),
    ("master.cf", ["-F", "relay/unix/chroot=n"]), ("master.cf", ["-F", "*/*/chroot=n"]),
    ("master.cf", ["-F", "*/unix/process_limit=7"]), ("master.cf", ["-F", "relay/unix/command=smtp -v"]),
    ("master.cf", ["-F", "relay/unix/service=relay2"]), ("master.cf", ["-F", "relay/unix/shoe=n"]),
    ("master.cf", ["-F", "relay/unix/wakeup=soon"]), ("master.cf", ["-F", "nosuch/unix/chroot=n"]),
    ("master.cf", ["-FX", "relay/unix/chroot"]),
    ("master.cf", ["-P", "relay/unix/syslog_name=x"]), ("master.cf", ["-P", "relay/unix/new=1"]),
    ("master.cf", ["-P", "*/inet/z=1"]), ("master.cf", ["-P", "nosuch/inet/z=1"]),
    ("master.cf", ["-P", "maildrop/unix/q=1"]), ("master.cf", ["-P", "[::1]:10026/inet/v=2"]),
    ("master.cf", ["-PX", "submission/inet/syslog_name"]), ("master.cf", ["-PX", "*/inet/content_filter"]),
    ("master.cf", ["-PX", "smtp_out2/unix/smtp_bind_address"]), ("master.cf", ["-PX", "submission/inet/no"]),
    ("master.cf", ["-P#", "submission/inet/syslog_name"]),
])
def test_edits_as_the_reference_does(stage, tmp_path, file, args):
    """What is in force afterwards is the same, and no comment is lost. The reference moves comments
    inside a service in front of it; here they stay behind its first line."""
    answers = []
    for name, path in (("reference", REFERENCE), ("own", stage / "usr/sbin/postconf")):
        folder = shutil.copytree(HERE / "fixtures/long-lived", tmp_path / name)
        done = subprocess.run([path, "-c", folder, *args], capture_output=True, text=True, timeout=60)
        text = (folder / file).read_text().splitlines()
        answers.append((done.returncode, [line for line in text if not line.lstrip().startswith("#")],
                        sorted(line for line in text if line.lstrip().startswith("#"))))
        assert (folder / file).stat().st_mode == (HERE / "fixtures/long-lived" / file).stat().st_mode
        if name == "own":
            assert sorted(p.name for p in folder.iterdir()) == ["main.cf", "master.cf"]
    assert answers[1] == answers[0]


def test_two_editors_at_once_lose_nothing(stage, tmp_path):
    folder = shutil.copytree(HERE / "fixtures/long-lived", tmp_path / "etc")
    path = stage / "usr/sbin/postconf"
    runs = [subprocess.Popen([path, "-c", folder, "-P", f"relay/unix/x{i}={i}"]) for i in range(6)]
    runs += [subprocess.Popen([path, "-c", folder, "-e", f"y{i}={i}"]) for i in range(6)]
    assert [run.wait(60) for run in runs] == [0] * 12
    main_cf, master_cf = ((folder / name).read_text() for name in ("main.cf", "master.cf"))
    for i in range(6):
        assert f"-o x{i}={i}\n" in master_cf
        assert f"\ny{i} = {i}\n" in main_cf


def test_bounce_texts(stage, folders, tmp_path):
    def call(*args):
        return subprocess.run([stage / "usr/sbin/postconf", "-c", folders / "old", *args],
                              capture_output=True, text=True, check=True).stdout

    texts = call("-t")
    for name in ("failure", "delay", "success"):
        assert f"{name}_template = <<EOF\nCharset: us-ascii\nFrom: " in texts
    assert "at host $myhostname." in texts
    assert "expanded_failure_text = <<EOF\nThis is the mail system at host mx.example.test.\n" in call("-b")
    (tmp_path / "mine").write_text(texts.replace("Undelivered Mail Returned to Sender", "Sorry"))
    assert "Subject: Sorry\n" in call("-t", tmp_path / "mine")
    # The reference reads what is printed here.
    done = subprocess.run([REFERENCE, "-c", folders / "old", "-b", tmp_path / "mine"],
                          capture_output=True, text=True)
    assert "expanded_failure_text = <<EOF" in done.stdout


def test_json_is_one_object_a_line(stage, folders):
    import json

    def call(*args):
        out = subprocess.run([stage / "usr/sbin/postconf", "-c", folders / "old", *args],
                             capture_output=True, text=True, check=True).stdout
        pairs = {}
        for line in out.splitlines():
            pairs.update(json.loads(line))
        return pairs

    assert call("-j", "relayhost") == {"relayhost": "[relay.$mydomain]:587"}
    assert call("-jx", "relayhost") == {"relayhost": "[relay.example.test]:587"}
    assert call("-Fj", "relay/unix/command") == {
        "relay/unix/command": "smtp -o syslog_name=postfix/$service_name"}
    assert call("-Pj", "relay/unix") == {"relay/unix/syslog_name": "postfix/$service_name"}
    assert call("-Mj", "yahoo/unix")["yahoo/unix"].split()[-1] == "smtp_helo_name=mx-${service_name}.$mydomain"


def test_warnings_can_be_turned_off(stage, folders):
    path = stage / "usr/sbin/postconf"
    loud = subprocess.run([path, "-c", folders / "old", "-n"], capture_output=True, text=True).stderr
    for line in ('main.cf: support for parameter "smtpd_use_tls" will be removed; instead, specify '
                 '"smtpd_tls_security_level"',
                 'support for parameter "smtpd_tls_dh1024_param_file" will be removed; instead, do not '
                 'specify (leave at default)',
                 'unused parameter: mailbox_comand=/bin/false; did you mean "mailbox_command"?',
                 'queue_run_delay has no effect here: qmgr tries each message when it is due'):
        assert line in loud
    quiet = subprocess.run([path, "-c", folders / "old", "-qn"], capture_output=True, text=True)
    assert quiet.stderr == "" and "relayhost" in quiet.stdout
