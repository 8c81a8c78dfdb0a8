"""What GGUF and ONNX experts have in common: whose files change, wait, break and disappear."""

from __future__ import annotations

import json
import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from moe.backends.gguf import Gguf
from moe.backends.onnx.backend import Onnx
from moe.backends.resident import Resident
from moe.backends.shelf import Shelf
from moe.config import EngineConfig, MemoryConfig, RunnerConfig
from moe.core import ChatRequest, Done, Heartbeat, Message, Sampling, Text
from moe.errors import BackendError, NotReady, TimedOut
from moe.experts import Expert

from .tiny import GENERAL, MODELS, write_parts, write_random

pytest.importorskip("llama_cpp", reason="the set `local` is not installed")

KINDS: dict[str, type[Resident[Any]]] = {"m.gguf": Gguf, "m-onnx": Onnx}


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    made = Shelf(MemoryConfig())
    yield made
    made.close()


@pytest.fixture(params=list(KINDS))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model in a models folder, in either format."""
    folder = tmp_path / "models"
    folder.mkdir()
    made = folder / request.param
    if made.suffix:
        shutil.copyfile(GENERAL, made)
    else:
        shutil.copytree(MODELS / "general-onnx", made)
    return made


def reach(place: Path, shelf: Shelf, **settings: Any) -> Resident[Any]:
    expert = Expert(id=1, label="local", type="local", model_path=place.name)
    return KINDS[place.name](expert, EngineConfig(), shelf, place.parent, **settings)


def ask(backend: Resident[Any], **request: Any) -> str:
    message = Message("user", (Text("Who are you?"),))
    asked = ChatRequest(messages=(message,), sampling=Sampling(temperature=0, max_tokens=12), **request)
    return "".join(chunk.text for chunk in backend.chat(asked) if isinstance(chunk, Text))


def change(place: Path) -> None:
    """The same model, as if it had been put there anew."""
    for file in [place] if place.is_file() else place.iterdir():
        os.utime(file, (1, 1))


def test_a_model_whose_files_were_replaced_leaves_memory(place: Path, shelf: Shelf) -> None:
    backend = reach(place, shelf)
    first = ask(backend, keep_alive=-1)
    change(place)
    assert ask(backend) == first == "I am the general expert."
    assert len(shelf.loaded()) == 1 and shelf.loaded()[0].expires > 0


def test_a_model_whose_files_were_deleted_leaves_memory(place: Path, shelf: Shelf) -> None:
    backend = reach(place, shelf)
    ask(backend, keep_alive=-1)
    place.rename(place.with_name("away"))
    with pytest.raises(NotReady, match="put it there"):
        ask(backend)
    assert shelf.loaded() == []
    place.with_name("away").rename(place)
    assert ask(backend) == "I am the general expert."


def test_an_answer_under_way_ends_well_when_its_file_is_deleted(place: Path, shelf: Shelf) -> None:
    backend = reach(place, shelf)
    ask(backend)
    asked = ChatRequest(messages=(Message("user", (Text("Tell me a long story."),)),), sampling=Sampling(temperature=0))
    chunks = (chunk for chunk in backend.chat(asked) if not isinstance(chunk, Heartbeat))
    first = next(chunks)
    place.rename(place.with_name("away"))
    with pytest.raises(NotReady):
        ask(backend)
    told = "".join(chunk.text for chunk in [first, *chunks] if isinstance(chunk, Text))
    assert told.endswith("The end.")
    assert shelf.loaded() == []


def test_every_file_of_a_folder_counts_and_not_only_its_graph(tmp_path: Path, shelf: Shelf) -> None:
    place = tmp_path / "models" / "m-onnx"
    shutil.copytree(MODELS / "general-onnx", place)
    backend = reach(place, shelf)
    assert ask(backend) == "I am the general expert."
    sheet = json.loads((place / "tokenizer_config.json").read_text())
    sheet["chat_template"] = "{{ raise_exception('no more') }}"
    (place / "tokenizer_config.json").write_text(json.dumps(sheet))
    with pytest.raises(BackendError, match="no more"):
        ask(backend)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json"])
def test_no_file_of_a_folder_may_lie_outside_of_the_models_folder(tmp_path: Path, shelf: Shelf, name: str) -> None:
    place = tmp_path / "models" / "m-onnx"
    shutil.copytree(MODELS / "general-onnx", place)
    (place / name).rename(tmp_path / name)
    (place / name).symlink_to(tmp_path / name)
    with pytest.raises(NotReady, match="leads out of"):
        ask(reach(place, shelf))


def test_files_may_be_links_within_the_models_folder(tmp_path: Path, shelf: Shelf) -> None:
    place = tmp_path / "models" / "m-onnx"
    shutil.copytree(MODELS / "general-onnx", place)
    (place / "model.onnx").rename(tmp_path / "models" / "blob")
    (place / "model.onnx").symlink_to(tmp_path / "models" / "blob")
    assert ask(reach(place, shelf)) == "I am the general expert."


def test_a_model_in_parts_is_one_model(tmp_path: Path, shelf: Shelf) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    first, second = write_parts(folder, "big")
    backend = Gguf(Expert(id=1, label="l", type="local", model_path=first.name), EngineConfig(), shelf, folder)
    ask(backend)
    card = backend.describe()
    assert (card.name, card.size) == ("big", first.stat().st_size + second.stat().st_size)
    assert card.parameter_size == Gguf(
        Expert(id=1, label="l", type="local", model_path=write_random(folder / "whole.gguf").name), EngineConfig(),
        shelf, folder).describe().parameter_size
    later = Gguf(Expert(id=1, label="l", type="local", model_path=second.name), EngineConfig(), shelf, folder)
    with pytest.raises(NotReady, match=f"name the first, {first.name}"):
        ask(later)
    second.rename(folder / "away")
    with pytest.raises(NotReady, match=r"big-00002-of-00002\.gguf is not in"):
        ask(backend)


def test_a_part_may_not_lie_outside_of_the_models_folder(tmp_path: Path, shelf: Shelf) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    first, second = write_parts(folder, "big")
    second.rename(tmp_path / second.name)
    second.symlink_to(tmp_path / second.name)
    with pytest.raises(NotReady, match="leads out of"):
        ask(Gguf(Expert(id=1, label="l", type="local", model_path=first.name), EngineConfig(), shelf, folder))


def test_to_wait_in_line_is_no_silence(place: Path, shelf: Shelf) -> None:
    """The seventeenth answer of a slow model may wait for minutes, and a tool call is told only when it is whole."""
    backend = reach(place, shelf)
    assert backend.first_token_limit_s(ChatRequest()) == backend.idle_limit_s("") == math.inf


def test_a_model_that_does_not_come_into_memory_is_told_in_time(place: Path, shelf: Shelf) -> None:
    backend = reach(place, shelf, runner=RunnerConfig(cold_load_timeout_s=0.2))
    free = threading.Event()

    def hang(*_: Any, **__: Any) -> None:
        free.wait(30)
        raise NotReady("late")

    backend._open = hang  # type: ignore[attr-defined]
    with pytest.raises(TimedOut, match="not in memory within"):
        ask(backend)
    free.set()


def test_a_file_that_could_not_be_read_is_read_again_only_after_a_while(
    tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A header may be a hundred megabytes long, and several questions are asked of it for every prompt."""
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + b"\xff" * 60)
    backend = reach(tmp_path / "m.gguf", shelf)
    reads: list[object] = []
    read = backend._read
    backend._read = lambda *given: (reads.append(given), read(*given))[1]  # type: ignore[method-assign]
    for _ in range(5):
        with pytest.raises(NotReady, match="not a usable GGUF"):
            ask(backend)
        assert backend.trouble("") and backend.misfit(ChatRequest()) == ""
    assert len(reads) == 1
    monkeypatch.setattr("moe.backends.resident.LOOK_AGAIN_S", -1.0)
    backend._last = None
    assert backend.trouble("") and backend.trouble("")
    assert len(reads) == 3


