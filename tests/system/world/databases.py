# SPDX-License-Identifier: Apache-2.0
"""Real database servers in private directories, as unprivileged users, made to start quickly.

Each has .host, .port, .socket, and start(), stop(). What they hold survives stop() and start()."""
import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import wait


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Authority:
    """A private certificate authority, a server's certificate from it, and a stranger's."""

    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        self.ca, ca_key = self._self_signed("ca", "Test Authority")
        self.wrong_ca, _ = self._self_signed("wrong", "Another Authority")
        self.key, request = self.dir / "server.key", self.dir / "server.csr"
        self.cert, names = self.dir / "server.pem", self.dir / "names"
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", self.key,
                      "-out", request)
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial",
                      "-days", "2", "-extfile", names, "-out", self.cert)

    @staticmethod
    def _openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)

    def _self_signed(self, name, subject):
        cert, key = self.dir / f"{name}.pem", self.dir / f"{name}.key"
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={subject}",
                      "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", key, "-out", cert)
        return cert, key


class Server:
    """One server process. Subclasses say who runs it and how."""
    user = None
    stop_signal = signal.SIGTERM
    host = "127.0.0.1"

    def __init__(self, authority=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-"))
        os.chmod(self.dir, 0o755)
        account = pwd.getpwnam(self.user)
        self.run_as = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        self.data = self.dir / "data"
        self.data.mkdir(mode=0o700)
        self.socket_dir = self.dir / "run"
        self.socket_dir.mkdir()
        self.port = free_port()
        self.process = None
        if authority:
            self.ca, self.wrong_ca = self.dir / "ca.pem", self.dir / "wrong.pem"
            shutil.copy(authority.ca, self.ca)
            shutil.copy(authority.wrong_ca, self.wrong_ca)
            self.key, self.cert = self.dir / "server.key", self.dir / "server.pem"
            shutil.copy(authority.key, self.key)
            shutil.copy(authority.cert, self.cert)
            os.chmod(self.key, 0o600)
        for path in [self.data, self.socket_dir, *([self.key, self.cert] if authority else [])]:
            shutil.chown(path, account.pw_uid, account.pw_gid)
        os.chmod(self.socket_dir, 0o755)
        self.log = self.dir / "log"

    def run(self, *args, stdin=None, env=None):
        result = subprocess.run([*self.run_as, *map(str, args)], input=stdin, text=True, capture_output=True,
                                cwd=self.dir, env=dict(os.environ, HOME=str(self.dir), **(env or {})), timeout=120)
        assert result.returncode == 0, f"{args}: {result.stderr}{result.stdout}"
        return result.stdout

    def argv(self):
        raise NotImplementedError

    def is_ready(self):
        return is_listening(self.port)

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([*self.run_as, *map(str, self.argv())], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=self.dir, start_new_session=True)

        def ready():
            assert self.process.poll() is None, f"{self.argv()[0]} ended:\n{self.log.read_text()[-3000:]}"
            return self.is_ready()
        wait.until(ready, f"{type(self).__name__} on port {self.port}", 60)
        return self

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)
        self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Postgres(Server):
    """Database and user "mail", password "secret", over TCP with scram; "admin" on the Unix socket."""
    user = "postgres"
    stop_signal = signal.SIGINT  # do not wait for clients

    def __init__(self, authority):
        super().__init__(authority)
        self.bin = pathlib.Path(sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1])
        self.socket = self.socket_dir / f".s.PGSQL.{self.port}"
        self.run(self.bin / "initdb", "-D", self.data, "-U", "admin", "-A", "trust", "--no-sync", "-E", "UTF8",
                 "--locale=C")
        (self.data / "pg_hba.conf").write_text(
            "local all all trust\nhostssl tls all 127.0.0.1/32 scram-sha-256\nhost mail all 127.0.0.1/32 scram-sha-256\n")
        self.start()
        self.sql("CREATE ROLE mail LOGIN PASSWORD 'secret'", "postgres")
        for name in ("mail", "tls"):
            self.sql(f"CREATE DATABASE {name} OWNER mail", "postgres")

    def argv(self):
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.socket_dir,
            "fsync": "off", "full_page_writes": "off", "shared_buffers": "8MB", "max_connections": 80,
            "max_wal_size": "64MB", "min_wal_size": "32MB", "autovacuum": "off", "max_worker_processes": 0, "jit": "off",
            "ssl": "on", "ssl_cert_file": self.cert, "ssl_key_file": self.key, "max_wal_senders": 0,
            "wal_level": "minimal"}
        return [self.bin / "postgres", "-D", self.data,
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))]

    def is_ready(self):
        return subprocess.run([self.bin / "pg_isready", "-q", "-h", self.host, "-p", str(self.port)],
                              check=False).returncode == 0

    def sql(self, text, database="mail"):
        return self.run(self.bin / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.socket_dir,
                        "-p", self.port, "-U", "admin", "-d", database, stdin=text,
                        env={"PGCLIENTENCODING": "UTF8"})


