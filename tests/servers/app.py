"""What gunicorn serves."""

import os
import time

BIG = open("/servers/big", "rb").read()


def app(environ, start_response):
    match environ["PATH_INFO"]:
        case "/ping":
            body = b"pong\n"
        case "/big":
            body = BIG
        case "/slow":
            time.sleep(1.5)
            body = BIG
        case "/echo":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        case _:
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
    start_response("200 OK", [("Content-Length", str(len(body))), ("X-Release", os.environ["RELEASE"])])
    return [body]
