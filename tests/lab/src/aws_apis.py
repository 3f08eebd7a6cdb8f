"""The AWS APIs of the lab: moto behind TLS, with a count of the calls and with faults on demand.

Arguments: the address, the folder of the VPC (certificate, key, calls and faults), the path of a Unix socket that
takes uncounted calls of the lab itself.
"""

import io
import json
import os
import ssl
import sys
import threading
import time

from moto.backends import get_backend
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import ThreadedWSGIServer, make_server

ACCOUNT, REGION = "123456789012", "eu-west-1"
SECRETS = {
    "prod/status-page/database": json.dumps(
        {
            "engine": "postgres",
            "host": "db.internal",
            "username": "sp",
            "password": "secret",
            "dbname": "statuspage",
            "port": 5432,
        }
    ),
    "rds!db-0123": json.dumps({"username": "sp", "password": "secret"}),
    "prod/status-page/redis": "Tok#en^1",
}


def seed():
    get_backend("ecr")[ACCOUNT][REGION].create_repository(
        repository_name="status-page",
        registry_id=None,
        encryption_config=None,
        image_scan_config=None,
        image_tag_mutability=None,
        tags=[],
    )
    for name, value in SECRETS.items():
        get_backend("secretsmanager")[ACCOUNT][REGION].create_secret(
            name=name,
            secret_string=value,
            secret_binary=None,
            description=None,
            tags=[],
            kms_key_id=None,
            client_request_token=None,
            replica_regions=[],
            force_overwrite=False,
        )


class Faults:
    """What the lab wants to go wrong, by action; the file is looked at before each call."""

    def __init__(self, path):
        self.path, self.stamp, self.faults = path, None, {}
        self.lock = threading.Lock()

    def take(self, action, body):
        with self.lock:
            try:
                found = os.stat(self.path)
                stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            except FileNotFoundError:
                return None
            if stamp != self.stamp:
                with open(self.path, encoding="utf-8") as file:
                    self.faults = json.load(file)
                self.stamp = stamp
            fault = self.faults.get(action)
            if fault is None or fault.get("match", "") not in body:
                return None
            if fault.get("after", 0) > 0:
                fault["after"] -= 1
                return None
            if "times" in fault:
                if fault["times"] <= 0:
                    return None
                fault["times"] -= 1
            return fault


class Counting:
    def __init__(self, app, folder):
        self.app = app
        self.calls = os.path.join(folder, "calls.jsonl")
        self.faults = Faults(os.path.join(folder, "faults.json"))
        self.lock = threading.Lock()

    def note(self, **call):
        with self.lock, open(self.calls, "a", encoding="utf-8") as file:
            file.write(json.dumps(call) + "\n")

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        text = body.decode("utf-8", "replace")
        action = environ.get("HTTP_X_AMZ_TARGET", "").rsplit(".", 1)[-1]
        if not action:
            form = dict(pair.split("=", 1) for pair in text.split("&") if "=" in pair)
            action = form.get("Action", environ.get("PATH_INFO", ""))
        try:
            secret = json.loads(text).get("SecretId")
        except (ValueError, AttributeError):
            secret = None
        fault = self.faults.take(action, text)
        self.note(
            action=action,
            secret=secret,
            client=environ.get("REMOTE_ADDR"),
            time=time.time(),
            signed="HTTP_AUTHORIZATION" in environ,
            fault=fault is not None,
        )
        if fault is not None:
            time.sleep(fault.get("delay_ms", 0) / 1000)
            if fault.get("hang"):
                threading.Event().wait()
            if fault.get("reset"):
                environ["werkzeug.socket"].close()
                raise ConnectionAbortedError
            if "status" in fault:
                return refuse(fault, start_response)
        return self.app(environ, start_response)


def refuse(fault, start_response):
    code = fault.get("code", "InternalFailure")
    message = fault.get("message", "a fault of the lab")
    body = json.dumps({"__type": code, "message": message}).encode()
    headers = [
        ("Content-Type", "application/x-amz-json-1.1"),
        ("Content-Length", str(len(body))),
        ("x-amzn-ErrorType", code),
        ("x-amzn-RequestId", "lab-fault"),
    ]
    start_response(f"{fault['status']} Fault", headers)
    return [body]


class Tls(ThreadedWSGIServer):
    """Each handshake in the thread of its connection: a client that stalls stalls itself only."""

    daemon_threads = True
    request_queue_size = 128

    def finish_request(self, request, client_address):
        with self.ssl_context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request, client_address):
        print("connection from", client_address, sys.exc_info()[1], flush=True)


def main():
    address, folder, socket = sys.argv[1:]
    seed()
    app = DomainDispatcherApplication(create_backend_app)
    inner = make_server("unix://" + socket, 0, app, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=inner.serve_forever, daemon=True).start()
    outer = Tls(address, 443, Counting(app, folder), handler=MotoRequestHandler)
    outer.ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    outer.ssl_context.load_cert_chain(
        os.path.join(folder, "server.pem"), os.path.join(folder, "server.key")
    )
    outer.serve_forever()


main()