def test_a_broken_engine_is_replaced_even_while_many_still_ask(tmp_path: Path, shelf: Shelf) -> None:
    """Whoever comes while others still hold the broken one gets a new one at once."""
    (tmp_path / "models").mkdir()
    place = shutil.copyfile(GENERAL, tmp_path / "models" / "m.gguf")
    backend = reach(place, shelf)
    ask(backend)
    source = backend._source(backend._look())
    holder = drain(shelf.borrow(source))
    broken = holder.model
    broken._batcher._stop(NotReady("ended"))
    with pytest.raises(NotReady, match="ended"):
        ask(backend)
    assert ask(backend) == "I am the general expert.", "one still holds the broken model"
    holder.condemn()
    holder.__exit__(None, None, None)
    assert [loaded.name for loaded in shelf.loaded()] == ["m"], "an old holder does not take the new one along"
    assert drain(shelf.borrow(source)).model is not broken


def test_experts_with_the_same_file_and_other_settings_have_a_model_each(place: Path, shelf: Shelf) -> None:
    def expert(**options: int) -> Resident[Any]:
        made = Expert(id=1, label="l", type="local", model_path=place.name, options=dict(options))
        return KINDS[place.name](made, EngineConfig(), shelf, place.parent)

    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(ask, [expert(), expert(), expert(num_ctx=256), expert(num_ctx=256)] * 4))
    assert told == {"I am the general expert."}
    assert sorted(loaded.context_length for loaded in shelf.loaded()) == [256, 1024]


def test_a_file_is_tried_out_once_however_many_experts_have_it(
    place: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    for module in ("gguf", "onnx.backend"):
        monkeypatch.setattr(f"moe.backends.{module}.probe", lambda form, *_, **__: tried.append(form))
    for _ in range(3):
        ask(reach(place, shelf), keep_alive=0)
    assert len(tried) == 1
    change(place)
    ask(reach(place, shelf))
    assert len(tried) == 2


def test_how_sure_the_model_was_is_told_alike_in_either_format(place: Path, shelf: Shelf) -> None:
    message = Message("user", (Text("What is the capital of France?"),))
    *_, done = reach(place, shelf).chat(ChatRequest(messages=(message,), sampling=Sampling(temperature=0)))
    assert isinstance(done, Done) and done.min_logprob is not None and done.mean_logprob is not None
    assert -0.02 < done.min_logprob <= done.mean_logprob <= 0


def drain(waiting: Any) -> Any:
    while True:
        try:
            next(waiting)
        except StopIteration as done:
            return done.value


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_nobody_who_leaves_while_it_loads_keeps_a_place(place: Path, shelf: Shelf) -> None:
    backend = reach(place, shelf)
    waiting = backend.chat(ChatRequest(messages=(Message("user", (Text("Hi"),)),), keep_alive=0))
    with suppress(BackendError):
        next(waiting)
    waiting.close()
    wait_for(lambda: shelf.loaded() == [] and not shelf._entries)
