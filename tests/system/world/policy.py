# SPDX-License-Identifier: Apache-2.0
"""A policy server whose answers a test sets: action(attributes) -> "DUNNO", None to hang up, a delay."""
import socketserver
import threading
import time


class PolicyServer:
    def __init__(self, address=("127.0.0.1", 0)):
        self.action = lambda attributes: "DUNNO"
        self.delay = 0
        self.requests = []
        self.connections = 0
        self.server = _Server(address, _Handler)
        self.server.world = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Handler(socketserver.StreamRequestHandler):
    def handle(self):
        world, attributes = self.server.world, {}
        world.connections += 1
        for line in self.rfile:
            line = line.decode("utf-8", "surrogateescape").rstrip("\n")
            if line:
                name, _, value = line.partition("=")
                attributes[name] = value
                continue
            world.requests.append(attributes)
            action = world.action(attributes)
            if action is None:
                return
            time.sleep(world.delay)
            self.wfile.write(action.encode() + b"\n\n" if "=" in action.split(" ")[0] else f"action={action}\n\n".encode())
            attributes = {}
