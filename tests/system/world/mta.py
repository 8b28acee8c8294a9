# SPDX-License-Identifier: Apache-2.0
"""A server under test, started from a main.cf given as text: Postern, or Debian's postfix."""
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import textwrap

from . import wait
from .session import Session, matches

REFERENCE_DAEMONS = "/usr/lib/postfix/sbin"
POSTERN_MASTER_CF = """
{smtp}  inet  n  -  n  -  -  smtpd
pickup  unix  n  -  n  60  1  pickup
qmgr  unix  n  -  n  300  1  qmgr
cleanup  unix  n  -  n  -  0  cleanup
rewrite  unix  -  -  n  -  -  trivial-rewrite
bounce  unix  -  -  n  -  0  bounce
defer  unix  -  -  n  -  0  bounce
trace  unix  -  -  n  -  0  bounce
verify  unix  -  -  n  -  1  verify
flush  unix  n  -  n  1000?  0  flush
proxymap  unix  -  -  n  -  -  proxymap
showq  unix  n  -  n  -  -  showq
anvil  unix  -  -  n  -  1  anvil
scache  unix  -  -  n  -  1  scache
tlsmgr  unix  -  -  n  1000?  1  tlsmgr
postlog  unix-dgram n  -  n  -  1  postlogd
smtp  unix  -  -  n  -  -  smtp
relay  unix  -  -  n  -  -  smtp
lmtp  unix  -  -  n  -  -  lmtp
local  unix  -  n  n  -  -  local
virtual  unix  -  n  n  -  -  virtual
error  unix  -  -  n  -  -  error
retry  unix  -  -  n  -  -  error
discard  unix  -  -  n  -  -  discard
"""


