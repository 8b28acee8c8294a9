# SPDX-License-Identifier: Apache-2.0
"""The table of restrictions: what is configured, who asks, what it hears. The same for the reference.

A case is a restriction class of its own; a table in each list leads the case's recipient to it, so that one
server answers them all."""
import re

from world.session import Session

LISTS = ("client", "helo", "sender", "relay", "recipient", "data", "end_of_data", "etrn")
CASES = []
OK = {"data": "354 End data with <CR><LF>.<CR><LF>", "end_of_data": "250 2.0.0 Ok: queued as *",
      "etrn": "459 <*>: service unavailable"}


class Case:
    """reply: what the client hears, "" when it may go on; RCPT in it is the recipient. log: one more line."""

    def __init__(self, rules, reply="", where="recipient", client="127.0.0.9", helo="client.test",
                 sender="ann@sender.test", domain="example.test", log=None, user="", main=""):
        self.number = len(CASES)
        rules = rules.replace("CASE@", f"c{self.number}@")
        self.rules, self.where, self.client, self.helo, self.sender = rules, where, client, helo, sender
        self.label = f"c{self.number}"
        self.recipient = f"{self.label}{user}@{domain}"
        self.reply = reply.replace("RCPT", self.recipient).replace("ETRN", f"{self.label}.etrn.test")
        self.log = log and log.replace("RCPT", self.recipient)
        self.main = main
        self.restriction = next(w.strip("{,") for w in re.split(r'[ ,]+', rules) if w.strip("{,") not in ("warn_if_reject",))

    def __repr__(self):
        return f"{self.label} {self.rules}"

    @property
    def expected(self):
        return self.reply or OK.get(self.where, "250 2.1.5 Ok")

    @property
    def stage(self):
        return {"data": "DATA", "end_of_data": "END-OF-MESSAGE", "etrn": "ETRN"}.get(self.where, "RCPT")

    def play(self, port):
        """The reply to the command that the rules decide."""
        with Session(("127.0.0.1", port), source=self.client, timeout=8) as s:
            s.send(f"EHLO {self.helo}").read_reply()
            if self.where == "etrn":
                return s.send(f"ETRN {self.label}.etrn.test").read_reply()
            s.send(f"MAIL FROM:<{self.sender}>").expect("250 *")
            reply = s.send(f"RCPT TO:<{self.recipient}>").read_reply()
            if reply.startswith("250") and self.where in ("data", "end_of_data"):
                reply = s.send("DATA").read_reply()
                if reply.startswith("354") and self.where == "end_of_data":
                    reply = s.raw(b"Subject: x\r\n\r\n.\r\n").read_reply()
            return reply

    def log_line(self):
        """The line of a refusal; None when the client may go on."""
        if not self.reply or not self.reply[0] in "45" or self.reply.startswith("459"):
            return None
        about = "" if self.where == "etrn" else f" from=<{self.sender}> to=<{self.recipient}>"
        queue_id = "*" if self.where in ("data", "end_of_data") else "NOQUEUE"
        return f"{queue_id}: reject: {self.stage} from *[{self.client}]: {self.reply};{about} proto=ESMTP helo=<{self.helo}>"


def case(*args, **named):
    CASES.append(Case(*args, **named))


def table(entries):
    return "inline:{ " + ", ".join("{ %s = %s }" % pair for pair in entries.items()) + " }"


def main_cf(policy_port):
    """Settings for all cases, and the tables that lead to them: name -> text."""
    lines, files = [SETTINGS], {"users": "/^(c[0-9]+|jo|root)@?/ x\n"}
    lines.append("smtpd_restriction_classes = " + " ".join(c.label for c in CASES))
    for c in CASES:
        lines.append(f"{c.label} = {c.rules.replace('POLICY', f'inet:127.0.0.1:{policy_port}')}")
    files["cidr"] = "127.0.0.0/29 OK\n127.0.0.8/29 REJECT by cidr\n"
    files["regexp"] = "/^mail\\.client/ REJECT by regexp\n"
    files["rbl_replies"] = RBL_REPLIES
    for where in LISTS:
        pattern = r"/^%s\.etrn/ %s" if where == "etrn" else r"/^%s(\+|-|@|$)/ %s"
        files[where] = "\n".join(pattern % (c.label, c.label) for c in CASES if c.where == where) + "\n"
        check = "check_etrn_access" if where == "etrn" else "check_recipient_access"
        end = ", reject_unauth_destination" if where == "recipient" else ""
        lines.append(f"smtpd_{where}_restrictions = {check} regexp:$config_directory/{where}{end}")
    return "\n".join(lines) + "\n", files


