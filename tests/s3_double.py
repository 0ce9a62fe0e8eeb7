"""An S3 server of the tests' own, real HTTP on loopback, that can be told to fail."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.backends import get_backend
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import make_server

Fails = Callable[[str, str], bool]
"""Of a request's method and path: whether it is refused."""


class S3Double:
    """A bucket named `night`.

    Attributes:
        environment: what a client needs to find it.
        requests: method and path of each request so far.
        fails: which requests are answered "503 Slow Down"; none at first.
    """

    url = "s3://night/shelf"

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.fails: Fails = lambda method, path: False
        self._app = create_backend_app("s3")
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.environment = {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self._server.server_port}",
            "AWS_ACCESS_KEY_ID": "reader",
            "AWS_SECRET_ACCESS_KEY": "hunter2-of-s3",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "2",
        }

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path))
        if self.fails(method, path):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("503 Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>"]
        answered: Iterable[bytes] = self._app(environ, start)
        return answered


@contextmanager
def s3_double() -> Iterator[S3Double]:
    """A server with an empty bucket."""
    import boto3

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    get_backend("s3").reset()  # what it keeps is the process's, not the server's
    server = S3Double()
    try:
        boto3.client(
            "s3",
            endpoint_url=server.environment["AWS_ENDPOINT_URL_S3"],
            aws_access_key_id="reader",
            aws_secret_access_key="hunter2-of-s3",
            region_name="us-east-1",
        ).create_bucket(Bucket="night")
        yield server
    finally:
        server.close()
