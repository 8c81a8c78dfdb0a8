"""What the clients meet: the live server over a fake Ollama, with a small model of its own beside it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from moe.config.settings import ROOT
from tests.backends.tiny import GENERAL, answers
from tests.clients.relay import Relay
from tests.fakes import FakeModel, Request, Step, answer, error_line, fake_ollama
from tests.fakes.speech import embed
from tests.live import live_server

SEEING, THINKING, EMBEDDING, CODING, BROKEN = "gemma3:4b", "qwen3:8b", "nomic-embed-text", "coder:1b", "broken:1b"
ENCODER = "all-minilm"
WIDTH = 16
ORDER = re.compile(r"please call (\w+) with (\{.*?\}) now")
PAUSE_S = 0.01  # between two words, else they may arrive as one
EXPERT, MISSING = "plain", "missing:1b"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
MODELS = (
    FakeModel(SEEING, capabilities=("completion", "tools", "vision"), loaded=True),
    FakeModel(THINKING, capabilities=("completion", "tools", "thinking")),
    FakeModel(EMBEDDING, capabilities=("embedding",), embedding_length=WIDTH),
    FakeModel(CODING, capabilities=("completion", "insert")),
    FakeModel(BROKEN),
)
EXPERTS = ({"id": 0, "label": EXPERT, "description": "Everything", "model_name": SEEING, "vision": True},)


class Stage(NamedTuple):
    """`plan` is what a driver is told: where to ask, which models there are, and what they answer.

    It asks through the relay; `url` is the server itself.
    """

    url: str
    relay: Relay
    plan: dict[str, Any]


@contextmanager
def open_stage(
    folder: Path, *, more_models: Iterable[FakeModel] = (), takes_any_name: bool = False
) -> Iterator[Stage]:
    """A server of its own, so that clients do not meet each other."""
    models = folder / "models"
    models.mkdir(parents=True)
    local = _lay_out(models)
    with fake_ollama([*MODELS, *more_models]) as ollama:
        for name in (SEEING, THINKING, CODING):
            ollama.script(name, [play])
        ollama.script(BROKEN, [break_off])
        config = {"expert_runner": {"ollama_url": ollama.url},
                  "router": {"unknown_model": "route" if takes_any_name else "error"}}
        with live_server(folder, config=config, experts=EXPERTS, models_folder=models) as server:
            server.gateway.catalog.stand_ins()  # the node has been asked once
            with Relay(server.host, server.port) as relay:
                yield Stage(server.url, relay, _plan(relay.url, local))


def play(request: Request) -> Step:
    """What the models do: call what they are told to, and else not one of the many tools that an agent offers."""
    body = request.json or {}
    turns = [turn for turn in body.get("messages") or () if turn["role"] != "system"]
    if turns and turns[-1]["role"] == "user" and body.get("tools"):
        text = turns[-1].get("content") or ""
        if order := ORDER.search(text):
            return answer(tool_calls=[(order[1], json.loads(order[2]))])
        if len(body["tools"]) > 1:
            return answer(f"you said: {text}", chunk_delay_s=PAUSE_S)
    return answer(chunk_delay_s=PAUSE_S)


def break_off(request: Request) -> Step:
    """What the broken one does."""
    if request.path not in ("/api/chat", "/api/generate"):
        return answer()
    return error_line(after=2, text="two words, and never the rest")


def _lay_out(models: Path) -> dict[str, str] | None:
    """Puts a model and, where set-up made one, the encoder into the folder; tells what to ask the model."""
    encoder = ROOT / "models" / "encoder"
    if encoder.is_dir():
        (models / "encoder").symlink_to(encoder, target_is_directory=True)
    if find_spec("llama_cpp") is None:
        return None
    shutil.copy(GENERAL, models)
    question, told = answers("general")[0]
    return {"model": GENERAL.stem, "question": question, "answer": told}


def _plan(url: str, local: dict[str, str] | None) -> dict[str, Any]:
    return {
        "url": url, "model": "lemoe", "expert": EXPERT, "seeing": SEEING, "thinking": THINKING, "embedding": EMBEDDING,
        "coding": CODING, "broken": BROKEN, "missing": MISSING, "local": local, "pixel": PIXEL,
        "vector": embed("hello", WIDTH), "encoder": ENCODER if (ROOT / "models" / "encoder").is_dir() else "",
    }
