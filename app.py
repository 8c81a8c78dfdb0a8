"""The Flask application, and the program that serves it."""

from __future__ import annotations

import os
import signal
import sys

if __name__ == "__main__":
    # Until it serves there is nothing to wind up. Before the other imports, which take most of the start: as the first
    # process of a container it would not hear these at all, and by default they do not end it with 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))

import argparse
import logging
import threading

from flask import Flask, Response, request

from moe import __version__
from moe.config import Settings
from moe.errors import ConfigError, NotFound
from moe.log import set_up
from moe.service import Service
from moe.web.chat import add_chat
from moe.web.edge import Edge, name_request, request_id
from moe.web.embeddings import add_embeddings
from moe.web.errors import add_errors, refuse, speaks_anthropic
from moe.web.guard import ALLOWED_HEADERS, EXPOSED_HEADERS
from moe.web.intake import Uploads
from moe.web.manage import add_manage
from moe.web.mcp import add_mcp
from moe.web.messages import add_messages
from moe.web.models import add_models
from moe.web.openapi import add_openapi
from moe.web.ops import add_ops
from moe.web.requests import add_requests
from moe.web.responses import add_responses
from moe.web.server import CannotListen, Server
from moe.web.tools import add_tools

DRAIN_S = 10.0
LOG_EVERY_S = 0.1
ALLOWED_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


def create_app(service: Service, *, ending: threading.Event | None = None) -> Flask:
    """The application over a started service; once `ending` is set, the answers that still run are ended."""
    app = Flask("moe", static_folder=None)
    app.url_map.merge_slashes = False  # it would redirect, in HTML
    app.url_map.strict_slashes = False  # likewise; "/api/chat/" is "/api/chat"
    edge = Edge(gateway=service.gateway, guard=service.guard, ending=ending or threading.Event(),
                keep=service.requests.put)

    @app.before_request
    def admit() -> Response | None:
        name_request()
        guard, host = service.guard(), request.headers.get("Host")
        guard.check_host(host, protocol=request.environ["SERVER_PROTOCOL"])
        guard.check_origin(request.headers.get("Origin", ""), host or "")
        if request.method == "OPTIONS":
            return _answer_preflight()
        if not request.environ["PATH_INFO"]:
            raise NotFound("404 page not found")  # of "GET http://host", which would be redirected, in HTML
        return None

    @app.after_request
    def stamp(response: Response) -> Response:
        response.headers["X-Request-Id"] = request_id()
        if speaks_anthropic():
            response.headers["Request-Id"] = request_id()
        origin = request.headers.get("Origin")
        if origin and response.status_code != 403:
            _share_with(origin, response)
        return response

    add_errors(app)
    add_chat(app, edge)
    add_messages(app, edge)
    add_embeddings(app, edge)
    add_responses(app, edge, service.responses)
    add_requests(app, service.requests)
    add_tools(app, edge)
    add_mcp(app, edge)
    add_models(app, edge)
    add_manage(app, edge)
    add_ops(app, edge)
    add_openapi(app)
    return app


def _share_with(origin: str, response: Response) -> None:
    """Lets a page of `origin`, which was admitted, read the response."""
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Allow-Methods"] = ALLOWED_METHODS
    response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
    response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    response.headers["Vary"] = "Origin"


def _answer_preflight() -> Response:
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="start.sh", description="One private endpoint in front of your models.")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1, MOE_HOST)")
    parser.add_argument("--port", type=int, help="port to listen on (default 11435, MOE_PORT)")
    parser.add_argument("--config", metavar="DIR", help="folder of config.json and experts.json (MOE_CONFIG)")
    parser.add_argument("--data", metavar="DIR", help="folder for what the server keeps (MOE_DATA)")
    parser.add_argument("--version", action="version", version=f"moe {__version__}")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Serves until a signal. Returns 0 after a clean end, 1 for what cannot run, 2 for a refused config."""
    asked = parse_arguments(arguments)
    try:
        settings = Settings.gather(host=asked.host, port=asked.port, config=asked.config, data=asked.data)
        service = Service(settings)
    except ValueError as error:
        print(f"moe: {error}", file=sys.stderr)
        return 2
    except ConfigError as error:
        return _refuse_config(error)
    log = set_up(settings.logs_folder, level=settings.log_level, every_s=LOG_EVERY_S)
    config = service.config.server
    ending = threading.Event()
    server = Server(
        create_app(service, ending=ending), host=service.host, port=service.port, refuse=refuse, on_cut=ending.set,
        threads=config.threads, max_body_bytes=config.max_body_bytes_media,
        uploads=Uploads(settings.data_folder / "blobs", config.max_upload_bytes),
    )
    try:
        server.bind()
        service.start(own=(service.host, server.port))
    except CannotListen as error:
        print(f"moe: {error}", file=sys.stderr)
        return 1
    except ConfigError as error:
        return _refuse_config(error)
    _obey_signals(server, service)
    service.watch()
    log.info("moe %s serves on http://%s:%d", __version__, _in_url(service.host), server.port)
    server.serve()
    service.close()
    log.info("moe ended")
    logging.shutdown()
    return 0


def _obey_signals(server: Server, service: Service) -> None:
    """SIGTERM and SIGINT drain and end, SIGHUP reloads; the work is done outside the handler."""
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: server.close(DRAIN_S))
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=service.reload, name="reload").start())


def _refuse_config(error: ConfigError) -> int:
    print("moe: the configuration is refused:", file=sys.stderr)
    for problem in error.problems:
        print(f"  {problem}", file=sys.stderr)
    return 2


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
