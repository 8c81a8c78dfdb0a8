"""The upstream of a soak: an Ollama without a model, of some patience, which keeps nothing of what it was asked."""

from __future__ import annotations

import signal
import sys
import threading
from itertools import count
from random import Random

from tests.fakes.inventory import FakeModel
from tests.fakes.ollama_api import FakeOllama
from tests.fakes.reply import Step
from tests.fakes.script import answer
from tests.fakes.wire import Request

CHAT, EMBEDDER = "gemma3:4b", "nomic-embed-text"
AT_LENGTH = "at length"
LONG_WORDS = 400
PATHS = ("/api/chat", "/api/generate")


def speak(seed: int) -> None:
    """Prints the port, then answers until it is ended: 4 to 40 words some milliseconds apart, or a long text at once
    for who asks AT_LENGTH."""
    numbers, over = count(), threading.Event()

    def choose(request: Request) -> Step:
        if AT_LENGTH.encode() in request.body:
            return answer("word " * LONG_WORDS)
        random = Random(f"{seed} {next(numbers)}")
        return answer("word " * random.randint(4, 40), chunk_delay_s=random.choice((0.005, 0.02, 0.03)),
                      first_token_delay_s=random.choice((0.0, 0.0, 0.2)))

    with FakeOllama(map(FakeModel.guessed, (CHAT, EMBEDDER))) as fake:
        fake.observe(lambda _: fake.forget_requests())
        for path in PATHS:
            fake.script(path, [choose])
        signal.signal(signal.SIGTERM, lambda *_: over.set())
        print(fake.port, flush=True)
        over.wait()


if __name__ == "__main__":
    speak(int(sys.argv[1]))
