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
                 sender="ann@sender.test", domain="example.test", log=None, user="", newer=False):
        self.number = len(CASES)
        rules = rules.replace("CASE@", f"c{self.number}@")
        self.rules, self.where, self.client, self.helo, self.sender = rules, where, client, helo, sender
        self.label = f"c{self.number}"
        self.recipient = f"{self.label}{user}@{domain}"
        self.reply = reply.replace("RCPT", self.recipient).replace("ETRN", f"{self.label}.etrn.test")
        self.log = log and re.sub("RCPT(?! from)", self.recipient, log).replace("ETRN", f"{self.label}.etrn.test") + "*"
        self.newer = newer
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
            reply = self.hear(s.send(f"RCPT TO:<{self.recipient}>"))
            if reply.startswith("250") and self.where in ("data", "end_of_data"):
                reply = s.send("DATA").read_reply()
                if reply.startswith("354") and self.where == "end_of_data":
                    reply = s.raw(b"Subject: x\r\n\r\n.\r\n").read_reply()
            return reply

    @staticmethod
    def hear(session):
        try:
            return session.read_reply()
        except EOFError:
            return "(closed)"

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

# What is expected is what the reference says, unless newer: later versions of it than Debian's do that.
case("permit, reject", where="client")
case("reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", where="client")
case("defer", "450 4.3.2 <RCPT>: Recipient address rejected: Try again later", where="client")
case("defer_if_permit", "450 4.7.0 <RCPT>: Recipient address rejected: defer_if_permit requested", where="client")
case("defer_if_reject, reject", "450 4.7.0 <RCPT>: Recipient address rejected: defer_if_reject requested", where="client")
case("permit, reject", where="helo")
case("reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", where="helo")
case("defer", "450 4.3.2 <RCPT>: Recipient address rejected: Try again later", where="helo")
case("defer_if_permit", "450 4.7.0 <RCPT>: Recipient address rejected: defer_if_permit requested", where="helo")
case("defer_if_reject, reject", "450 4.7.0 <RCPT>: Recipient address rejected: defer_if_reject requested", where="helo")
case("permit, reject", where="sender")
case("reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", where="sender")
case("defer", "450 4.3.2 <RCPT>: Recipient address rejected: Try again later", where="sender")
case("defer_if_permit", "450 4.7.0 <RCPT>: Recipient address rejected: defer_if_permit requested", where="sender")
case("defer_if_reject, reject", "450 4.7.0 <RCPT>: Recipient address rejected: defer_if_reject requested", where="sender")
case("permit, reject", where="relay")
case("reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", where="relay")
case("defer", "450 4.3.2 <RCPT>: Recipient address rejected: Try again later", where="relay")
case("defer_if_permit", "450 4.7.0 <RCPT>: Recipient address rejected: defer_if_permit requested", where="relay")
case("defer_if_reject, reject", "450 4.7.0 <RCPT>: Recipient address rejected: defer_if_reject requested", where="relay")
case("permit, reject")
case("reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("defer", "450 4.3.2 <RCPT>: Recipient address rejected: Try again later")
case("defer_if_permit", "450 4.7.0 <RCPT>: Recipient address rejected: defer_if_permit requested")
case("defer_if_reject, reject", "450 4.7.0 <RCPT>: Recipient address rejected: defer_if_reject requested")
case("permit, reject", where="data")
case("reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", where="data")
case("defer", "450 4.3.2 <RCPT>: Recipient address rejected: Try again later", where="data")
case("defer_if_permit", "450 4.7.0 <RCPT>: Recipient address rejected: defer_if_permit requested", where="data")
case("defer_if_reject, reject", "450 4.7.0 <RCPT>: Recipient address rejected: defer_if_reject requested", where="data")
case("permit, reject", where="end_of_data")
case("reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", where="end_of_data")
case("defer", "450 4.3.2 <RCPT>: Recipient address rejected: Try again later", where="end_of_data")
case("defer_if_permit", "450 4.7.0 <RCPT>: Recipient address rejected: defer_if_permit requested", where="end_of_data")
case("defer_if_reject, reject", "450 4.7.0 <RCPT>: Recipient address rejected: defer_if_reject requested", where="end_of_data")
case("permit, reject", where="etrn")
case("reject", "554 5.7.1 <ETRN>: Etrn command rejected: Access denied", where="etrn")
case("defer", "450 4.3.2 <ETRN>: Etrn command rejected: Try again later", where="etrn")
case("defer_if_permit", "450 4.7.0 <ETRN>: Etrn command rejected: defer_if_permit requested", where="etrn")
case("defer_if_reject, reject", "450 4.7.0 <ETRN>: Etrn command rejected: defer_if_reject requested", where="etrn")
case("defer_if_reject")
case("warn_if_reject reject", log="reject_warning: RCPT from mail.client.test[127.0.0.9]: 554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("warn_if_reject defer_if_permit", log="reject_warning: RCPT from mail.client.test[127.0.0.9]: 450 4.7.0 <RCPT>: Recipient address rejected: defer_if_permit requested")
case("warn_if_reject reject_frob", "451 4.3.5 Server configuration error", log="warning: unknown smtpd restriction: \"reject_frob\"")
case("no_such_rule", "451 4.3.5 Server configuration error", log="warning: unknown smtpd restriction: \"no_such_rule\"")
case("reject_unknown_forward_client_hostname", "451 4.3.5 Server configuration error", log="warning: unknown smtpd restriction: \"reject_unknown_forward_client_hostname\"")
case("permit_naked_ip_address", "451 4.3.5 Server configuration error", newer=True)
case("reject_maps_rbl", "451 4.3.5 Server configuration error", newer=True)
case("check_relay_domains", "451 4.3.5 Server configuration error", newer=True)
case("inline:{ { example.test = REJECT by bare table } }", "554 5.7.1 <RCPT>: Recipient address rejected: by bare table")
case("inline:{ { client.test = REJECT by bare table } }", "554 5.7.1 <mail.client.test[127.0.0.9]>: Client host rejected: by bare table", where="client")
case("inline:{ { client.test = REJECT by bare table } }", "554 5.7.1 <client.test>: Helo command rejected: by bare table", where="helo")
case("inline:{ { sender.test = REJECT by bare table } }", "554 5.7.1 <ann@sender.test>: Sender address rejected: by bare table", where="sender")
case("inline:{ { sender.test = REJECT by bare table } }", "451 4.3.5 Server configuration error", where="data", log="warning: specify one of (check_client_access, check_reverse_client_hostname_access, check_helo_access, check_sender_access, check_recipient_access, check_etrn_access) before Recipient address restriction \"inline:{ { sender.test = REJECT by bare table } }\"")
case("sleep 1, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("sleep nothing", "451 4.3.5 Server configuration error", log="warning: restriction sleep must be followed by number")
case("reject_unauth_pipelining")
case("reject_multi_recipient_bounce", sender="")
case("reject_multi_recipient_bounce", where="data", sender="")
case("reject_plaintext_session", "450 4.7.1 Session encryption is required")
case("permit_mynetworks, reject", client="127.0.0.3")
case("permit_inet_interfaces, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", client="127.0.0.3")
case("permit_mynetworks, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("permit_inet_interfaces, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("permit_inet_interfaces, reject", client="127.0.0.1")
case("permit_sasl_authenticated, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("permit_tls_all_clientcerts, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("permit_tls_clientcerts, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("reject_unknown_client_hostname")
case("reject_unknown_client_hostname", "450 4.7.25 Client host rejected: cannot find your hostname, [127.0.0.20]", client="127.0.0.20")
case("reject_unknown_client_hostname", "450 4.7.25 Client host rejected: cannot find your hostname, [127.0.0.21]", client="127.0.0.21")
case("reject_unknown_client_hostname", "450 4.7.25 Client host rejected: cannot find your hostname, [127.0.0.22]", client="127.0.0.22")
case("reject_unknown_client_hostname", "450 4.7.25 Client host rejected: cannot find your hostname, [127.0.0.23]", client="127.0.0.23")
case("reject_unknown_client")
case("reject_unknown_client", "450 4.7.25 Client host rejected: cannot find your hostname, [127.0.0.20]", client="127.0.0.20")
case("reject_unknown_client", "450 4.7.25 Client host rejected: cannot find your hostname, [127.0.0.21]", client="127.0.0.21")
case("reject_unknown_client", "450 4.7.25 Client host rejected: cannot find your hostname, [127.0.0.22]", client="127.0.0.22")
case("reject_unknown_client", "450 4.7.25 Client host rejected: cannot find your hostname, [127.0.0.23]", client="127.0.0.23")
case("reject_unknown_reverse_client_hostname")
case("reject_unknown_reverse_client_hostname", "450 4.7.1 Client host rejected: cannot find your reverse hostname, [127.0.0.20]", client="127.0.0.20")
case("reject_unknown_reverse_client_hostname", client="127.0.0.21")
case("reject_unknown_reverse_client_hostname", "450 4.7.1 Client host rejected: cannot find your reverse hostname, [127.0.0.22]", client="127.0.0.22")
case("reject_unknown_reverse_client_hostname", client="127.0.0.23")
case("check_client_access inline:{ { mail.client.test = REJECT } }", "554 5.7.1 <mail.client.test[127.0.0.9]>: Client host rejected: Access denied")
case("check_client_access inline:{ { client.test = REJECT } }", "554 5.7.1 <mail.client.test[127.0.0.9]>: Client host rejected: Access denied")
case("check_client_access inline:{ { .client.test = REJECT } }")
case("check_client_access inline:{ { test = REJECT } }", "554 5.7.1 <mail.client.test[127.0.0.9]>: Client host rejected: Access denied")
case("check_client_access inline:{ { 127.0.0.9 = REJECT } }", "554 5.7.1 <mail.client.test[127.0.0.9]>: Client host rejected: Access denied")
case("check_client_access inline:{ { 127.0.0 = REJECT } }", "554 5.7.1 <mail.client.test[127.0.0.9]>: Client host rejected: Access denied")
case("check_client_access inline:{ { 127.0 = REJECT } }", "554 5.7.1 <mail.client.test[127.0.0.9]>: Client host rejected: Access denied")
case("check_client_access inline:{ { 127 = REJECT } }", "554 5.7.1 <mail.client.test[127.0.0.9]>: Client host rejected: Access denied")
case("check_client_access inline:{ { unknown = REJECT } }")
case("check_client_access inline:{ { 127.0.0.1 = REJECT } }")
case("check_client_access inline:{ { unknown = REJECT } }", "554 5.7.1 <unknown[127.0.0.20]>: Client host rejected: Access denied", client="127.0.0.20")
case("check_client_access inline:{ { mail.client.test = OK } }, reject")
case("check_client_access inline:{ { client.test = DUNNO }, { 127.0.0.9 = REJECT } }")
case("check_client_access cidr:$config_directory/cidr", "554 5.7.1 <mail.client.test[127.0.0.9]>: Client host rejected: by cidr")
case("check_client_access regexp:$config_directory/regexp", "554 5.7.1 <mail.client.test[127.0.0.9]>: Client host rejected: by regexp")
case("check_client_access hash:/nonexistent/table", "451 4.3.5 <mail.client.test[127.0.0.9]>: Client host rejected: Server configuration error", log="warning: hash:/nonexistent/table lookup error for \"mail.client.test\"")
case("check_client_a_access inline:{ { 127.0.0.9 = REJECT 127.0.0.9 }, { 127.0.0.66 = REJECT 127.0.0.66 }, { 127.0.0.70 = REJECT 127.0.0.70 }, { client.test = REJECT client.test } }", "554 5.7.1 <mail.client.test[127.0.0.9]>: Client host rejected: 127.0.0.9")
case("check_client_mx_access inline:{ { mx.client.test = REJECT mx.client.test }, { mx.sender.test = REJECT mx.sender.test }, { mx.example.test = REJECT mx.example.test }, { 127.0.0.66 = REJECT 127.0.0.66 }, { 127.0.0.69 = REJECT 127.0.0.69 }, { 127.0.0.73 = REJECT 127.0.0.73 }, { sender.test = REJECT sender.test } }")
case("check_client_ns_access inline:{ { ns.client.test = REJECT ns.client.test }, { ns.sender.test = REJECT ns.sender.test }, { ns.example.test = REJECT ns.example.test }, { 127.0.0.67 = REJECT 127.0.0.67 }, { 127.0.0.68 = REJECT 127.0.0.68 }, { 127.0.0.72 = REJECT 127.0.0.72 } }", "554 5.7.1 <mail.client.test[127.0.0.9]>: Client host rejected: ns.client.test")
case("check_client_mx_access inline:{ { test = OK } }", "451 4.3.5 Server configuration error", log="warning: use DUNNO instead of OK if you want to make an exception")
case("check_client_a_access inline:{ { 127 = OK } }", "451 4.3.5 Server configuration error", log="warning: use DUNNO instead of OK if you want to make an exception")
case("check_client_ns_access inline:{ { 10.9.8.7 = REJECT } }")
case("check_reverse_client_hostname_a_access inline:{ { 127.0.0.9 = REJECT 127.0.0.9 }, { 127.0.0.66 = REJECT 127.0.0.66 }, { 127.0.0.70 = REJECT 127.0.0.70 }, { client.test = REJECT client.test } }", "554 5.7.1 <mail.client.test>: Unverified Client host rejected: 127.0.0.9")
case("check_reverse_client_hostname_mx_access inline:{ { mx.client.test = REJECT mx.client.test }, { mx.sender.test = REJECT mx.sender.test }, { mx.example.test = REJECT mx.example.test }, { 127.0.0.66 = REJECT 127.0.0.66 }, { 127.0.0.69 = REJECT 127.0.0.69 }, { 127.0.0.73 = REJECT 127.0.0.73 }, { sender.test = REJECT sender.test } }")
case("check_reverse_client_hostname_ns_access inline:{ { ns.client.test = REJECT ns.client.test }, { ns.sender.test = REJECT ns.sender.test }, { ns.example.test = REJECT ns.example.test }, { 127.0.0.67 = REJECT 127.0.0.67 }, { 127.0.0.68 = REJECT 127.0.0.68 }, { 127.0.0.72 = REJECT 127.0.0.72 } }", "554 5.7.1 <mail.client.test>: Unverified Client host rejected: ns.client.test")
case("check_reverse_client_hostname_mx_access inline:{ { test = OK } }", "451 4.3.5 Server configuration error", log="warning: use DUNNO instead of OK if you want to make an exception")
case("check_reverse_client_hostname_a_access inline:{ { 127 = OK } }", "451 4.3.5 Server configuration error", log="warning: use DUNNO instead of OK if you want to make an exception")
case("check_reverse_client_hostname_ns_access inline:{ { 10.9.8.7 = REJECT } }")
case("check_helo_a_access inline:{ { 127.0.0.9 = REJECT 127.0.0.9 }, { 127.0.0.66 = REJECT 127.0.0.66 }, { 127.0.0.70 = REJECT 127.0.0.70 }, { client.test = REJECT client.test } }", "554 5.7.1 <client.test>: Helo command rejected: 127.0.0.9")
case("check_helo_mx_access inline:{ { mx.client.test = REJECT mx.client.test }, { mx.sender.test = REJECT mx.sender.test }, { mx.example.test = REJECT mx.example.test }, { 127.0.0.66 = REJECT 127.0.0.66 }, { 127.0.0.69 = REJECT 127.0.0.69 }, { 127.0.0.73 = REJECT 127.0.0.73 }, { sender.test = REJECT sender.test } }", "554 5.7.1 <client.test>: Helo command rejected: mx.client.test")
case("check_helo_ns_access inline:{ { ns.client.test = REJECT ns.client.test }, { ns.sender.test = REJECT ns.sender.test }, { ns.example.test = REJECT ns.example.test }, { 127.0.0.67 = REJECT 127.0.0.67 }, { 127.0.0.68 = REJECT 127.0.0.68 }, { 127.0.0.72 = REJECT 127.0.0.72 } }", "554 5.7.1 <client.test>: Helo command rejected: ns.client.test")
case("check_helo_mx_access inline:{ { test = OK } }", "451 4.3.5 Server configuration error", log="warning: use DUNNO instead of OK if you want to make an exception")
case("check_helo_a_access inline:{ { 127 = OK } }", "451 4.3.5 Server configuration error", log="warning: use DUNNO instead of OK if you want to make an exception")
case("check_helo_ns_access inline:{ { 10.9.8.7 = REJECT } }")
case("check_sender_a_access inline:{ { 127.0.0.9 = REJECT 127.0.0.9 }, { 127.0.0.66 = REJECT 127.0.0.66 }, { 127.0.0.70 = REJECT 127.0.0.70 }, { client.test = REJECT client.test } }")
case("check_sender_mx_access inline:{ { mx.client.test = REJECT mx.client.test }, { mx.sender.test = REJECT mx.sender.test }, { mx.example.test = REJECT mx.example.test }, { 127.0.0.66 = REJECT 127.0.0.66 }, { 127.0.0.69 = REJECT 127.0.0.69 }, { 127.0.0.73 = REJECT 127.0.0.73 }, { sender.test = REJECT sender.test } }", "554 5.7.1 <ann@sender.test>: Sender address rejected: mx.sender.test")
case("check_sender_ns_access inline:{ { ns.client.test = REJECT ns.client.test }, { ns.sender.test = REJECT ns.sender.test }, { ns.example.test = REJECT ns.example.test }, { 127.0.0.67 = REJECT 127.0.0.67 }, { 127.0.0.68 = REJECT 127.0.0.68 }, { 127.0.0.72 = REJECT 127.0.0.72 } }", "554 5.7.1 <ann@sender.test>: Sender address rejected: ns.sender.test")
case("check_sender_mx_access inline:{ { test = OK } }", "451 4.3.5 Server configuration error", log="warning: use DUNNO instead of OK if you want to make an exception")
case("check_sender_a_access inline:{ { 127 = OK } }")
case("check_sender_ns_access inline:{ { 10.9.8.7 = REJECT } }")
case("check_recipient_a_access inline:{ { 127.0.0.9 = REJECT 127.0.0.9 }, { 127.0.0.66 = REJECT 127.0.0.66 }, { 127.0.0.70 = REJECT 127.0.0.70 }, { client.test = REJECT client.test } }")
case("check_recipient_mx_access inline:{ { mx.client.test = REJECT mx.client.test }, { mx.sender.test = REJECT mx.sender.test }, { mx.example.test = REJECT mx.example.test }, { 127.0.0.66 = REJECT 127.0.0.66 }, { 127.0.0.69 = REJECT 127.0.0.69 }, { 127.0.0.73 = REJECT 127.0.0.73 }, { sender.test = REJECT sender.test } }", "554 5.7.1 <RCPT>: Recipient address rejected: mx.example.test")
case("check_recipient_ns_access inline:{ { ns.client.test = REJECT ns.client.test }, { ns.sender.test = REJECT ns.sender.test }, { ns.example.test = REJECT ns.example.test }, { 127.0.0.67 = REJECT 127.0.0.67 }, { 127.0.0.68 = REJECT 127.0.0.68 }, { 127.0.0.72 = REJECT 127.0.0.72 } }", "554 5.7.1 <RCPT>: Recipient address rejected: ns.example.test")
case("check_recipient_mx_access inline:{ { test = OK } }", "451 4.3.5 Server configuration error", log="warning: use DUNNO instead of OK if you want to make an exception")
case("check_recipient_a_access inline:{ { 127 = OK } }")
case("check_recipient_ns_access inline:{ { 10.9.8.7 = REJECT } }")
case("check_sender_a_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann@down.test")
case("check_sender_mx_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann@down.test", log="warning: Unable to look up MX host for down.test: Host not found, try again")
case("check_sender_ns_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann@down.test", log="warning: Unable to look up NS host for down.test: Host not found, try again")
case("check_sender_a_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann@down2.test")
case("check_sender_mx_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", "554 5.7.1 <ann@down2.test>: Sender address rejected: test", sender="ann@down2.test")
case("check_sender_ns_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann@down2.test", log="warning: Unable to look up NS host for ann@down2.test: Host found but no data record of requested type")
case("check_sender_a_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", "554 5.7.1 <ann@onlya.test>: Sender address rejected: 127", sender="ann@onlya.test")
case("check_sender_mx_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", "554 5.7.1 <ann@onlya.test>: Sender address rejected: test", sender="ann@onlya.test")
case("check_sender_ns_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann@onlya.test", log="warning: Unable to look up NS host for ann@onlya.test: Host found but no data record of requested type")
case("check_sender_a_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann@null.test")
case("check_sender_mx_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann@null.test")
case("check_sender_ns_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann@null.test", log="warning: Unable to look up NS host for ann@null.test: Host found but no data record of requested type")
case("check_sender_a_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann@nowhere.test")
case("check_sender_mx_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", "554 5.7.1 <ann@nowhere.test>: Sender address rejected: test", sender="ann@nowhere.test")
case("check_sender_ns_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann@nowhere.test", log="warning: Unable to look up NS host for ann@nowhere.test: Host found but no data record of requested type")
case("check_sender_a_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann@lame.test")
case("check_sender_mx_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", "554 5.7.1 <ann@lame.test>: Sender address rejected: test", sender="ann@lame.test")
case("check_sender_ns_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann@lame.test", log="warning: Unable to look up NS host for ann@lame.test: Host found but no data record of requested type")
case("check_sender_a_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", "554 5.7.1 <ann@[127.0.0.9]>: Sender address rejected: 127", sender="ann@[127.0.0.9]")
case("check_sender_mx_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", "554 5.7.1 <ann@[127.0.0.9]>: Sender address rejected: 127", sender="ann@[127.0.0.9]")
case("check_sender_ns_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann@[127.0.0.9]")
case("check_sender_a_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="")
case("check_sender_mx_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="")
case("check_sender_ns_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="")
case("check_sender_a_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann")
case("check_sender_mx_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann")
case("check_sender_ns_access inline:{ { 127 = REJECT 127 }, { test = REJECT test } }", sender="ann", log="warning: Unable to look up NS host for ann: Host not found")
case("check_helo_mx_access inline:{ { 127 = REJECT 127 } }", "554 5.7.1 <[127.0.0.9]>: Helo command rejected: 127", helo="[127.0.0.9]")
case("check_helo_a_access inline:{ { 127 = REJECT 127 } }", "554 5.7.1 <[127.0.0.9]>: Helo command rejected: 127", helo="[127.0.0.9]")
case("check_client_mx_access inline:{ { 127 = REJECT 127 } }", client="127.0.0.20")
case("check_reverse_client_hostname_access inline:{ { liar.test = REJECT } }", "554 5.7.1 <liar.test>: Unverified Client host rejected: Access denied", client="127.0.0.21")
case("check_reverse_client_hostname_access inline:{ { 127.0.0.21 = REJECT } }", "554 5.7.1 <liar.test>: Unverified Client host rejected: Access denied", client="127.0.0.21")
case("check_reverse_client_hostname_access inline:{ { liar.test = OK } }", "451 4.3.5 Server configuration error", client="127.0.0.21", log="warning: use DUNNO instead of OK if you want to make an exception")
case("check_reverse_client_hostname_access inline:{ { unknown = REJECT } }", "554 5.7.1 <unknown>: Unverified Client host rejected: Access denied", client="127.0.0.20")
case("check_ccert_access inline:{ { x = REJECT } }", log="warning: check_ccert_access is requested, but \"smtpd_tls_ask_ccert = no\"")
case("check_sasl_access inline:{ { x = REJECT } }")
case("reject_rbl_client rbl.test", "554 5.7.1 Service unavailable; Client host [127.0.0.2] blocked using rbl.test; listed, see http://rbl.test/2", client="127.0.0.2")
case("reject_rbl_client rbl.test", "554 5.7.1 Service unavailable; Client host [127.0.0.3] blocked using rbl.test", client="127.0.0.3")
case("reject_rbl_client rbl.test")
case("reject_rbl_client rbl.test", "554 5.7.1 Service unavailable; Client host [127.0.0.11] blocked using rbl.test; * / *", client="127.0.0.11")
case("reject_rbl rbl.test", "554 5.7.1 Service unavailable; Client host [127.0.0.2] blocked using rbl.test; listed, see http://rbl.test/2", client="127.0.0.2")
case("reject_rbl rbl.test", "554 5.7.1 Service unavailable; Client host [127.0.0.3] blocked using rbl.test", client="127.0.0.3")
case("reject_rbl rbl.test")
case("reject_rbl rbl.test", "554 5.7.1 Service unavailable; Client host [127.0.0.11] blocked using rbl.test; * / *", client="127.0.0.11")
case("reject_rbl_client rbl.test=127.0.0.2", "554 5.7.1 Service unavailable; Client host [127.0.0.11] blocked using rbl.test; * / *", client="127.0.0.11")
case("reject_rbl_client rbl.test=127.0.0.3", client="127.0.0.11")
case("reject_rbl_client rbl.test=127.0.0.[2..8]", "554 5.7.1 Service unavailable; Client host [127.0.0.11] blocked using rbl.test; * / *", client="127.0.0.11")
case("reject_rbl_client rbl.test=127.0.0.[3;11]", "554 5.7.1 Service unavailable; Client host [127.0.0.11] blocked using rbl.test; * / *", client="127.0.0.11")
case("reject_rbl_client rbl.test=127.0.0.[3..9]", client="127.0.0.11")
case("reject_rbl_client rbl.test=127.0.0.[1..300]", "451 4.3.5 Server configuration error", client="127.0.0.11", newer=True)
case("reject_rbl_client rbl.test=127.0.0", "451 4.3.5 Server configuration error", client="127.0.0.11", newer=True)
case("reject_rbl_client rbl.test=[127;1].0.0.[11]", "554 5.7.1 Service unavailable; Client host [127.0.0.11] blocked using rbl.test; * / *", client="127.0.0.11")
case("reject_rbl_client broken.test", log="warning: 9.0.0.127.broken.test: RBL lookup error: Host or domain name not found. Name service error for name=9.0.0.127.broken.test type=A: Host not found, try again")
case("reject_rbl_client mute.test", "554 5.7.2 mail.client.test[127.0.0.9]|127.0.0.9|mail.client.test|mail.client.test|client.test|Client host|127.0.0.9|mute.test||ann@sender.test|ann|sender.test|example.test|without")
case("reject_rbl_client all.test", "554 5.7.1 Service unavailable; Client host [127.0.0.9] blocked using all.test; 9.0.0.127 is there")
case("reject_rbl_client all.test=127.0.0.5", "554 5.7.1 no dsn here")
case("reject_rbl_client bad.test")
case("warn_if_reject reject_rbl_client all.test", log="reject_warning: RCPT from mail.client.test[127.0.0.9]: 554 5.7.1 Service unavailable; Client host [127.0.0.9] blocked using all.test; 9.0.0.127 is there")
case("reject_rhsbl_client all.test", "554 5.7.1 Service unavailable; Client host [mail.client.test] blocked using all.test; mail.client.test is there")
case("reject_rhsbl_client all.test", client="127.0.0.20")
case("reject_rhsbl_reverse_client all.test", "554 5.7.1 Service unavailable; Unverified Client host [liar.test] blocked using all.test; liar.test is there", client="127.0.0.21")
case("reject_rhsbl_reverse_client rbl.test", client="127.0.0.21")
case("reject_rhsbl_helo all.test", "554 5.7.1 Service unavailable; Helo command [client.test] blocked using all.test; client.test is there")
case("reject_rhsbl_helo rbl.test")
case("reject_rhsbl_helo all.test", helo="[127.0.0.9]")
case("reject_rhsbl_sender all.test", "554 5.7.1 Service unavailable; Sender address [ann@sender.test] blocked using all.test; sender.test is there")
case("reject_rhsbl_sender all.test=127.0.0.5", "554 5.7.1 no dsn here")
case("reject_rhsbl_sender rbl.test")
case("reject_rhsbl_sender broken.test", log="warning: sender.test.broken.test: RBL lookup error: Host or domain name not found. Name service error for name=sender.test.broken.test type=A: Host not found, try again")
case("reject_rhsbl_sender all.test", sender="")
case("reject_rhsbl_sender all.test", sender="ann@[127.0.0.1]")
case("reject_rhsbl_recipient all.test", "554 5.7.1 Service unavailable; Recipient address [RCPT] blocked using all.test; example.test is there")
case("reject_rhsbl_recipient rbl.test")
case("permit_dnswl_client all.test, reject")
case("permit_dnswl_client rbl.test, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("permit_dnswl_client broken.test, reject", "450 4.7.1 <127.0.0.9>: Client host rejected: Service unavailable")
case("permit_dnswl_client all.test=127.0.0.6, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("permit_dnswl_client all.test, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", domain="foreign.test")
case("permit_dnswl_client all.test, reject", where="client")
case("permit_dnswl_client all.test, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", where="client", domain="foreign.test")
case("permit_rhswl_client all.test, reject")
case("permit_rhswl_client rbl.test, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("permit_rhswl_client broken.test, reject", "450 4.7.1 <mail.client.test>: Client host rejected: Service unavailable", log="warning: mail.client.test.broken.test: RBL lookup error: Host or domain name not found. Name service error for name=mail.client.test.broken.test type=A: Host not found, try again")
case("permit_rhswl_client all.test=127.0.0.6, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("permit_rhswl_client all.test, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", domain="foreign.test")
case("permit_rhswl_client all.test, reject", where="client")
case("permit_rhswl_client all.test, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", where="client", domain="foreign.test")
case("reject_invalid_helo_hostname")
case("reject_non_fqdn_helo_hostname")
case("reject_unknown_helo_hostname")
case("reject_invalid_helo_hostname", helo="client")
case("reject_non_fqdn_helo_hostname", "504 5.5.2 <client>: Helo command rejected: need fully-qualified hostname", helo="client")
case("reject_unknown_helo_hostname", "450 4.7.1 <client>: Helo command rejected: Host not found", helo="client")
case("reject_invalid_helo_hostname", "501 5.5.2 <a..b>: Helo command rejected: Invalid name", helo="a..b")
case("reject_non_fqdn_helo_hostname", "504 5.5.2 <a..b>: Helo command rejected: need fully-qualified hostname", helo="a..b")
case("reject_unknown_helo_hostname", "450 4.7.1 <a..b>: Helo command rejected: Host not found", helo="a..b")
case("reject_invalid_helo_hostname", helo="[127.0.0.1]")
case("reject_non_fqdn_helo_hostname", helo="[127.0.0.1]")
case("reject_unknown_helo_hostname", helo="[127.0.0.1]")
case("reject_invalid_helo_hostname", "501 5.5.2 <[127.0.0.999]>: Helo command rejected: invalid ip address", helo="[127.0.0.999]")
case("reject_non_fqdn_helo_hostname", "501 5.5.2 <[127.0.0.999]>: Helo command rejected: invalid ip address", helo="[127.0.0.999]")
case("reject_unknown_helo_hostname", "501 5.5.2 <[127.0.0.999]>: Helo command rejected: invalid ip address", helo="[127.0.0.999]")
case("reject_invalid_helo_hostname", helo="127.0.0.1")
case("reject_non_fqdn_helo_hostname", "504 5.5.2 <127.0.0.1>: Helo command rejected: need fully-qualified hostname", helo="127.0.0.1")
case("reject_unknown_helo_hostname", "450 4.7.1 <127.0.0.1>: Helo command rejected: Host not found", helo="127.0.0.1")
case("reject_invalid_helo_hostname", helo="nowhere.test")
case("reject_non_fqdn_helo_hostname", helo="nowhere.test")
case("reject_unknown_helo_hostname", "450 4.7.1 <nowhere.test>: Helo command rejected: Host not found", helo="nowhere.test")
case("reject_invalid_helo_hostname", helo="down.test")
case("reject_non_fqdn_helo_hostname", helo="down.test")
case("reject_unknown_helo_hostname", "450 4.7.1 <down.test>: Helo command rejected: Host not found", helo="down.test")
case("reject_invalid_helo_hostname", "501 5.5.2 <-x.test>: Helo command rejected: Invalid name", helo="-x.test")
case("reject_non_fqdn_helo_hostname", "504 5.5.2 <-x.test>: Helo command rejected: need fully-qualified hostname", helo="-x.test")
case("reject_unknown_helo_hostname", "450 4.7.1 <-x.test>: Helo command rejected: Host not found", helo="-x.test")
case("reject_invalid_helo_hostname", helo="[IPv6:::1]")
case("reject_non_fqdn_helo_hostname", helo="[IPv6:::1]")
case("reject_unknown_helo_hostname", helo="[IPv6:::1]")
case("reject_invalid_helo_hostname", helo="under_score.test")
case("reject_non_fqdn_helo_hostname", helo="under_score.test")
case("reject_unknown_helo_hostname", "450 4.7.1 <under_score.test>: Helo command rejected: Host not found", helo="under_score.test")
case("reject_invalid_helo_hostname", helo="null.test")
case("reject_non_fqdn_helo_hostname", helo="null.test")
case("reject_unknown_helo_hostname", helo="null.test")
case("reject_invalid_hostname", "501 5.5.2 <a..b>: Helo command rejected: Invalid name", helo="a..b")
case("reject_non_fqdn_hostname", "504 5.5.2 <client>: Helo command rejected: need fully-qualified hostname", helo="client")
case("reject_unknown_hostname", "450 4.7.1 <nowhere.test>: Helo command rejected: Host not found", helo="nowhere.test")
case("check_helo_access inline:{ { client.test = REJECT } }", "554 5.7.1 <client.test>: Helo command rejected: Access denied")
case("check_helo_access inline:{ { other.test = REJECT } }")
case("check_helo_access inline:{ { test = REJECT } }", "554 5.7.1 <client.test>: Helo command rejected: Access denied")
case("reject_non_fqdn_sender")
case("reject_unknown_sender_domain")
case("reject_non_fqdn_sender", "504 5.5.2 <ann>: Sender address rejected: need fully-qualified address", sender="ann")
case("reject_unknown_sender_domain", sender="ann")
case("reject_non_fqdn_sender", "504 5.5.2 <ann@host>: Sender address rejected: need fully-qualified address", sender="ann@host")
case("reject_unknown_sender_domain", "450 4.1.8 <ann@host>: Sender address rejected: Domain not found", sender="ann@host")
case("reject_non_fqdn_sender", sender="ann@nowhere.test")
case("reject_unknown_sender_domain", "450 4.1.8 <ann@nowhere.test>: Sender address rejected: Domain not found", sender="ann@nowhere.test")
case("reject_non_fqdn_sender", sender="ann@down.test")
case("reject_unknown_sender_domain", "450 4.1.8 <ann@down.test>: Sender address rejected: Domain not found", sender="ann@down.test")
case("reject_non_fqdn_sender", sender="ann@null.test")
case("reject_unknown_sender_domain", "550 5.7.27 <ann@null.test>: Sender address rejected: Domain null.test does not accept mail (nullMX)", sender="ann@null.test")
case("reject_non_fqdn_sender", sender="ann@[127.0.0.1]")
case("reject_unknown_sender_domain", sender="ann@[127.0.0.1]")
case("reject_non_fqdn_sender", sender="")
case("reject_unknown_sender_domain", sender="")
case("reject_non_fqdn_sender", sender="ann@onlya.test")
case("reject_unknown_sender_domain", sender="ann@onlya.test")
case("reject_non_fqdn_sender", sender="jo@example.test")
case("reject_unknown_sender_domain", sender="jo@example.test")
case("reject_unknown_address", "450 4.1.8 <ann@nowhere.test>: Sender address rejected: Domain not found", sender="ann@nowhere.test")
case("check_sender_access inline:{ { ann+x@sender.test = REJECT } }", "554 5.7.1 <ann+x@sender.test>: Sender address rejected: Access denied", sender="ann+x@sender.test")
case("check_sender_access inline:{ { ann@sender.test = REJECT } }", "554 5.7.1 <ann+x@sender.test>: Sender address rejected: Access denied", sender="ann+x@sender.test")
case("check_sender_access inline:{ { sender.test = REJECT } }", "554 5.7.1 <ann+x@sender.test>: Sender address rejected: Access denied", sender="ann+x@sender.test")
case("check_sender_access inline:{ { test = REJECT } }", "554 5.7.1 <ann+x@sender.test>: Sender address rejected: Access denied", sender="ann+x@sender.test")
case("check_sender_access inline:{ { .test = REJECT } }", sender="ann+x@sender.test")
case("check_sender_access inline:{ { ann+x@ = REJECT } }", "554 5.7.1 <ann+x@sender.test>: Sender address rejected: Access denied", sender="ann+x@sender.test")
case("check_sender_access inline:{ { ann@ = REJECT } }", "554 5.7.1 <ann+x@sender.test>: Sender address rejected: Access denied", sender="ann+x@sender.test")
case("check_sender_access inline:{ { <> = REJECT } }", sender="ann+x@sender.test")
case("check_sender_access inline:{ { x@ = REJECT } }", sender="ann+x@sender.test")
case("check_sender_access inline:{ { <> = REJECT } }", "554 5.7.1 <>: Sender address rejected: Access denied", sender="")
case("reject_sender_login_mismatch")
case("reject_authenticated_sender_login_mismatch")
case("reject_known_sender_login_mismatch")
case("reject_unauthenticated_sender_login_mismatch")
case("reject_unlisted_sender", sender="jo@example.test")
case("reject_unlisted_sender", "550 5.1.0 <nobody@example.test>: Sender address rejected: User unknown in local recipient table", sender="nobody@example.test")
case("reject_unlisted_sender", sender="jo@vmail.test")
case("reject_unlisted_sender", "550 5.1.0 <nobody@vmail.test>: Sender address rejected: User unknown in virtual mailbox table", sender="nobody@vmail.test")
case("reject_unlisted_sender", "550 5.1.0 <nobody@relay.test>: Sender address rejected: User unknown in relay recipient table", sender="nobody@relay.test")
case("reject_unlisted_sender", "550 5.1.7 <nobody@valias.test>: Sender address rejected: User unknown in virtual alias table", sender="nobody@valias.test")
case("reject_unlisted_sender")
case("check_recipient_access inline:{ { CASE@example.test = REJECT } }", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("check_recipient_access inline:{ { example.test = REJECT } }", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("check_recipient_access inline:{ { test = REJECT } }", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("permit_auth_destination, reject, permit", where="relay")
case("reject_unauth_destination, permit", where="relay")
case("defer_unauth_destination, permit", where="relay")
case("reject_unlisted_recipient, permit", where="relay")
case("check_recipient_maps, permit", where="relay")
case("permit_auth_destination, reject, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in relay recipient table", where="relay", domain="relay.test")
case("reject_unauth_destination, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in relay recipient table", where="relay", domain="relay.test")
case("defer_unauth_destination, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in relay recipient table", where="relay", domain="relay.test")
case("reject_unlisted_recipient, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in relay recipient table", where="relay", domain="relay.test")
case("check_recipient_maps, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in relay recipient table", where="relay", domain="relay.test")
case("permit_auth_destination, reject, permit", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", where="relay", domain="foreign.test")
case("reject_unauth_destination, permit", "554 5.7.1 <RCPT>: Relay access denied", where="relay", domain="foreign.test")
case("defer_unauth_destination, permit", "454 4.7.1 <RCPT>: Relay access denied", where="relay", domain="foreign.test")
case("reject_unlisted_recipient, permit", "554 5.7.1 <RCPT>: Relay access denied", where="relay", domain="foreign.test")
case("check_recipient_maps, permit", "554 5.7.1 <RCPT>: Relay access denied", where="relay", domain="foreign.test")
case("permit_auth_destination, reject, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in virtual mailbox table", where="relay", domain="vmail.test")
case("reject_unauth_destination, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in virtual mailbox table", where="relay", domain="vmail.test")
case("defer_unauth_destination, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in virtual mailbox table", where="relay", domain="vmail.test")
case("reject_unlisted_recipient, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in virtual mailbox table", where="relay", domain="vmail.test")
case("check_recipient_maps, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in virtual mailbox table", where="relay", domain="vmail.test")
case("permit_auth_destination, reject, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in virtual alias table", where="relay", domain="valias.test")
case("reject_unauth_destination, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in virtual alias table", where="relay", domain="valias.test")
case("defer_unauth_destination, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in virtual alias table", where="relay", domain="valias.test")
case("reject_unlisted_recipient, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in virtual alias table", where="relay", domain="valias.test")
case("check_recipient_maps, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in virtual alias table", where="relay", domain="valias.test")
case("permit_auth_destination, reject, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in relay recipient table", where="relay", domain="sub.relay.test")
case("reject_unauth_destination, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in relay recipient table", where="relay", domain="sub.relay.test")
case("defer_unauth_destination, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in relay recipient table", where="relay", domain="sub.relay.test")
case("reject_unlisted_recipient, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in relay recipient table", where="relay", domain="sub.relay.test")
case("check_recipient_maps, permit", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in relay recipient table", where="relay", domain="sub.relay.test")
case("permit_mx_backup, reject", domain="backup.test")
case("permit_mx_backup, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", domain="others.test")
case("permit_mx_backup, reject")
case("permit_mx_backup, reject", "550 5.1.1 <RCPT>: Recipient address rejected: User unknown in relay recipient table", domain="relay.test")
case("permit_mx_backup, reject", "450 4.4.4 <RCPT>: Recipient address rejected: Unable to look up mail exchanger information: Host not found, try again", domain="down.test")
case("permit_mx_backup, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", domain="nowhere.test")
case("permit_mx_backup, reject", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", domain="null.test")
case("reject_non_fqdn_recipient")
case("reject_unknown_recipient_domain")
case("reject_non_fqdn_recipient", "504 5.5.2 <RCPT>: Recipient address rejected: need fully-qualified address", domain="host")
case("reject_unknown_recipient_domain", "450 4.1.2 <RCPT>: Recipient address rejected: Domain not found", domain="host")
case("reject_non_fqdn_recipient", "554 5.7.1 <RCPT>: Relay access denied", domain="nowhere.test")
case("reject_unknown_recipient_domain", "450 4.1.2 <RCPT>: Recipient address rejected: Domain not found", domain="nowhere.test")
case("reject_non_fqdn_recipient", "554 5.7.1 <RCPT>: Relay access denied", domain="down.test")
case("reject_unknown_recipient_domain", "554 5.7.1 <RCPT>: Relay access denied", domain="down.test")
case("reject_non_fqdn_recipient", "554 5.7.1 <RCPT>: Relay access denied", domain="null.test")
case("reject_unknown_recipient_domain", "556 5.1.10 <RCPT>: Recipient address rejected: Domain null.test does not accept mail (nullMX)", domain="null.test")
case("reject_non_fqdn_recipient", domain="[127.0.0.1]")
case("reject_unknown_recipient_domain", domain="[127.0.0.1]")
case("reject_non_fqdn_recipient", "554 5.7.1 <RCPT>: Relay access denied", domain="sender.test")
case("reject_unknown_recipient_domain", "554 5.7.1 <RCPT>: Relay access denied", domain="sender.test")
case("check_etrn_access inline:{ { etrn.test = REJECT } }", "554 5.7.1 <ETRN>: Etrn command rejected: Access denied", where="etrn")
case("check_etrn_access inline:{ { other.test = REJECT } }", where="etrn")
case("check_sender_access inline:{ { sender.test = OK } }")
case("check_sender_access inline:{ { sender.test = RELAY } }")
case("check_sender_access inline:{ { sender.test = 12345 } }")
case("check_sender_access inline:{ { sender.test = DUNNO } }")
case("check_sender_access inline:{ { sender.test = REJECT } }", "554 5.7.1 <ann@sender.test>: Sender address rejected: Access denied")
case("check_sender_access inline:{ { sender.test = REJECT no way } }", "554 5.7.1 <ann@sender.test>: Sender address rejected: no way")
case("check_sender_access inline:{ { sender.test = REJECT 5.1.1 sorry } }", "554 5.1.7 <ann@sender.test>: Sender address rejected: sorry")
case("check_sender_access inline:{ { sender.test = REJECT 4.1.1 sorry } }", "554 5.1.7 <ann@sender.test>: Sender address rejected: sorry")
case("check_sender_access inline:{ { sender.test = DEFER } }", "450 4.7.1 <ann@sender.test>: Sender address rejected: Access denied")
case("check_sender_access inline:{ { sender.test = DEFER later } }", "450 4.7.1 <ann@sender.test>: Sender address rejected: later")
case("check_sender_access inline:{ { sender.test = DEFER 4.1.6 later } }", "450 4.1.7 <ann@sender.test>: Sender address rejected: later")
case("check_sender_access inline:{ { sender.test = 450 later } }", "450 4.7.1 <ann@sender.test>: Sender address rejected: later")
case("check_sender_access inline:{ { sender.test = 450 4.2.2 later } }", "450 4.2.2 <ann@sender.test>: Sender address rejected: later")
case("check_sender_access inline:{ { sender.test = 550 } }")
case("check_sender_access inline:{ { sender.test = 550 5.7.9 never } }", "550 5.7.9 <ann@sender.test>: Sender address rejected: never")
case("check_sender_access inline:{ { sender.test = 521 5.7.0 bye } }", "521 5.7.0 <ann@sender.test>: Sender address rejected: bye")
case("check_sender_access inline:{ { sender.test = 421 4.7.0 bye } }", "421 4.7.0 <ann@sender.test>: Sender address rejected: bye")
case("check_sender_access inline:{ { sender.test = DEFER_IF_PERMIT } }", "450 4.7.1 <ann@sender.test>: Sender address rejected: Service unavailable")
case("check_sender_access inline:{ { sender.test = DEFER_IF_PERMIT 4.1.2 hm } }", "450 4.1.8 <ann@sender.test>: Sender address rejected: hm")
case("check_sender_access inline:{ { sender.test = DEFER_IF_REJECT } }, reject", "450 4.7.1 <ann@sender.test>: Sender address rejected: Service unavailable")
case("check_sender_access inline:{ { sender.test = DEFER_IF_REJECT hm } }, reject", "450 4.7.1 <ann@sender.test>: Sender address rejected: hm")
case("check_sender_access inline:{ { sender.test = HOLD } }", log="hold: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address triggers HOLD action")
case("check_sender_access inline:{ { sender.test = HOLD for review } }", log="hold: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address for review")
case("check_sender_access inline:{ { sender.test = DISCARD } }", log="discard: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address triggers DISCARD action")
case("check_sender_access inline:{ { sender.test = DISCARD silently } }", log="discard: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address silently")
case("check_sender_access inline:{ { sender.test = FILTER smtp:[127.0.0.1]:9 } }", log="filter: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address triggers FILTER smtp:[127.0.0.1]:9")
case("check_sender_access inline:{ { sender.test = FILTER } }")
case("check_sender_access inline:{ { sender.test = FILTER nothing } }")
case("check_sender_access inline:{ { sender.test = REDIRECT jo@example.test } }", log="redirect: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address triggers REDIRECT jo@example.test")
case("check_sender_access inline:{ { sender.test = REDIRECT jo } }")
case("check_sender_access inline:{ { sender.test = BCC jo@example.test } }", log="bcc: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address triggers BCC jo@example.test")
case("check_sender_access inline:{ { sender.test = BCC jo } }")
case("check_sender_access inline:{ { sender.test = PREPEND X-Seen: yes } }")
case("check_sender_access inline:{ { sender.test = PREPEND nothing } }")
case("check_sender_access inline:{ { sender.test = INFO } }", log="info: RCPT from mail.client.test[127.0.0.9]: ")
case("check_sender_access inline:{ { sender.test = INFO hello } }", log="info: RCPT from mail.client.test[127.0.0.9]: hello")
case("check_sender_access inline:{ { sender.test = WARN } }", log="warn: RCPT from mail.client.test[127.0.0.9]: ")
case("check_sender_access inline:{ { sender.test = WARN careful } }", log="warn: RCPT from mail.client.test[127.0.0.9]: careful")
case("check_sender_access inline:{ { sender.test = reject } }", "554 5.7.1 <ann@sender.test>: Sender address rejected: Access denied")
case("check_sender_access inline:{ { sender.test = permit, reject } }")
case("check_sender_access inline:{ { sender.test = reject_unauth_destination } }")
case("check_sender_access inline:{ { sender.test = no_such_action } }", "451 4.3.5 Server configuration error", log="warning: unknown smtpd restriction: \"no_such_action\"")
case("check_sender_access inline:{ { sender.test = ok } }")
case("check_sender_access inline:{ { sender.test = hash:/x } }", "451 4.3.5 Server configuration error", log="warning: define a restriction class and specify its name instead.")
case("check_sender_access inline:{ { sender.test = HANGUP } }", "(closed)")
case("check_sender_access inline:{ { sender.test = 600 hm } }", "451 4.3.5 Server configuration error", log="warning: unknown smtpd restriction: \"600\"")
case("check_sender_access inline:{ { sender.test = 300 hm } }", "451 4.3.5 Server configuration error", log="warning: unknown smtpd restriction: \"300\"")
case("check_sender_access inline:{ { sender.test = DEFER_IF_PERMIT 5.7.1 hm } }", "450 4.7.1 <ann@sender.test>: Sender address rejected: hm")
case("check_sender_access inline:{ { sender.test = REJECT 5.1.1 sorry } }", "554 5.1.7 <ann@sender.test>: Sender address rejected: sorry", where="client")
case("check_sender_access inline:{ { sender.test = HOLD } }", where="client", log="hold: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address triggers HOLD action")
case("check_sender_access inline:{ { sender.test = PREPEND X-Seen: yes } }", where="client")
case("check_sender_access inline:{ { sender.test = DISCARD } }", where="client", log="discard: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address triggers DISCARD action")
case("check_sender_access inline:{ { sender.test = BCC jo@example.test } }", where="client", log="bcc: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address triggers BCC jo@example.test")
case("check_sender_access inline:{ { sender.test = REJECT 5.1.1 sorry } }", "554 5.1.7 <ann@sender.test>: Sender address rejected: sorry", where="helo")
case("check_sender_access inline:{ { sender.test = HOLD } }", where="helo", log="hold: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address triggers HOLD action")
case("check_sender_access inline:{ { sender.test = PREPEND X-Seen: yes } }", where="helo")
case("check_sender_access inline:{ { sender.test = DISCARD } }", where="helo", log="discard: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address triggers DISCARD action")
case("check_sender_access inline:{ { sender.test = BCC jo@example.test } }", where="helo", log="bcc: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address triggers BCC jo@example.test")
case("check_sender_access inline:{ { sender.test = REJECT 5.1.1 sorry } }", "554 5.1.7 <ann@sender.test>: Sender address rejected: sorry")
case("check_sender_access inline:{ { sender.test = HOLD } }", log="hold: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address triggers HOLD action")
case("check_sender_access inline:{ { sender.test = PREPEND X-Seen: yes } }")
case("check_sender_access inline:{ { sender.test = DISCARD } }", log="discard: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address triggers DISCARD action")
case("check_sender_access inline:{ { sender.test = BCC jo@example.test } }", log="bcc: RCPT from mail.client.test[127.0.0.9]: <ann@sender.test>: Sender address triggers BCC jo@example.test")
case("check_sender_access inline:{ { sender.test = REJECT 5.1.1 sorry } }", "554 5.1.7 <ann@sender.test>: Sender address rejected: sorry", where="data")
case("check_sender_access inline:{ { sender.test = HOLD } }", where="data")
case("check_sender_access inline:{ { sender.test = PREPEND X-Seen: yes } }", where="data")
case("check_sender_access inline:{ { sender.test = DISCARD } }", where="data")
case("check_sender_access inline:{ { sender.test = BCC jo@example.test } }", where="data")
case("check_sender_access inline:{ { sender.test = REJECT 5.1.1 sorry } }", "554 5.1.7 <ann@sender.test>: Sender address rejected: sorry", where="end_of_data")
case("check_sender_access inline:{ { sender.test = HOLD } }", where="end_of_data")
case("check_sender_access inline:{ { sender.test = PREPEND X-Seen: yes } }", where="end_of_data")
case("check_sender_access inline:{ { sender.test = DISCARD } }", where="end_of_data")
case("check_sender_access inline:{ { sender.test = BCC jo@example.test } }", where="end_of_data")
case("check_client_access inline:{ { client.test = REJECT 5.1.1 sorry } }", "554 5.0.0 <mail.client.test[127.0.0.9]>: Client host rejected: sorry")
case("check_recipient_access inline:{ { example.test = REJECT 5.1.8 sorry } }", "554 5.1.2 <RCPT>: Recipient address rejected: sorry")
case("check_recipient_access inline:{ { example.test = HOLD } }", log="hold: RCPT from mail.client.test[127.0.0.9]: <RCPT>: Recipient address triggers HOLD action")
case("check_etrn_access inline:{ { etrn.test = HOLD } }", where="etrn")
case("check_etrn_access inline:{ { etrn.test = PREPEND X: y } }", where="etrn")
case("check_policy_service POLICY", user="+ok")
case("check_policy_service POLICY", user="+dunno")
case("check_policy_service POLICY", "554 5.7.1 <RCPT>: Recipient address rejected: policy says no", user="+reject")
case("check_policy_service POLICY", "450 4.7.9 <RCPT>: Recipient address rejected: not now", user="+defer")
case("check_policy_service POLICY", "450 4.7.1 <RCPT>: Recipient address rejected: greylisted", user="+dip")
case("check_policy_service POLICY", "450 4.7.1 <RCPT>: Recipient address rejected: busy", user="+code")
case("check_policy_service POLICY", "550 5.7.1 <RCPT>: Recipient address rejected: gone away", user="+five")
case("check_policy_service POLICY", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", user="+list")
case("check_policy_service POLICY", "451 4.3.5 Server configuration error", user="+broken", log="warning: unknown smtpd restriction: \"FROBNICATE\"")
case("check_policy_service POLICY", user="+prepend")
case("check_policy_service POLICY", user="+empty")
case("check_policy_service POLICY", "451 4.3.5 <RCPT>: Recipient address rejected: Server configuration problem", user="+hangup")
case("check_policy_service POLICY", "451 4.3.5 <RCPT>: Recipient address rejected: Server configuration problem", user="+junk")
case("check_policy_service POLICY", user="+warn", log="warn: RCPT from mail.client.test[127.0.0.9]: policy warns")
case("check_policy_service POLICY", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied", user="+mixed")
case("check_policy_service POLICY", user="+filter", log="filter: RCPT from mail.client.test[127.0.0.9]: <RCPT>: Recipient address triggers FILTER smtp:[127.0.0.1]:9")
case("check_policy_service POLICY", user="+nl")
case("check_policy_service POLICY", user="+number")
case("check_policy_service POLICY", "421 4.7.0 <RCPT>: Recipient address rejected: bye", user="+twofour")
case("check_policy_service POLICY", "554 5.7.1 <RCPT>: Recipient address rejected: policy says no", where="client", user="+reject")
case("check_policy_service POLICY", "554 5.7.1 <RCPT>: Recipient address rejected: policy says no", where="helo", user="+reject")
case("check_policy_service POLICY", "554 5.7.1 <RCPT>: Recipient address rejected: policy says no", where="sender", user="+reject")
case("check_policy_service POLICY", "554 5.7.1 <RCPT>: Recipient address rejected: policy says no", where="relay", user="+reject")
case("check_policy_service POLICY", "554 5.7.1 <RCPT>: Recipient address rejected: policy says no", where="data", user="+reject")
case("check_policy_service POLICY", "554 5.7.1 <RCPT>: Recipient address rejected: policy says no", where="end_of_data", user="+reject")
case("check_policy_service { POLICY, default_action=DUNNO, try_limit=1 }", user="+junk")
case("check_policy_service inet:127.0.0.1:1", "451 4.3.5 <RCPT>: Recipient address rejected: Server configuration problem")
case("check_policy_service { inet:127.0.0.1:1, { default_action = reject }, try_limit=1 }", "554 5.7.1 <RCPT>: Recipient address rejected: Access denied")
case("check_policy_service unix:private/nothing", "451 4.3.5 <RCPT>: Recipient address rejected: Server configuration problem", log="warning: problem talking to server private/nothing: No such file or directory")
