# SPDX-License-Identifier: Apache-2.0
"""A name server on 127.0.0.53 whose answers a test sets: records, SERVFAIL, silence, delay."""
import socketserver
import threading
import time

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

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

    def servfail(self, name):
        with self.lock:
            self.broken.add(_key(name))

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
        if delay:
            time.sleep(delay)
        if broken:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif values:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", rdtype, *values))
        elif cname:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "CNAME", *cname))
        elif not known:
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response.to_wire()


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
