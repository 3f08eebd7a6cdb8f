"""The AWS APIs of the lab: moto behind TLS, with a count of the calls and with faults on demand.

Arguments: the address, the folder of the VPC (certificate, key, calls and faults), the path of a Unix socket that
takes uncounted calls of the lab itself.
"""

import io
import itertools
import json
import os
import ssl
import sys
import threading
import time
import types

# Parameter Store's part asks for it to run commands on instances, which is not done here, and it takes longer to load than all
# the rest.
sys.modules["moto.ec2"] = types.ModuleType("moto.ec2")
sys.modules["moto.ec2"].ec2_backends = {}

from faults import Faults, Notes
from moto.backends import get_backend
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import ThreadedWSGIServer, make_server

ACCOUNT, REGION, OTHER_REGION = "123456789012", "eu-west-1", "us-east-1"
SECRETS = {
    "prod/status-page/database": json.dumps(
        {
            "engine": "postgres",
            "host": "db.internal",
            "username": "sp",
            "password": "Pa55&word/of%db",
            "dbname": "statuspage",
            "port": 5432,
        }
    ),
    "rds!db-0123": json.dumps({"username": "sp", "password": "Pa55&word/of%db"}),
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
    for region, (name, value) in itertools.product((REGION, OTHER_REGION), SECRETS.items()):
        get_backend("secretsmanager")[ACCOUNT][region].create_secret(
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


class Counting:
    def __init__(self, app, folder):
        self.app = app
        self.calls = Notes(os.path.join(folder, "calls.jsonl"))
        self.faults = Faults(os.path.join(folder, "faults.json"))

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        text = body.decode("utf-8", "replace")
        action = environ.get("HTTP_X_AMZ_TARGET", "").rsplit(".", 1)[-1]
        if not action:
            form = dict(pair.split("=", 1) for pair in text.split("&") if "=" in pair)
            action = form.get("Action", environ.get("PATH_INFO", ""))
        try:
            asked = json.loads(text)
            secret = asked.get("SecretId") or asked.get("Name") or asked.get("Path")
        except (ValueError, AttributeError):
            secret = None
        fault = self.faults.take(lambda f: f["action"] == action and f.get("match", "") in text)
        self.calls.add(
            action=action,
            secret=secret,
            client=environ.get("REMOTE_ADDR"),
            host=environ.get("HTTP_HOST"),
            signed="HTTP_AUTHORIZATION" in environ,
            fault=fault is not None,
        )
        if fault is not None:
            time.sleep(fault.get("delay_ms", 0) / 1000)
            if fault.get("hold"):
                self.faults.outlast(fault)
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