def settle(name_server):
    """The names of the world of the cases."""
    n = name_server
    for address, name in (("127.0.0.9", "mail.client.test"), ("127.0.0.2", "two.client.test"),
                          ("127.0.0.3", "three.client.test"), ("127.0.0.11", "eleven.client.test")):
        n.host(name, address)
    n.add("21.0.0.127.in-addr.arpa", "PTR", "liar.test.").add("liar.test", "A", "127.0.0.99")
    n.servfail("22.0.0.127.in-addr.arpa")
    n.add("23.0.0.127.in-addr.arpa", "PTR", "gone.test.")
    # lists
    n.add("2.0.0.127.rbl.test", "A", "127.0.0.2").add("2.0.0.127.rbl.test", "TXT", '"listed, see http://rbl.test/2"')
    n.add("3.0.0.127.rbl.test", "A", "127.0.0.4")
    n.add("11.0.0.127.rbl.test", "A", "127.0.0.2", "127.0.0.11").add("11.0.0.127.rbl.test", "TXT", '"one"', '"two"')
    n.add("rbl.test", "SOA", "ns.rbl.test. root.rbl.test. 1 60 60 60 60")
    n.servfail("9.0.0.127.broken.test").servfail("sender.test.broken.test").servfail("mail.client.test.broken.test")
    for name in ("9.0.0.127", "mail.client.test", "sender.test", "client.test", "example.test", "liar.test"):
        n.add(f"{name}.all.test", "A", "127.0.0.5").add(f"{name}.all.test", "TXT", f'"{name} is there"')
    n.add("9.0.0.127.mute.test", "A", "127.0.0.2")
    # servers of domains
    n.mx("sender.test", "mx.sender.test", "127.0.0.66").add("sender.test", "NS", "ns.sender.test.")
    n.add("ns.sender.test", "A", "127.0.0.67")
    n.add("client.test", "A", "127.0.0.9").add("client.test", "NS", "ns.client.test.").add("ns.client.test", "A", "127.0.0.68")
    n.add("client.test", "MX", "10 mx.client.test.").add("mx.client.test", "A", "127.0.0.69")
    n.add("onlya.test", "A", "127.0.0.70")
    n.add("null.test", "MX", "0 .")
    n.add("lame.test", "MX", "10 nowhere.lame.test.")
    n.servfail("down.test").servfail("mx.down2.test").add("down2.test", "MX", "10 mx.down2.test.")
    n.mx("backup.test", "primary.backup.test", "127.0.0.80").add("backup.test", "MX", "20 mx.test.").add("mx.test", "A", "127.0.0.1")
    n.mx("others.test", "mx.others.test", "127.0.0.81")
    n.add("deep.example.test", "A", "127.0.0.71").add("example.test", "NS", "ns.example.test.").add("ns.example.test", "A", "127.0.0.72")
    n.mx("example.test", "mx.example.test", "127.0.0.73")


POLICY_ACTIONS = {
    "ok": "OK", "dunno": "DUNNO", "reject": "REJECT policy says no", "defer": "DEFER 4.7.9 not now",
    "dip": "DEFER_IF_PERMIT greylisted", "code": "450 4.7.1 busy", "five": "550 gone away", "list": "reject_unauth_destination, reject",
    "broken": "FROBNICATE", "prepend": "PREPEND X-Policy: seen", "empty": "", "hangup": None, "junk": "what=ever",
    "warn": "WARN policy warns", "mixed": "reject", "filter": "FILTER smtp:[127.0.0.1]:9", "nl": "action=DUNNO\nextra=1",
    "number": "12345", "twofour": "421 4.7.0 bye",
}

RBL_REPLIES = """
mute.test $rbl_code 4.7.2 $client|$client_address|$client_name|$reverse_client_name|$helo_name|$rbl_class|$rbl_what|$rbl_domain|$rbl_reason|$sender|$sender_name|$sender_domain|$recipient_domain|${rbl_reason?with}${rbl_reason:without}
all.test=127.0.0.5 $rbl_code no dsn here
bad.test no code
"""

