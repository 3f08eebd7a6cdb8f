"""The front of ECR's registry: TLS under the genuine name, a count of the requests, and faults on demand. Whatever meets
no fault is passed on to the registry as it is, and so is the answer.

Arguments: the address, the folder of the VPC (certificate, key, requests and faults), the path of the registry's Unix
socket.
"""

import contextlib
import http.client
import http.server
import io
import json
import os
import re
import socket
import ssl
import sys

from faults import Faults, Notes

# Of one connection, not of the message.
HOP_BY_HOP = {"connection", "expect", "keep-alive", "transfer-encoding", "content-length"}
# So much of a layer is held at a time.
PIECE = 256 * 1024


class Behind(http.client.HTTPConnection):
    """A connection to the registry."""

    def __init__(self, path):
        super().__init__("registry")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)

    def take(self, piece):
        """Whether it still listens: it may answer, and go, before it has read everything."""
        try:
            self.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True


class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
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
            # What is not read would be taken for the next request.
            for _ in self.body():
                pass
            self.refuse(fault)
        else:
            self.pass_on(fault, effect)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def fits(self, fault):
        return fault.get("method") in (None, self.command) and re.search(fault["path"], self.path)

    def is_chunked(self):
        return "chunked" in self.headers.get("Transfer-Encoding", "").lower()

    def body(self):
        """What the client sends, piece by piece: Docker says beforehand how long a manifest is, but not a layer."""
        if not self.is_chunked():
            yield from self.read(int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield from self.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def read(self, length):
        while length > 0:
            piece = self.rfile.read(min(length, PIECE))
            if not piece:
                raise ConnectionAbortedError("the client is gone in the middle of its request")
            length -= len(piece)
            yield piece

    def refuse(self, fault):
        error = {"code": fault["code"], "message": fault["message"]}
        body = json.dumps({"errors": [error]}).encode()
        headers = [("Content-Type", "application/json")]
        if fault["status"] == 401:
            headers.append(("WWW-Authenticate", f'Basic realm="https://{self.headers["Host"]}/"'))
        self.start_answer(fault["status"], headers, len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def pass_on(self, fault, effect):
        with contextlib.closing(Behind(self.server.behind)) as behind:
            said = self.ask(behind)
            headers = [pair for pair in said.headers.items() if pair[0].lower() not in HOP_BY_HOP]
            length = said.headers.get("Content-Length")
            content = said
            if length is None:
                # What comes in chunks is short.
                length = len(whole := said.read())
                content = io.BytesIO(whole)
            self.start_answer(said.status, headers, length)
            if self.command != "HEAD":
                self.send_content(content, int(length), effect)
        if effect == "stall":
            self.server.faults.outlast(fault)

    def send_content(self, content, length, effect):
        if effect in ("cut", "stall"):
            self.close_connection = True
            self.copy(content, length // 2)
        elif effect == "flip" and length:
            self.copy(content, length // 2)
            self.wfile.write(bytes([content.read(1)[0] ^ 1]))
            self.copy(content, length - length // 2 - 1)
        else:
            self.copy(content, length)

    def ask(self, behind):
        """Gives the request to the registry, and waits for the answer."""
        behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        # One by one: Docker sends several of the name Accept.
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP:
                behind.putheader(name, value)
        chunked = self.is_chunked()
        if chunked:
            behind.putheader("Transfer-Encoding", "chunked")
        elif "Content-Length" in self.headers:
            behind.putheader("Content-Length", self.headers["Content-Length"])
        behind.endheaders()
        listens = True
        for piece in self.body():
            listens = listens and behind.take(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked and listens:
            behind.take(b"0\r\n\r\n")
        return behind.getresponse()

    def start_answer(self, status, headers, length):
        self.send_response_only(status)
        for name, value in [*headers, ("Content-Length", str(length))]:
            self.send_header(name, value)
        self.end_headers()

    def copy(self, content, length):
        while length > 0:
            piece = content.read(min(length, PIECE))
            if not piece:
                raise ConnectionAbortedError("the registry is gone in the middle of its answer")
            length -= len(piece)
            self.wfile.write(piece)


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
