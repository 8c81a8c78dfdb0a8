"""The floor: the least that Flask, waitress and urllib3 can do, a pass-through to one upstream without any routing."""

from __future__ import annotations

import json
import sys

import urllib3
import waitress
from flask import Flask, Response, request

THREADS = 64


def create_app(upstream_port: int) -> Flask:
    app = Flask("floor", static_folder=None)
    pool = urllib3.HTTPConnectionPool("127.0.0.1", upstream_port, maxsize=THREADS)

    def pass_on(stream_type: str, *, streams_unasked: bool) -> Response:
        asked = json.loads(request.get_data())
        reply = pool.request("POST", request.path, body=json.dumps(asked).encode(),
                             headers={"Content-Type": "application/json"}, preload_content=False)
        if asked.get("stream", streams_unasked):
            return Response(reply.stream(65536), content_type=stream_type)
        answer = json.loads(reply.data)
        reply.release_conn()
        return Response(json.dumps(answer), content_type="application/json")

    @app.post("/v1/chat/completions")
    def openai() -> Response:
        return pass_on("text/event-stream", streams_unasked=False)

    @app.post("/api/chat")
    def ollama() -> Response:
        return pass_on("application/x-ndjson", streams_unasked=True)

    return app


def main(upstream_port: int) -> None:
    """Prints the port, then serves until it is ended."""
    server = waitress.create_server(create_app(upstream_port), host="127.0.0.1", port=0, threads=THREADS,
                                    channel_request_lookahead=1)
    print(server.effective_port, flush=True)
    server.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