SETTINGS = r"""
mynetworks = 127.0.0.3/32
mydestination = mx.test, example.test
local_recipient_maps = regexp:$config_directory/users
relay_domains = relay.test
relay_recipient_maps = inline:{ jo@relay.test=x }
virtual_mailbox_domains = vmail.test
virtual_mailbox_maps = inline:{ jo@vmail.test=x }
virtual_alias_domains = valias.test
virtual_alias_maps = inline:{ jo@valias.test=jo@example.test }
local_transport = discard:
recipient_delimiter = +
smtpd_sender_login_maps = inline:{ ann@sender.test=ann, { all@sender.test=bob, jo } }
disable_vrfy_command = no
fast_flush_domains =
smtpd_policy_service_retry_delay = 1s
smtpd_policy_service_timeout = 2s
permit_mx_backup_networks = 127.0.0.80/32
maps_rbl_reject_code = 554
address_verify_map =
rbl_reply_maps = texthash:$config_directory/rbl_replies
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
"""

for where, subject in (("client", "<mail.client.test[127.0.0.9]>: Client host"), ("helo", "<client.test>: Helo command"),
                       ("sender", "<ann@sender.test>: Sender address"), ("relay", "<RCPT>: Recipient address"),
                       ("recipient", "<RCPT>: Recipient address"), ("data", "<DATA>: Data command"),
                       ("end_of_data", "<END-OF-MESSAGE>: End-of-data"), ("etrn", "<ETRN>: Etrn command")):
    case("permit, reject", where=where)
    case("reject", f"554 5.7.1 {subject} rejected: Access denied", where=where)
    case("defer", f"450 4.3.2 {subject} rejected: Try again later", where=where)
    case("defer_if_permit", f"450 4.7.0 {subject} rejected: defer_if_permit requested", where=where)
    case("defer_if_reject, reject", f"450 4.7.0 {subject} rejected: defer_if_reject requested", where=where)

case("defer_if_reject")
case("warn_if_reject reject")
case("warn_if_reject defer_if_permit")
case("warn_if_reject reject_frob")
case("no_such_rule")
case("reject_unknown_forward_client_hostname")
case("permit_naked_ip_address")
case("reject_maps_rbl")
case("check_relay_domains")
case("inline:{ { example.test = REJECT by bare table } }")
case("inline:{ { client.test = REJECT by bare table } }", where="client")
case("inline:{ { client.test = REJECT by bare table } }", where="helo")
case("inline:{ { sender.test = REJECT by bare table } }", where="sender")
case("inline:{ { sender.test = REJECT by bare table } }", where="data")
case("sleep 1, reject")
case("sleep nothing")
case("reject_unauth_pipelining")
case("reject_multi_recipient_bounce", sender="")
case("reject_multi_recipient_bounce", sender="", where="data")
case("reject_plaintext_session")
# client
for address in ("127.0.0.3", "127.0.0.9"):
    case("permit_mynetworks, reject", client=address)
    case("permit_inet_interfaces, reject", client=address)
case("permit_inet_interfaces, reject", client="127.0.0.1")
case("permit_sasl_authenticated, reject")
case("permit_tls_all_clientcerts, reject")
case("permit_tls_clientcerts, reject")
for rule in ("reject_unknown_client_hostname", "reject_unknown_client", "reject_unknown_reverse_client_hostname"):
    for address in ("127.0.0.9", "127.0.0.20", "127.0.0.21", "127.0.0.22", "127.0.0.23"):
        case(rule, client=address)
for key in ("mail.client.test", "client.test", ".client.test", "test", "127.0.0.9", "127.0.0", "127.0", "127", "unknown", "127.0.0.1"):
    case("check_client_access " + table({key: "REJECT"}))
case("check_client_access " + table({"unknown": "REJECT"}), client="127.0.0.20")
case("check_client_access " + table({"mail.client.test": "OK"}) + ", reject")
case("check_client_access " + table({"client.test": "DUNNO", "127.0.0.9": "REJECT"}))
case("check_client_access cidr:$config_directory/cidr")
case("check_client_access regexp:$config_directory/regexp")
case("check_client_access hash:/nonexistent/table")
for name, client in (("client", "127.0.0.9"), ("reverse_client_hostname", "127.0.0.9"), ("helo", "127.0.0.9"), ("sender", "127.0.0.9"), ("recipient", "127.0.0.9")):
    for kind, keys in (("a", ("127.0.0.9", "127.0.0.66", "127.0.0.70", "client.test")),
                       ("mx", ("mx.client.test", "mx.sender.test", "mx.example.test", "127.0.0.66", "127.0.0.69", "127.0.0.73", "sender.test")),
                       ("ns", ("ns.client.test", "ns.sender.test", "ns.example.test", "127.0.0.67", "127.0.0.68", "127.0.0.72"))):
        case(f"check_{name}_{kind}_access " + table({key: "REJECT " + key for key in keys}))
    case(f"check_{name}_mx_access " + table({"test": "OK"}))
    case(f"check_{name}_a_access " + table({"127": "OK"}))
    case(f"check_{name}_ns_access " + table({"10.9.8.7": "REJECT"}))
