#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Send real mail through a private instance of Postern, and show what happened.

Ends with status 0 only when every message arrived where it should."""
import argparse
import email
import os
import pathlib
import shutil
import socket
import smtplib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/system"))
from world.remote import Remote  # noqa: E402  (a plain SMTP host with TLS)

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def title(text):
    print(f"\n\033[1m{text}\033[0m" if COLOUR else f"\n== {text}", flush=True)


def say(text):
    print("   " + text.replace("\n", "\n   "), flush=True)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for(condition, what, limit_s=20):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise SystemExit(f"demo: not within {limit_s} s: {what}")


class Demo:
    def __init__(self, args):
        self.dir = pathlib.Path(args.directory).resolve()
        self.build = pathlib.Path(args.build).resolve()
        self.stage = self.dir / "programs"
        self.config = self.dir / "etc"
        self.log = self.dir / "mail.log"
        self.maildir = self.dir / "Maildir"
        self.port = free_port()
        self.sink = None

    def sbin(self, name):
        return str(self.stage / ("usr/bin" if name in ("mailq", "newaliases") else "usr/sbin") / name)

    def command(self, *argv, stdin=None, check=True):
        """Run one of our programs; show what a person would have typed."""
        say("$ " + " ".join(["postern" if a == "" else str(a) for a in argv]))
        env = dict(os.environ, MAIL_CONFIG=str(self.config))
        result = subprocess.run([self.sbin(argv[0]), *map(str, argv[1:])], input=stdin, text=True,
                                capture_output=True, env=env)
        for text in (result.stdout.rstrip(), result.stderr.rstrip()):
            if text:
                say(text)
        if check and result.returncode:
            raise SystemExit(f"demo: {argv[0]} ended with status {result.returncode}")
        return result

    def prepare(self):
        if self.dir.exists():
            self.stop_old()
            shutil.rmtree(self.dir)
        for path in (self.config, self.stage):
            path.mkdir(parents=True)
        for parent in [self.dir, *self.dir.parents]:
            if parent != pathlib.Path("/") and not os.stat(parent).st_mode & 0o005:
                say(f"note: {parent} is not open to others; the mail system's user must pass through it")
        subprocess.run([ROOT / "tools/install-files", "--build", self.build, "--destdir", self.stage],
                       check=True, stdout=subprocess.DEVNULL)
        for name in ("postdrop", "postqueue"):
            shutil.chown(self.stage / "usr/sbin" / name, "root", "postdrop")
            os.chmod(self.stage / "usr/sbin" / name, 0o2755)
        self.maildir.mkdir()
        shutil.chown(self.maildir, "nobody", "nogroup")
        self.certificate()
        self.sink = Remote("127.0.0.1", free_port(), ehlo=("PIPELINING", "8BITMIME", "SIZE 10240000"),
                           replies={"RCPT TO:<stranger@": "550 5.1.1 no such user here"},
                           tls=(self.dir / "sink.pem", self.dir / "sink.key"))
        self.write_config()

    def stop_old(self):
        if (self.dir / "queue/pid/master.pid").exists() and pathlib.Path(self.sbin("postern")).exists():
            subprocess.run([self.sbin("postern"), "-c", self.config, "stop"], capture_output=True)

    def certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        "/CN=second.example", "-addext", "subjectAltName=DNS:second.example,IP:127.0.0.1",
                        "-keyout", self.dir / "sink.key", "-out", self.dir / "sink.pem"],
                       check=True, capture_output=True)

    def write_config(self):
        self.config.joinpath("aliases").write_text(f"jo: {self.maildir}/\npostmaster: jo\n")
        self.config.joinpath("transport").write_text(
            f"second.example   smtp:[127.0.0.1]:{self.sink.port}\n")
        self.config.joinpath("main.cf").write_text(f"""\
# A private instance: everything lies below {self.dir}
compatibility_level = 3.6
queue_directory = {self.dir}/queue
data_directory = {self.dir}/data
daemon_directory = {self.stage}/usr/lib/postfix/sbin
command_directory = {self.stage}/usr/sbin
maillog_file = {self.log}
maillog_file_prefixes = {self.dir}

myhostname = first.example
mydomain = example
myorigin = first.example
mydestination = first.example
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8

alias_maps = hash:{self.config}/aliases
alias_database = hash:{self.config}/aliases
transport_maps = hash:{self.config}/transport

# Mail that leaves must be encrypted, or it waits.
smtp_tls_security_level = encrypt
smtp_tls_loglevel = 1
""")
        self.config.joinpath("master.cf").write_text(f"""\
