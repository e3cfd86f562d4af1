"""`sigedge serve`: a classifier over HTTP."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import guard
from sigedge.cli.types import ThreadsOption


@guard()
def serve(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Bundle or checkpoint of a classifier.", show_default=False)
    ],
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    max_upload: Annotated[int, typer.Option("--max-upload", min=1, help="Largest upload, megabytes.")] = 10,
    threads: ThreadsOption = 1,
) -> None:
    """Answer POST /upload_image with whose signature it is; described at /docs and /openapi.json."""
    import uvicorn

    from sigedge.systems.signauth.api import create_app
    from sigedge.systems.signauth.predict import SignatureClassifier

    with listen(host, port) as listening, SignatureClassifier.open(model, threads=threads) as classifier:
        app = create_app(classifier, max_upload=max_upload * 2**20)
        # Behind a socket opened here: uvicorn would leave the process where the port is taken.
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        host, port = listening.getsockname()[:2]
        Output().say(f"{classifier.name} answers at http://{host}:{port}/upload_image (Ctrl-C stops it).", "green")
        server.run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        DataError: the address or the port cannot be used.
    """
    from sigedge_runtime.errors import DataError

    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise DataError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}); choose another --port."
        ) from None
