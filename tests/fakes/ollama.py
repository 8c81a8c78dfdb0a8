"""An Ollama without a model, for people: `python -m tests.fakes.ollama --port 11434 --models gemma3:4b,phi4:14b`."""

from __future__ import annotations

import argparse

from tests.fakes.inventory import FakeModel
from tests.fakes.ollama_api import FakeOllama
from tests.fakes.script import answer
from tests.fakes.upstream import serve_until_interrupted


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.ollama", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=11434)
    parser.add_argument("--models", default="gemma3:4b,phi4:14b", help="names, separated by commas")
    parser.add_argument("--chunk-delay-s", type=float, default=0.05, help="pause after each word")
    options = parser.parse_args()
    models = [FakeModel.guessed(name) for name in options.models.split(",") if name]
    fake = FakeOllama(models, host=options.host, port=options.port)
    for path in ("/api/chat", "/api/generate"):
        fake.script(path, [answer(chunk_delay_s=options.chunk_delay_s)])
    serve_until_interrupted(fake)


if __name__ == "__main__":
    main()