class Maria(Server):
    """Database and user "mail", password "secret"; "tlsmail" must use TLS; "root" on the socket."""
    user = "mysql"

    def __init__(self, authority):
        super().__init__(authority)
        self.socket = self.socket_dir / "sock"
        self.run("mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--skip-test-db",
                 "--auth-root-authentication-method=normal", "--skip-name-resolve", *self._small())
        self.start()
        self.sql("CREATE DATABASE mail CHARACTER SET utf8mb4;"
                 "CREATE USER mail@'127.0.0.1' IDENTIFIED BY 'secret';"
                 "CREATE USER mail@localhost IDENTIFIED BY 'secret';"
                 "CREATE USER tlsmail@'127.0.0.1' IDENTIFIED BY 'secret' REQUIRE SSL;"
                 "GRANT ALL ON mail.* TO mail@'127.0.0.1'; GRANT ALL ON mail.* TO mail@localhost;"
                 "GRANT ALL ON mail.* TO tlsmail@'127.0.0.1'", "mysql")

    @staticmethod
    def _small():
        return ["--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=0",
                "--innodb-doublewrite=0", "--innodb-flush-method=nosync"]

    def argv(self):
        return ["/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.data}", f"--socket={self.socket}",
                f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-name-resolve", "--max-connections=80",
                f"--pid-file={self.dir}/run/pid", f"--ssl-cert={self.cert}", f"--ssl-key={self.key}",
                f"--ssl-ca={self.ca}", "--performance-schema=0", *self._small()]

    def is_ready(self):
        return self.socket.exists() and is_listening(self.port)

    def sql(self, text, database="mail"):
        return self.run("mariadb", "--no-defaults", f"--socket={self.socket}", "-u", "root", "-N", "-B",
                        "--default-character-set=utf8mb4", database, stdin=text)


class OpenLdap(Server):
    """Suffix dc=test; cn=reader,dc=test has the password "secret"."""
    user = "openldap"
    BASE = """\
dn: dc=test
objectClass: dcObject
objectClass: organization
dc: test
o: test

dn: cn=reader,dc=test
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: secret

"""

    def __init__(self, authority, entries="", extra=""):
        super().__init__(authority)
        self.tls_port = free_port()
        self.socket = self.socket_dir / "ldapi"
        self.conf = self.dir / "slapd.conf"
        modules = "/usr/lib/ldap"
        self.conf.write_text(f"""\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
attributetype ( 1.3.6.1.4.1.99999.1 NAME 'maildrop' EQUALITY caseIgnoreIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )
attributetype ( 1.3.6.1.4.1.99999.2 NAME 'memberdn' EQUALITY distinguishedNameMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )
attributetype ( 1.3.6.1.4.1.99999.3 NAME 'memberurl' EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.4 NAME 'mailacceptinggeneralid' EQUALITY caseIgnoreMatch
  SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
modulepath {modules}
moduleload back_mdb
TLSCertificateFile {self.cert}
TLSCertificateKeyFile {self.key}
TLSCACertificateFile {self.ca}
{extra}
database mdb
maxsize 33554432
suffix "dc=test"
rootdn "cn=admin,dc=test"
rootpw admin
directory {self.data}
dbnosync
access to attrs=userPassword by anonymous auth by * none
access to * by users read by anonymous auth
""")
        ldif = self.dir / "data.ldif"
        ldif.write_text(self.BASE + entries)
        self.run("/usr/sbin/slapadd", "-q", "-f", self.conf, "-l", ldif)
        self.start()

    def url(self, kind="ldap"):
        if kind == "ldapi":
            return "ldapi://" + str(self.socket).replace("/", "%2F")
        return f"{kind}://127.0.0.1:{self.tls_port if kind == 'ldaps' else self.port}"

    def argv(self):
        urls = " ".join(self.url(kind) for kind in ("ldap", "ldaps", "ldapi"))
        return ["/usr/sbin/slapd", "-f", self.conf, "-h", urls, "-d", "0"]

    def is_ready(self):
        return self.socket.exists() and is_listening(self.port)


class Redis(Server):
    """No password unless one is given."""
    user = "redis"

    def __init__(self, authority=None, password=None):
        super().__init__(authority)
        self.password = password
        self.tls_port = free_port() if authority else 0
        self.socket = self.socket_dir / "sock"
        self.start()

    def argv(self):
        tls = ["--tls-port", self.tls_port, "--tls-cert-file", self.cert, "--tls-key-file", self.key,
               "--tls-ca-cert-file", self.ca, "--tls-auth-clients", "no"] if self.tls_port else []
        return ["redis-server", "--bind", "127.0.0.1", "--port", self.port, "--unixsocket", self.socket,
                "--unixsocketperm", "777", "--dir", self.data, "--save", "", "--appendonly", "no", *tls,
                *(["--requirepass", self.password] if self.password else [])]

    def command(self, *args):
        auth = ["-a", self.password, "--no-auth-warning"] if self.password else []
        return self.run("redis-cli", "-p", self.port, *auth, *args).rstrip("\n")


class Memcached(Server):
    user = "memcache"

    def __init__(self):
        super().__init__()
        self.start()

    def argv(self):
        return ["memcached", "-l", "127.0.0.1", "-p", self.port, "-U", "0", "-m", "16", "-t", "2"]


class Silent:
    """A server that accepts and never says a word."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.host, self.port = self.listener.getsockname()

    def close(self):
        self.listener.close()


def seconds(function):
    """How long it takes, and what it returns."""
    begun = time.monotonic()
    value = function()
    return time.monotonic() - begun, value
