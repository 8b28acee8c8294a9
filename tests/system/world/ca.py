# SPDX-License-Identifier: Apache-2.0
"""A private certificate authority: keys and certificates, good and bad, as PEM files."""
import datetime
import hashlib
import itertools

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
KEYS = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


class Pair:
    """A key and its certificate: .cert and .key are files, .chain both and what signed it."""

    def __init__(self, folder, name, key, cert, issuer_pem=b""):
        self.key_object, self.certificate = key, cert
        self.cert, self.key, self.chain = (folder / f"{name}.{end}" for end in ("crt", "key", "chain"))
        key_pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                    serialization.NoEncryption())
        cert_pem = cert.public_bytes(serialization.Encoding.PEM)
        self.cert.write_bytes(cert_pem)
        self.key.write_bytes(key_pem)
        self.key.chmod(0o400)
        self.chain.write_bytes(key_pem + cert_pem + issuer_pem)
        self.files = (self.cert, self.key)

    def fingerprint(self, digest="sha256"):
        return _colons(hashlib.new(digest, self.certificate.public_bytes(serialization.Encoding.DER)))

    def key_der(self):
        return self.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def key_fingerprint(self, digest="sha256"):
        return _colons(hashlib.new(digest, self.key_der()))

    def cert_der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)


class Authority(Pair):
    """authority.issue("mx.test") -> a Pair that it signed."""

    count = itertools.count()

    def __init__(self, folder, name="Private Test CA"):
        self.folder = folder
        key = KEYS["ecdsa"]()
        super().__init__(folder, f"ca{next(self.count)}", key, _certificate(name, key, name, key, ca=True))

    def issue(self, name, *names, key="ecdsa", days=(-1, 30), self_signed=False):
        """A certificate for name (its common name) and names (only then is there a subjectAltName);
        days: from and until when it is valid, counted from now."""
        own = KEYS[key]()
        issuer = (name, own) if self_signed else (_cn(self.certificate), self.key_object)
        cert = _certificate(name, own, *issuer, names=names, days=days)
        return Pair(self.folder, f"pair{next(self.count)}", own, cert,
                    b"" if self_signed else self.cert.read_bytes())


def _cn(certificate):
    return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def _colons(digest):
    return ":".join(f"{byte:02X}" for byte in digest.digest())


def _certificate(name, key, issuer, issuer_key, names=(), days=(-1, 30), ca=False):
    now = datetime.datetime.utcnow()
    builder = x509.CertificateBuilder(
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
        public_key=key.public_key(), serial_number=x509.random_serial_number(),
        not_valid_before=now + days[0] * DAY, not_valid_after=now + days[1] * DAY)
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
    is_ed25519 = isinstance(issuer_key, ed25519.Ed25519PrivateKey)
    return builder.sign(issuer_key, None if is_ed25519 else hashes.SHA256())