for sender in ("ann@down.test", "ann@down2.test", "ann@onlya.test", "ann@null.test", "ann@nowhere.test", "ann@lame.test", "ann@[127.0.0.9]", "", "ann"):
    for kind in ("a", "mx", "ns"):
        case(f"check_sender_{kind}_access " + table({"127": "REJECT 127", "test": "REJECT test"}), sender=sender)
case("check_helo_mx_access " + table({"127": "REJECT 127"}), helo="[127.0.0.9]")
case("check_helo_a_access " + table({"127": "REJECT 127"}), helo="[127.0.0.9]")
case("check_client_mx_access " + table({"127": "REJECT 127"}), client="127.0.0.20")
case("check_reverse_client_hostname_access " + table({"liar.test": "REJECT"}), client="127.0.0.21")
case("check_reverse_client_hostname_access " + table({"127.0.0.21": "REJECT"}), client="127.0.0.21")
case("check_reverse_client_hostname_access " + table({"liar.test": "OK"}), client="127.0.0.21")
case("check_reverse_client_hostname_access " + table({"unknown": "REJECT"}), client="127.0.0.20")
case("check_ccert_access " + table({"x": "REJECT"}))
case("check_sasl_access " + table({"x": "REJECT"}))
# DNS lists
for rule in ("reject_rbl_client", "reject_rbl"):
    for address in ("127.0.0.2", "127.0.0.3", "127.0.0.9", "127.0.0.11"):
        case(rule + " rbl.test", client=address)
for spec in ("127.0.0.2", "127.0.0.3", "127.0.0.[2..8]", "127.0.0.[3;11]", "127.0.0.[3..9]", "127.0.0.[1..300]", "127.0.0", "[127;1].0.0.[11]"):
    case("reject_rbl_client rbl.test=" + spec, client="127.0.0.11")
case("reject_rbl_client broken.test")
case("reject_rbl_client mute.test")
case("reject_rbl_client all.test")
case("reject_rbl_client all.test=127.0.0.5")
case("reject_rbl_client bad.test")
case("warn_if_reject reject_rbl_client all.test")
case("reject_rhsbl_client all.test")
case("reject_rhsbl_client all.test", client="127.0.0.20")
case("reject_rhsbl_reverse_client all.test", client="127.0.0.21")
case("reject_rhsbl_reverse_client rbl.test", client="127.0.0.21")
case("reject_rhsbl_helo all.test")
case("reject_rhsbl_helo rbl.test")
case("reject_rhsbl_helo all.test", helo="[127.0.0.9]")
case("reject_rhsbl_sender all.test")
case("reject_rhsbl_sender all.test=127.0.0.5")
case("reject_rhsbl_sender rbl.test")
case("reject_rhsbl_sender broken.test")
case("reject_rhsbl_sender all.test", sender="")
case("reject_rhsbl_sender all.test", sender="ann@[127.0.0.1]")
case("reject_rhsbl_recipient all.test")
case("reject_rhsbl_recipient rbl.test")
for rule in ("permit_dnswl_client", "permit_rhswl_client"):
    for rbl in ("all.test", "rbl.test", "broken.test", "all.test=127.0.0.6"):
        case(f"{rule} {rbl}, reject")
    case(f"{rule} all.test, reject", domain="foreign.test")
    case(f"{rule} all.test, reject", where="client")
    case(f"{rule} all.test, reject", where="client", domain="foreign.test")
# helo
for helo in ("client.test", "client", "a..b", "[127.0.0.1]", "[127.0.0.999]", "127.0.0.1", "nowhere.test", "down.test", "-x.test", "[IPv6:::1]", "under_score.test", "null.test"):
    for rule in ("reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname", "reject_unknown_helo_hostname"):
        case(rule, helo=helo)
case("reject_invalid_hostname", helo="a..b")
case("reject_non_fqdn_hostname", helo="client")
case("reject_unknown_hostname", helo="nowhere.test")
case("check_helo_access " + table({"client.test": "REJECT"}))
case("check_helo_access " + table({"other.test": "REJECT"}))
case("check_helo_access " + table({"test": "REJECT"}))
# sender
for sender in ("ann@sender.test", "ann", "ann@host", "ann@nowhere.test", "ann@down.test", "ann@null.test", "ann@[127.0.0.1]", "", "ann@onlya.test", "jo@example.test"):
    for rule in ("reject_non_fqdn_sender", "reject_unknown_sender_domain"):
        case(rule, sender=sender)
