# SPDX-License-Identifier: Apache-2.0
"""An SMTP conversation that reads like one: send(...).expect("250 *")."""
import re
import socket
import ssl


def matches(text, pattern):
    """Shell-like: * and ? only, so that [ ] and < > mean themselves."""
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(escaped, text, re.S) is not None


def client_context(pair=None, versions=(), ciphers=None):
    """Trusts every server; pair: shows this certificate; versions: least and most."""
    context = ssl._create_unverified_context()
    if pair:
        context.load_cert_chain(*pair.files)
    if versions:
        context.minimum_version, context.maximum_version = versions
    if ciphers:
        context.set_ciphers(ciphers)
    return context


class Session:
    def __init__(self, address, source=None, greeting="220 *", timeout=20):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect(address)
        self.file = self.sock.makefile("rb")
        self.reply = ""
        if greeting:
            self.expect(greeting)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()

    def raw(self, data):
        self.sock.sendall(data)
        return self

    def send(self, line):
        return self.raw(line.encode() + b"\r\n")

    def read_reply(self):
        """One whole reply; lines joined by newline, without line ends."""
        lines = []
        while True:
            line = self.file.readline(10000).decode("utf-8", "surrogateescape")
            if not line:
                raise EOFError(f"connection closed; so far: {lines}")
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                break
        self.reply = "\n".join(lines)
        return self.reply

    def expect(self, pattern):
        reply = self.read_reply()
        assert matches(reply, pattern), f"reply {reply!r} is not like {pattern!r}"
        return self

    def expect_close(self):
        rest = self.file.read()
        assert rest == b"", f"more after the end: {rest!r}"

    def ehlo(self, name="client.test"):
        return self.send(f"EHLO {name}").expect("250-*")

    def starttls(self, context=None):
        self.send("STARTTLS").expect("220 *")
        return self.handshake(context)

    def handshake(self, context=None):
        """The rest of STARTTLS, or the beginning where TLS comes first."""
        context = context or client_context()
        self.file.close()
        self.sock = context.wrap_socket(self.sock, server_hostname="server.test")
        self.file = self.sock.makefile("rb")
        return self

    def mail(self, sender, *recipients, content="Subject: test\r\n\r\nhello\r\n"):
        """A whole transaction; returns the queue id of the final reply."""
        self.send(f"MAIL FROM:<{sender}>").expect("250 *")
        for recipient in recipients:
            self.send(f"RCPT TO:<{recipient}>").expect("250 *")
        self.send("DATA").expect("354 *")
        body = content if isinstance(content, bytes) else content.encode()
        body = re.sub(rb"(?m)^\.", b"..", body)
        self.raw(body + b".\r\n").expect("250 2.0.0 Ok: queued as *")
        return self.reply.split()[-1]
