"""What stays behind: nothing of a model that was unloaded, and nothing of ten thousand answers."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import requests
from onnx import TensorProto, helper, numpy_helper, save

from moe.backends.gguf import Gguf
from moe.backends.onnx.backend import Onnx
from moe.backends.resident import Resident
from moe.backends.shelf import Shelf
from moe.config import EngineConfig, MemoryConfig
from moe.core import ChatRequest, Message, Sampling, Text
from moe.experts import Expert
from moe.options import KeepAlive
from tests.live import live_server
from tests.talk import talk

from .onnx_kit import WORDS, make_chain
from .tiny import MODELS, answers, write_random

pytest.importorskip("llama_cpp", reason="the set `local` is not installed")

PROC = Path("/proc/self")
ROOT = Path(__file__).parents[2]
HANG_S = 60.0
GROWTH_BYTES = 32 << 20
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PROC.exists(), reason="the system does not tell what a process holds"),
]


class Held(NamedTuple):
    """What this process holds."""

    resident_bytes: int
    threads: int
    files: int

    @classmethod
    def now(cls) -> Held:
        pages = int((PROC / "statm").read_text().split()[1])
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), threading.active_count(), len(list((PROC / "fd").iterdir())))

    def check(self, later: Held) -> None:
        assert later.resident_bytes - self.resident_bytes < GROWTH_BYTES
        assert (later.threads, later.files) <= (self.threads, self.files + 2)


def reach(path: str, shelf: Shelf, folder: Path = MODELS) -> Resident[Any]:
    kind = Gguf if path.endswith(".gguf") else Onnx
    return kind(Expert(id=1, label="l", type="local", model_path=path), EngineConfig(), shelf, folder)


def ask(backend: Resident[Any], text: str, *, keep_alive: KeepAlive | None = None, most: int | None = None) -> str:
    request = ChatRequest(messages=(Message("user", (Text(text),)),), keep_alive=keep_alive,
                          sampling=Sampling(temperature=0, max_tokens=most))
    return "".join(chunk.text for chunk in backend.chat(request) if isinstance(chunk, Text))


# -- ten thousand answers


@pytest.mark.parametrize("path, count", [("math.gguf", 10_000), ("math-onnx", 2_000)])
def test_answers_with_leavers_among_them_are_right_and_leave_nothing_behind(path: str, count: int) -> None:
    pairs = answers("math")
    with closing(Shelf(MemoryConfig())) as shelf:
        backend = reach(path, shelf)

        def one(place: int) -> bool:
            question, answer = pairs[place % len(pairs)]
            if place % 5 == 0:
                chunks = backend.chat(ChatRequest(messages=(Message("user", (Text("Count to ten."),)),)))
                next(chunks)
                chunks.close()
            return ask(backend, question) == answer

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(one, range(count // 10)))
            before = Held.now()
            assert all(pool.map(one, range(count - count // 10)))
            before.check(Held.now())
        wait_for(lambda: [loaded.users for loaded in shelf.loaded()] == [0])
        if path == "math.gguf":
            check_idle(shelf)


def check_idle(shelf: Shelf) -> None:
    """Nobody is left in the engine."""
    (entry,) = shelf._entries.values()
    batcher = entry.model._batcher
    wait_for(lambda: not batcher._running)
    assert not batcher._waiting and all(not slot.is_taken for slot in batcher._slots._slots)


@pytest.mark.bench
def test_ten_thousand_answers_of_the_whole_server_are_right_and_leave_nothing_behind(tmp_path: Path) -> None:
    """Both formats, every dialect, streamed and whole, with clients that leave among them."""
    experts = [{"id": 0, "label": "fallback", "model_name": "auto"},
               {"id": 1, "label": "graph", "type": "local", "model_path": "math-onnx"}]
    pairs = answers("math")
    with live_server(tmp_path, experts=experts, models_folder=MODELS, config={"server": {"threads": 64}}) as server:

        def one(place: int) -> bool:
            question, answer = pairs[place % len(pairs)]
            if place % 9 == 0:
                leave(server.url, question)
            told = talk(server.url, question, dialect=("openai", "ollama", "generate")[place % 3],
                        stream=place % 2 == 0, model=("math", "graph")[place % 4 == 3], **cold(place % 3 == 0))
            return told.is_good and told.text == answer

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(one, range(1_000)))
            before = Held.now()
            for part in range(9):
                assert all(pool.map(one, range(1_000)))
                now = Held.now()
                print(f"{(part + 2) * 1000} answers: {now.resident_bytes / 1e6:.1f} MB (at 1000 "
                      f"{before.resident_bytes / 1e6:.1f}), {now.threads} threads, {now.files} files")
            before.check(Held.now())


def cold(is_openai: bool) -> dict[str, Any]:
    return {"temperature": 0} if is_openai else {"options": {"temperature": 0}}


def leave(url: str, question: str) -> None:
    body = {"model": "math", "messages": [{"role": "user", "content": question}]}
    with suppress(requests.RequestException):
        requests.post(f"{url}/api/chat", json=body, stream=True, timeout=HANG_S).close()


# -- memory


def write_wide_gguf(folder: Path) -> int:
    return write_random(folder / "wide.gguf", width=1536).stat().st_size


def write_wide_graph(folder: Path) -> int:
    """100 MB of weights, of which every token needs some, so that nothing is folded away."""
    made = make_chain(folder / "wide", graph=False)
    after = numpy_helper.from_array(np.eye(len(WORDS), dtype=np.float32), "after")
    wide = numpy_helper.from_array(np.ones((len(WORDS), 5 << 20), np.float32), "wide")
    nodes = [
        helper.make_node("Gather", ["after", "input_ids"], ["next"]),
        helper.make_node("Gather", ["wide", "input_ids"], ["row"]),
        helper.make_node("ReduceMean", ["row"], ["one"], axes=[-1], keepdims=1),
        helper.make_node("Mul", ["next", "one"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes, "wide", [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["rows", "length"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)], [after, wide],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), made / "model.onnx")
    return (made / "model.onnx").stat().st_size


@pytest.mark.parametrize("name, write", [("wide.gguf", write_wide_gguf), ("wide", write_wide_graph)])
def test_memory_returns_to_the_system(tmp_path: Path, name: str, write: Callable[[Path], int]) -> None:
    """In a process of its own, whose memory nothing else uses: measured, loaded, unloaded, measured again."""
    models = tmp_path / "models"
    models.mkdir()
    size = write(models)
    script = textwrap.dedent(f"""
        from pathlib import Path
        from tests.backends.test_soak import Held, MemoryConfig, Shelf, ask, reach

        shelf = Shelf(MemoryConfig())
        backend = reach({name!r}, shelf, Path({str(models)!r}))
        ask(backend, "one", most=4, keep_alive=0)   # whatever stays of the libraries
        before = Held.now()
        peaks = []
        for _ in range(3):
            ask(backend, "one", most=4)
            peaks.append(Held.now().resident_bytes)
            ask(backend, "one", most=4, keep_alive=0)
        after = Held.now()
        print(before.resident_bytes, max(peaks), after.resident_bytes, after.files - before.files)
        shelf.close()
    """)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300,
                          check=False)
    assert done.returncode == 0, done.stderr
    before, peak, after, files = (int(word) for word in done.stdout.split())
    print(f"{name}, {size / 1e6:.0f} MB: {before / 1e6:.0f} MB, {peak / 1e6:.0f} loaded, {after / 1e6:.0f} after")
    assert peak - before > size * 0.8, "the model was never in memory"
    assert after - before < size * 0.2, f"{after - before} of {size} bytes stayed"
    assert files <= 0


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + HANG_S
    while not is_so():
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.01)
