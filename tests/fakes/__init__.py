"""Fake upstreams that speak the real protocols over real sockets, and break them on demand.

    with fake_ollama(["gemma3:4b", FakeModel("phi4:14b", loaded=True)]) as ollama:
        ollama.script("gemma3:4b", [http_error(503), cut(after=2), answer("Fine again.")])

The n-th request for a model takes the n-th step of its script, the last one repeats. `ollama.requests` tells what
arrived and whether the client stayed to the end (`finished`, `closed_early_at`); `ollama.models.loads` what had to be
loaded. A path can have a script too ("/api/tags"), and a step may be a function of the request.
"""

from tests.fakes.inventory import FakeModel
from tests.fakes.ollama_api import FakeOllama, fake_ollama
from tests.fakes.openai_api import FakeOpenAI, fake_openai
from tests.fakes.port import Blackhole, RefusedPort, SilentPort
from tests.fakes.reply import Step
from tests.fakes.script import (
    answer,
    cut,
    empty,
    endless,
    error_line,
    fragmented,
    garbage,
    hang,
    hang_up,
    headers_then_hang,
    http_error,
    huge,
    invalid_chunk,
    no_done,
    reset,
    slow_drip,
    stall,
)
from tests.fakes.speech import ToolCall
from tests.fakes.wire import Request

__all__ = [
    "Blackhole",
    "FakeModel",
    "FakeOllama",
    "FakeOpenAI",
    "RefusedPort",
    "Request",
    "SilentPort",
    "Step",
    "ToolCall",
    "answer",
    "cut",
    "empty",
    "endless",
    "error_line",
    "fake_ollama",
    "fake_openai",
    "fragmented",
    "garbage",
    "hang",
    "hang_up",
    "headers_then_hang",
    "http_error",
    "huge",
    "invalid_chunk",
    "no_done",
    "reset",
    "slow_drip",
    "stall",
]