case("reject_unknown_address", sender="ann@nowhere.test")
for key in ("ann+x@sender.test", "ann@sender.test", "sender.test", "test", ".test", "ann+x@", "ann@", "<>", "x@"):
    case("check_sender_access " + table({key: "REJECT"}), sender="ann+x@sender.test")
case("check_sender_access " + table({"<>": "REJECT"}), sender="")
for rule in ("reject_sender_login_mismatch", "reject_authenticated_sender_login_mismatch", "reject_known_sender_login_mismatch", "reject_unauthenticated_sender_login_mismatch"):
    case(rule)
for sender in ("jo@example.test", "nobody@example.test", "jo@vmail.test", "nobody@vmail.test", "nobody@relay.test", "nobody@valias.test", "ann@sender.test"):
    case("reject_unlisted_sender", sender=sender)
# recipient
for key in ("CASE@example.test", "example.test", "test"):
    case("check_recipient_access " + table({key: "REJECT"}))
for domain in ("example.test", "relay.test", "foreign.test", "vmail.test", "valias.test", "sub.relay.test"):
    for rule in ("permit_auth_destination, reject", "reject_unauth_destination", "defer_unauth_destination", "reject_unlisted_recipient", "check_recipient_maps"):
        case(rule + ", permit", domain=domain, where="relay")
for domain in ("backup.test", "others.test", "example.test", "relay.test", "down.test", "nowhere.test", "null.test"):
    case("permit_mx_backup, reject", domain=domain)
for domain in ("example.test", "host", "nowhere.test", "down.test", "null.test", "[127.0.0.1]", "sender.test"):
    for rule in ("reject_non_fqdn_recipient", "reject_unknown_recipient_domain"):
        case(rule, domain=domain)
case("check_etrn_access " + table({"etrn.test": "REJECT"}), where="etrn")
case("check_etrn_access " + table({"other.test": "REJECT"}), where="etrn")
# actions
for action in ("OK", "RELAY", "12345", "DUNNO", "REJECT", "REJECT no way", "REJECT 5.1.1 sorry", "REJECT 4.1.1 sorry", "DEFER", "DEFER later", "DEFER 4.1.6 later", "450 later", "450 4.2.2 later", "550", "550 5.7.9 never", "521 5.7.0 bye", "421 4.7.0 bye",
               "DEFER_IF_PERMIT", "DEFER_IF_PERMIT 4.1.2 hm", "DEFER_IF_REJECT", "DEFER_IF_REJECT hm", "HOLD", "HOLD for review", "DISCARD", "DISCARD silently", "FILTER smtp:[127.0.0.1]:9", "FILTER", "FILTER nothing", "REDIRECT jo@example.test", "REDIRECT jo", "BCC jo@example.test", "BCC jo",
               "PREPEND X-Seen: yes", "PREPEND nothing", "INFO", "INFO hello", "WARN", "WARN careful", "reject", "permit, reject", "reject_unauth_destination", "no_such_action", "ok", "hash:/x", "HANGUP", "600 hm", "300 hm", "DEFER_IF_PERMIT 5.7.1 hm"):
    case("check_sender_access " + table({"sender.test": action}) + ("" if action not in ("DEFER_IF_REJECT", "DEFER_IF_REJECT hm") else ", reject"))
for where in ("client", "helo", "recipient", "data", "end_of_data"):
    for action in ("REJECT 5.1.1 sorry", "HOLD", "PREPEND X-Seen: yes", "DISCARD", "BCC jo@example.test"):
        case("check_sender_access " + table({"sender.test": action}), where=where)
case("check_client_access " + table({"client.test": "REJECT 5.1.1 sorry"}))
case("check_recipient_access " + table({"example.test": "REJECT 5.1.8 sorry"}))
case("check_recipient_access " + table({"example.test": "HOLD"}))
case("check_etrn_access " + table({"etrn.test": "HOLD"}), where="etrn")
case("check_etrn_access " + table({"etrn.test": "PREPEND X: y"}), where="etrn")
# policy
for action in POLICY_ACTIONS:
    case("check_policy_service POLICY", user="+" + action)
for where in ("client", "helo", "sender", "relay", "data", "end_of_data"):
    case("check_policy_service POLICY", user="+reject", where=where)
case("check_policy_service { POLICY, default_action=DUNNO, try_limit=1 }", user="+junk")
case("check_policy_service inet:127.0.0.1:1")
case("check_policy_service { inet:127.0.0.1:1, { default_action = reject }, try_limit=1 }")
case("check_policy_service unix:private/nothing")
