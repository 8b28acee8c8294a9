# SPDX-License-Identifier: Apache-2.0
"""A name server on 127.0.0.53 whose answers a test sets: records, SERVFAIL, silence, delay."""
import socketserver
import threading
import time

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import ec

ADDRESS = ("127.0.0.53", 53)


class NameServer:
    def __init__(self):
        self.lock = threading.Lock()
        self.queries = []
        self.clear()
        self.servers = [_UdpServer(ADDRESS, _UdpHandler), _TcpServer(ADDRESS, _TcpHandler)]
        for server in self.servers:
            server.world = self
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def clear(self):
        with self.lock:
            self.records = {}
            self.broken = set()
            self.delays = {}
            self.zones, self.spoilt = {}, set()
            self.queries.clear()

    def add(self, name, rdtype, *values, ttl=60):
        """add("example.test", "MX", "10 mx.example.test.")"""
        with self.lock:
            self.records.setdefault((_key(name), rdtype), []).extend(values)
        return self

    def host(self, name, address, ptr=True):
        """An A or AAAA record, and the PTR record for it."""
        self.add(name, "AAAA" if ":" in address else "A", address)
        if ptr and ":" not in address:
            reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
            self.add(reverse, "PTR", name + ".")
        return self

    def mx(self, domain, host, address, preference=10):
        """A mail host for a domain, with its address."""
        return self.add(domain, "MX", f"{preference} {host}.").host(host, address)

    def sign(self, zone):
        """Answers for names in the zone are signed from now on; returns its trust anchor."""
        with self.lock:
            self.zones[_key(zone)] = SignedZone(zone)
            return self.zones[_key(zone)].anchor()

    def spoil(self, name, rdtype):
        """The signature of this record set is wrong from now on."""
        with self.lock:
            self.spoilt.add((_key(name), rdtype))

    def servfail(self, name):
        with self.lock:
            self.broken.add(_key(name))
        return self

    def delay(self, name, seconds):
        with self.lock:
            self.delays[_key(name)] = seconds

    def answer(self, wire):
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, rdtype = _key(question.name.to_text()), dns.rdatatype.to_text(question.rdtype)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        with self.lock:
            self.queries.append((name, rdtype))
            delay = self.delays.get(name, 0)
            values = self.records.get((name, rdtype), [])
            cname = self.records.get((name, "CNAME"), [])
            known = any(key[0] == name or key[0].endswith("." + name) for key in self.records)
            broken = name in self.broken
            if cname and rdtype != "CNAME" and not values:
                target = _key(cname[0])
                chained = self.records.get((target, rdtype), [])
            zone = self._zone_of(name)
        if delay:
            time.sleep(delay)
        if broken:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif zone and rdtype == "DNSKEY" and zone.key == name:
            self._put(response, question.name, rdtype, [zone.dnskey.to_text()])
        elif values:
            self._put(response, question.name, rdtype, values)
        elif cname:
            self._put(response, question.name, "CNAME", cname)
            if rdtype != "CNAME" and chained:
                self._put(response, dns.name.from_text(target), rdtype, chained)
        elif zone:
            self._deny(response, question.name, zone)
        elif not known:
            response.set_rcode(dns.rcode.NXDOMAIN)
        if all(self._zone_of(_key(rrset.name.to_text())) for rrset in response.answer + response.authority) \
                and response.answer + response.authority and response.rcode() == dns.rcode.NOERROR:
            response.flags |= dns.flags.AD  # for who trusts its name server
        return response.to_wire()

    def _zone_of(self, name):
        return next((zone for key, zone in self.zones.items() if name == key or name.endswith("." + key)), None)

    def _put(self, response, name, rdtype, values, section=None):
        rrset = dns.rrset.from_text(name, 60, "IN", rdtype, *values)
        key = _key(name.to_text())
        zone = self._zone_of(key)
        section = response.answer if section is None else section
        section.append(rrset)
        if zone:
            section.append(zone.signature(rrset, spoilt=(key, rdtype) in self.spoilt))

    def _deny(self, response, name, zone):
        """There is the name, but nothing of this type: true enough of any name, and short."""
        types = sorted({rdtype for key, rdtype in self.records if key == _key(name.to_text())} | {"NSEC", "RRSIG"})
        following = dns.name.Name((b"\0",) + name.labels)
        self._put(response, zone.name, "SOA", ["ns.test. host.test. 1 60 60 60 60"], response.authority)
        self._put(response, name, "NSEC", [f"{following} {' '.join(types)}"], response.authority)
        return response.to_wire()


class SignedZone:
    """One key signs all of it, when it is asked for."""

    def __init__(self, zone):
        self.name, self.key = dns.name.from_text(zone), _key(zone)
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.dnskey = dns.dnssec.make_dnskey(self.private.public_key(), dns.dnssec.Algorithm.ECDSAP256SHA256,
                                             flags=257)

    def anchor(self):
        return f"{self.name} 60 IN DNSKEY {self.dnskey.to_text()}\n"

    def signature(self, rrset, spoilt=False):
        now = time.time()
        rrsig = dns.dnssec.sign(rrset, self.private, self.name, self.dnskey, inception=now - 3600,
                                expiration=now + 86400, verify=False)
        if spoilt:
            rrsig = rrsig.replace(signature=bytes(64))
        return dns.rrset.from_rdata(rrset.name, 60, rrsig)


def _key(name):
    return name.rstrip(".").lower()


class _UdpServer(socketserver.ThreadingUDPServer):
    allow_reuse_address = True
    daemon_threads = True


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _UdpHandler(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(self.server.world.answer(data), self.client_address)


class _TcpHandler(socketserver.StreamRequestHandler):
    def handle(self):
        size = int.from_bytes(self.rfile.read(2), "big")
        wire = self.server.world.answer(self.rfile.read(size))
        self.wfile.write(len(wire).to_bytes(2, "big") + wire)
