# SPDX-License-Identifier: Apache-2.0
"""A remote SMTP host that behaves, or misbehaves as a test asks."""
import socket
import ssl
import threading


class Remote:
    """Listens on address:port, keeps what it received in .messages.

    replies: {"RCPT TO:<no@x.test>": "550 5.1.1 no", "DATA": "451 later", "MAIL": None}; the longest
    matching prefix (case-insensitive) counts; None closes the connection; a callable gets the line
    and returns the reply.
    tls: (certificate file, key file) or an ssl.SSLContext; then STARTTLS is offered, or, with
    wrapped, the handshake comes first. early: bytes in clear behind the reply to STARTTLS.
    """

    def __init__(self, address="127.0.0.2", port=25, replies=None, ehlo=("PIPELINING", "8BITMIME"),
                 greeting="220 remote.test ESMTP", tls=None, wrapped=False, early=b""):
        self.replies = {k.upper(): v for k, v in (replies or {}).items()}
        self.ehlo, self.greeting, self.tls = list(ehlo), greeting, server_context(tls) if tls else None
        self.wrapped, self.early = wrapped, early
        self.handshakes = []  # of each: {"version", "cipher", "resumed", "cert" (DER or None), "sni"}
        self.messages, self.sessions, self.lines = [], 0, []
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(512)
        self.address, self.port = self.listener.getsockname()[:2]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def _accept(self):
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock, peer), daemon=True).start()

    def _serve(self, sock, peer):
        with self.lock:
            self.sessions += 1
        try:
            _Conversation(self, sock, peer).run()
        except (OSError, EOFError, ValueError):
            pass
        finally:
            sock.close()

    def reply_for(self, line):
        upper = line.upper()
        best = max((k for k in self.replies if upper.startswith(k)), key=len, default=None)
        if best is None:
            return False, None
        value = self.replies[best]
        return True, value(line) if callable(value) else value


class _Conversation:
    def __init__(self, remote, sock, peer):
        self.remote, self.sock, self.peer = remote, sock, peer
        sock.settimeout(30)
        self.file = sock.makefile("rb")
        self.is_tls = False
        self.reset()

    def reset(self):
        self.sender, self.recipients = None, []

    def send(self, text):
        self.sock.sendall(text.encode() + b"\r\n")

    def run(self):
        if self.remote.greeting is None:
            return
        if self.remote.wrapped:
            self.handshake()
        self.send(self.remote.greeting)
        while True:
            line = self.file.readline(100000)
            if not line:
                return
            line = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            with self.remote.lock:
                self.remote.lines.append(line)
            if not self.command(line):
                return

    def command(self, line):
        found, reply = self.remote.reply_for(line)
        if found and reply is None:
            return False
        verb = line.split(" ")[0].upper()
        if found and not (verb == "DATA" and reply.startswith("354")):
            self.send(reply)
            return not reply.startswith("221") and not reply.startswith("421")
        handler = getattr(self, "do_" + verb.lower(), None)
        if handler is None:
            self.send("500 5.5.2 what?")
            return True
        return handler(line) is not False

    def do_ehlo(self, line):
        words = ["remote.test"] + self.remote.ehlo
        if self.remote.tls and not self.is_tls:
            words.append("STARTTLS")
        for word in words[:-1]:
            self.send("250-" + word)
        self.send("250 " + words[-1])

    def do_helo(self, line):
        self.send("250 remote.test")

    def do_starttls(self, line):
        self.sock.sendall(b"220 2.0.0 go\r\n" + self.remote.early)
        self.handshake()

    def handshake(self):
        self.file.close()
        self.sock = self.remote.tls.wrap_socket(self.sock, server_side=True)
        self.file = self.sock.makefile("rb")
        self.is_tls = True
        with self.remote.lock:
            self.remote.handshakes.append({
                "version": self.sock.version(), "cipher": self.sock.cipher()[0],
                "resumed": self.sock.session_reused, "cert": self.sock.getpeercert(True),
                "sni": getattr(self.sock, "sni", None)})

    def do_mail(self, line):
        self.sender = line[len("MAIL FROM:"):]
        self.send("250 2.1.0 ok")

    def do_rcpt(self, line):
        if self.sender is None:
            self.send("503 5.5.1 need MAIL")
            return
        self.recipients.append(line[len("RCPT TO:"):])
        self.send("250 2.1.5 ok")

    def do_data(self, line):
        if not self.recipients:
            self.send("554 5.5.1 no valid recipients")
            return True
        self.send("354 go")
        lines = []
        while True:
            text = self.file.readline()
            if not text:
                raise EOFError
            if text == b".\r\n":
                break
            lines.append(text[1:] if text.startswith(b".") else text)
        found, reply = self.remote.reply_for("END-OF-DATA")
        if found and reply is None:
            return False
        if not found or reply.startswith("2"):
            with self.remote.lock:
                self.remote.messages.append({
                    "sender": _path(self.sender), "recipients": [_path(r) for r in self.recipients],
                    "mail": self.sender, "rcpt": self.recipients, "content": b"".join(lines),
                    "tls": self.is_tls, "peer": self.peer})
        self.send(reply if found else "250 2.0.0 taken")
        self.reset()
        return True

    def do_rset(self, line):
        self.reset()
        self.send("250 2.0.0 ok")

    def do_noop(self, line):
        self.send("250 2.0.0 ok")

    def do_quit(self, line):
        self.send("221 2.0.0 bye")
        return False


def server_context(tls, ca=None, require=False, versions=(), ciphers=None):
    """An ssl.SSLContext; ca: a file, client certificates are asked for (require: or refused);
    versions: least and most, as ssl.TLSVersion."""
    if isinstance(tls, ssl.SSLContext):
        return tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls)
    context.sni_callback = lambda sock, name, _: setattr(sock, "sni", name)
    if ca:
        context.verify_mode = ssl.CERT_REQUIRED if require else ssl.CERT_OPTIONAL
        context.load_verify_locations(ca)
    if versions:
        context.minimum_version, context.maximum_version = versions
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def _path(argument):
    return argument[argument.index("<") + 1:argument.rindex(">")]