class Log:
    def __init__(self, path):
        self.path = path

    def text(self):
        return self.path.read_text(errors="replace") if self.path.exists() else ""

    def lines(self):
        """The lines without time stamp and host: "postfix/smtpd[12]: connect from ..."."""
        return [re.sub(r"^\w{3} +\d+ [\d:.]+ \S+ ", "", line) for line in self.text().splitlines()]

    def has(self, pattern):
        return any(matches(line, "*" + pattern) for line in self.lines())

    def wait(self, pattern, limit_s=20):
        def found():
            return next((line for line in self.lines() if matches(line, "*" + pattern)), None)
        try:
            return wait.until(found, f"log line {pattern!r}", limit_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\nlog:\n{self.text()[-4000:]}") from None


class Queue:
    def __init__(self, mta):
        self.mta = mta

    def listing(self):
        return self.mta.command("postqueue", "-p").stdout

    def is_empty(self):
        return "Mail queue is empty" in self.listing()

    def wait_empty(self, limit_s=20):
        wait.until(self.is_empty, f"empty queue; log:\n{self.mta.log.text()[-3000:]}", limit_s)

    def ids(self):
        return re.findall(r"^([0-9A-Za-z]{6,})[*!#]*\s", self.listing(), re.M)


class Mta:
    """One private instance. kind is "postern" or "reference"."""

    def __init__(self, kind, main_cf, master_cf=None, extra_master="", stage=None):
        self.kind = kind
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mta-"))
        os.chmod(self.dir, 0o755)
        self.port = _free_port()
        self.stage = stage
        self.config = self.dir / "etc"
        self.queue_dir = self.dir / "queue"
        self.mail = self.dir / "mail"
        self.log = Log(self.dir / "mail.log")
        self.queue = Queue(self)
        self.master = None
        for path in (self.config, self.queue_dir, self.mail):
            path.mkdir()
        os.chmod(self.mail, 0o1777)
        self.write_main(main_cf)
        master = (master_cf or POSTERN_MASTER_CF).format(smtp=f"127.0.0.1:{self.port}")
        (self.config / "master.cf").write_text(master + textwrap.dedent(extra_master))

    def base_settings(self):
        daemons = REFERENCE_DAEMONS if self.kind == "reference" else f"{self.stage}/usr/lib/postfix/sbin"
        commands = "/usr/sbin" if self.kind == "reference" else f"{self.stage}/usr/sbin"
        return {
            "compatibility_level": "3.6", "myhostname": "mx.test", "mydomain": "test",
            "mynetworks": "127.0.0.0/8", "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4",
            "queue_directory": self.queue_dir, "data_directory": self.dir / "data",
            "daemon_directory": daemons, "command_directory": commands,
            "mail_spool_directory": self.mail, "alias_maps": "", "alias_database": "",
            "maillog_file": self.log.path, "maillog_file_prefixes": self.dir,
            "smtp_tls_security_level": "", "import_environment": "MAIL_CONFIG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME "
                                  "ASAN_OPTIONS UBSAN_OPTIONS",
        }

    def write_main(self, text):
        """The test's text first wins over our settings: it comes last."""
        lines = [f"{name} = {value}" for name, value in self.base_settings().items()]
        (self.config / "main.cf").write_text("\n".join(lines) + "\n" + textwrap.dedent(text) + "\n")

    def program(self, name):
        if self.kind == "reference":
            return "/usr/bin/" + name if name in ("mailq", "newaliases") else "/usr/sbin/" + name
        folder = "bin" if name in ("mailq", "newaliases") else "sbin"
        return f"{self.stage}/usr/{folder}/{name}"

    def environment(self):
        env = dict(os.environ, MAIL_CONFIG=str(self.config), TZ="UTC")
        env.setdefault("ASAN_OPTIONS", "detect_leaks=0:abort_on_error=1")
        env.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
        return env

    def command(self, name, *args, stdin=None, check=True, user=None):
        argv, env = [self.program(name), *map(str, args)], self.environment()
        if user:
            env.pop("MAIL_CONFIG")  # what is not the installed configuration is refused
            login, _, group = user.partition(":")
            account = pwd.getpwnam(login)
            argv = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={group or account.pw_gid}", "--clear-groups", *argv]
        # Files, not pipes: a daemon that keeps a pipe open would keep us waiting.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            result = subprocess.run(argv, input=stdin, text=not isinstance(stdin, bytes), stdout=out,
                                    stderr=err, env=env, timeout=60)
            for name, file in (("stdout", out), ("stderr", err)):
                file.seek(0)
                setattr(result, name, file.read())
        if check and result.returncode != 0:
            raise AssertionError(f"{argv}: exit {result.returncode}: {result.stderr}{result.stdout}")
        return result

    def start(self):
        (self.dir / "data").mkdir(exist_ok=True)
        shutil.chown(self.dir / "data", "postfix", "postfix")
        if self.kind == "reference":
            self.command("postfix", "-c", self.config, "start")
        else:
            self.command("postern", "-c", self.config, "start")
        wait.until(self.is_listening, f"server on port {self.port}; log:\n{self.log.text()[-3000:]}")
        return self

    def is_listening(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def pid(self):
        return int((self.queue_dir / "pid/master.pid").read_text())

    def pids(self, program):
        """Running processes of this instance with this program name."""
        children = subprocess.run(["pgrep", "-P", str(self.pid()), "-x", program[:15]],
                                  capture_output=True, text=True).stdout.split()
        return [int(p) for p in children]

    def reload(self):
        return self.command("postfix" if self.kind == "reference" else "postern", "-c", self.config, "reload")

    def stop(self):
        name = "postfix" if self.kind == "reference" else "postern"
        self.command(name, "-c", self.config, "stop", check=False)
        try:
            wait.until(lambda: not self.is_running(), "stop of the server", 15)
        except AssertionError:
            self.kill()

    def is_running(self):
        try:
            os.kill(self.pid(), 0)
            return True
        except (OSError, ValueError):
            return False

    def kill(self):
        try:
            os.killpg(self.pid(), signal.SIGKILL)
        except (OSError, ValueError):
            pass

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def session(self, **options):
        return Session(("127.0.0.1", self.port), **options)

    def sendmail(self, *args, text, user=None):
        return self.command("sendmail", *args, stdin=text, user=user)

    def mailbox(self, user):
        path = self.mail / user
        return path.read_text(errors="replace") if path.exists() else ""


def _free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
