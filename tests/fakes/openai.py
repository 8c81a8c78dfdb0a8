"""An OpenAI-compatible server without a model, for people: `python -m tests.fakes.openai --port 8080`."""

from __future__ import annotations

import argparse

from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.script import answer
from tests.fakes.upstream import serve_until_interrupted


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.openai", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--models", default="gpt-4o-mini", help="names, separated by commas")
    parser.add_argument("--require-key", default=None, help="the API key that clients must send")
    parser.add_argument("--chunk-delay-s", type=float, default=0.05, help="pause after each word")
    options = parser.parse_args()
    models = [name for name in options.models.split(",") if name]
    fake = FakeOpenAI(models, require_key=options.require_key, host=options.host, port=options.port)
    for path in ("/v1/chat/completions", "/v1/completions"):
        fake.script(path, [answer(chunk_delay_s=options.chunk_delay_s)])
    serve_until_interrupted(fake)


if __name__ == "__main__":
    main()