127.0.0.1:{self.port} inet n - n - - smtpd
pickup   unix n - n 60 1 pickup
qmgr     unix n - n 300 1 qmgr
bounce   unix - - n - 0 bounce
smtp     unix - - n - - smtp
relay    unix - - n - - smtp
local    unix - n n - - local
error    unix - - n - - error
retry    unix - - n - - error
discard  unix - - n - - discard
""")

    def start(self):
        title("1. Start a private instance")
        self.command("postalias", f"hash:{self.config}/aliases")
        self.command("postmap", f"hash:{self.config}/transport")
        self.command("postern", "-c", self.config, "start")
        wait_for(self.listening, f"a greeting on port {self.port}; see {self.log}")
        say(f"It listens on 127.0.0.1 port {self.port} and nowhere else.")

    def listening(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def mails(self):
        return [email.message_from_bytes(p.read_bytes()) for p in sorted(self.maildir.glob("new/*"))]

    def by_smtp(self):
        title("2. A message by SMTP, into a Maildir")
        with smtplib.SMTP("127.0.0.1", self.port, "client.example") as client:
            client.sendmail("ann@client.example", ["jo@first.example"],
                            "Subject: hello Jo\r\n\r\nThis came in by SMTP.\r\n")
        mail = wait_for(self.mails, "the message in the Maildir")[0]
        say(f"In {self.maildir}/new lies:")
        say(mail.as_string().rstrip())
        return mail["Subject"] == "hello Jo"

    def by_sendmail(self):
        title("3. A message by sendmail, over TLS, to a second host")
        self.command("sendmail", "-f", "jo@first.example", "bob@second.example",
                     stdin="Subject: over the wire\n\nNobody on the way can read this.\n")
        wait_for(lambda: self.sink.messages, "the message at the second host")
        got = self.sink.messages[0]
        say(f"The second host took it from <{got['sender']}> for {got['recipients']}, "
            f"{'over TLS' if got['tls'] else 'IN THE CLEAR'}:")
        say(got["content"].decode().replace("\r\n", "\n").rstrip())
        return got["tls"] and got["recipients"] == ["bob@second.example"]

    def bounce(self):
        title("4. A message to an unknown user comes back")
        self.command("sendmail", "-f", "jo@first.example", "stranger@second.example",
                     stdin="Subject: are you there?\n\nHello?\n")
        wait_for(lambda: len(self.mails()) >= 2, "the bounce in the Maildir")
        bounces = [m for m in self.mails() if m.get_content_type() == "multipart/report"]
        if not bounces:
            return False
        say(f"From: {bounces[0]['From']}\nSubject: {bounces[0]['Subject']}")
        for part in bounces[0].get_payload()[:2]:
            text = part.get_payload() if isinstance(part.get_payload(), str) else \
                "\n".join(p.as_string() for p in part.get_payload())
            say(text.rstrip())
        whole = bounces[0].as_string()
        return "550 5.1.1 no such user here" in whole and "Subject: are you there?" in whole

    def show(self):
        title("5. The queue and the log")
        queue = self.command("postqueue", "-p")
        say(f"$ cat {self.log}")
        say(self.log.read_text().rstrip())
        return "empty" in queue.stdout

    def close(self, keep):
        title("What just happened")
        say("Postern took a message by SMTP and wrote it to a Maildir; took one from sendmail and passed it on\n"
            "over an encrypted connection (smtp_tls_security_level = encrypt: without TLS it would have waited);\n"
            "and when the second host refused a recipient, told the sender why, with the original attached.\n"
            "Each was on disk before it was acknowledged, and left the queue only after the next host had it.")
        title("Go on")
        if not keep:
            self.command("postern", "-c", self.config, "stop", check=False)
        how = "It is running." if keep else "Keep it running: make demo KEEP=1. Or start it again:"
        say(f"{how}\n"
            f"  export MAIL_CONFIG={self.config} PATH={self.stage}/usr/sbin:{self.stage}/usr/bin:$PATH\n"
            f"  postern start ; postern status ; postern stop\n"
            f"  swaks --server 127.0.0.1:{self.port} --from ann@client.example --to jo@first.example\n"
            f"  mailq ; tail -f {self.log} ; ls {self.maildir}/new")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--directory", default="demo-instance")
    parser.add_argument("--keep", action="store_true", default=bool(os.environ.get("KEEP")))
    args = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("demo: run as root (the master starts services as other users)")
    demo = Demo(args)
    demo.prepare()
    demo.start()
    results = {}
    try:
        results = {"SMTP to Maildir": demo.by_smtp(), "sendmail over TLS": demo.by_sendmail(),
                   "bounce": demo.bounce(), "queue is empty": demo.show()}
    finally:
        if len(results) < 4:
            say(demo.log.read_text()[-3000:] if demo.log.exists() else "no log")
            demo.close(False)
    demo.close(args.keep)
    print()
    for name, good in results.items():
        say(f"{'ok    ' if good else 'FAILED'}  {name}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
