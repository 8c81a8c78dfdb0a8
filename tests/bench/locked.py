"""What local models are measured against: llama-cpp-python's high-level Llama behind a lock, in a small web server."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

import waitress
from flask import Flask, Response, request
from llama_cpp import Llama

THREADS = 64


def create_app(llama: Llama) -> Flask:
    app = Flask("locked", static_folder=None)
    lock = threading.Lock()

    @app.post("/v1/chat/completions")
    def chat() -> Response:
        asked = json.loads(request.get_data())

        def write() -> Iterator[bytes]:
            written = 0
            with lock:
                for chunk in llama.create_chat_completion(
                    asked["messages"], stream=True, max_tokens=asked["max_tokens"], temperature=asked["temperature"]
                ):
                    written += bool(chunk["choices"][0]["delta"].get("content"))
                    yield _event(chunk)
            yield _event({"choices": [], "usage": {"completion_tokens": written}}) + b"data: [DONE]\n\n"

        return Response(write(), content_type="text/event-stream")

    return app


def _event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def main(model: str, threads: int, context: int) -> None:
    """Prints the port, then serves until it is ended."""
    llama = Llama(model, n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False)
    server = waitress.create_server(create_app(llama), host="127.0.0.1", port=0, threads=THREADS,
                                    channel_request_lookahead=1)
    print(server.effective_port, flush=True)
    server.run()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:4]))
