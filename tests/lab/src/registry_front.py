"""The front of ECR's registry: TLS under the genuine name, a count of the requests, and faults on demand. Whatever meets
no fault is passed on to the registry as it is, and so is the answer.

Arguments: the address, the folder of the VPC (certificate, key, requests and faults), the path of the registry's Unix
socket.
"""

import http.client
import http.server
import json
import os
import re
import socket
import ssl
import sys

from faults import Faults, Notes

# Of one connection, not of the message.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Behind(http.client.HTTPConnection):
    """A connection to the registry."""

    def __init__(self, path):
        super().__init__("registry")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.faults.take(self.fits) or {}
        self.server.requests.add(
            method=self.command, path=self.path, client=self.client_address[0], fault=bool(fault)
        )
        effect = fault.get("effect")
        if effect in ("hold", "hang"):
            self.server.faults.outlast(fault)
        if effect in ("hang", "reset"):
            self.close_connection = True
        elif effect == "refuse":
            self.refuse(fault)
        else:
            self.pass_on(body, fault, effect)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def fits(self, fault):
        return fault.get("method") in (None, self.command) and re.search(fault["path"], self.path)

    def refuse(self, fault):
        error = {"code": fault["code"], "message": fault["message"]}
        body = json.dumps({"errors": [error]}).encode()
        headers = [("Content-Type", "application/json")]
        if fault["status"] == 401:
            headers.append(("WWW-Authenticate", f'Basic realm="https://{self.headers["Host"]}/"'))
        self.answer(fault["status"], headers, len(body), body)

    def pass_on(self, body, fault, effect):
        behind = Behind(self.server.behind)
        behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        # One by one: Docker sends several of the name Accept.
        for name, value in self.headers.items():
            behind.putheader(name, value)
        behind.endheaders(body)
        said = behind.getresponse()
        content = bytearray(said.read())
        length = said.headers.get("Content-Length", len(content))
        headers = [pair for pair in said.headers.items() if pair[0].lower() not in HOP_BY_HOP]
        behind.close()
        if effect == "flip" and content:
            content[len(content) // 2] ^= 1
        if effect in ("cut", "stall"):
            self.close_connection = True
            del content[len(content) // 2 :]
        self.answer(said.status, headers, length, content)
        if effect == "stall":
            self.server.faults.outlast(fault)

    def answer(self, status, headers, length, content):
        self.send_response_only(status)
        for name, value in [*headers, ("Content-Length", str(length))]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class Tls(http.server.ThreadingHTTPServer):
    """Each handshake in the thread of its connection: a client that stalls stalls itself only."""

    request_queue_size = 128

    def finish_request(self, request, client_address):
        with self.ssl_context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request, client_address):
        print("connection from", client_address, sys.exc_info()[1], flush=True)


def main():
    address, folder, behind = sys.argv[1:]
    server = Tls((address, 443), Front)
    server.behind = behind
    server.faults = Faults(os.path.join(folder, "registry-faults.json"))
    server.requests = Notes(os.path.join(folder, "registry-requests.jsonl"))
    server.ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.ssl_context.load_cert_chain(
        os.path.join(folder, "server.pem"), os.path.join(folder, "server.key")
    )
    server.serve_forever()


main()
