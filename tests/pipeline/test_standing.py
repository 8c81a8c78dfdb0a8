"""Scores at hand: read and written behind the requests' back, and harmless where they cannot be."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import moe.pipeline.standing as module
from moe.pipeline.standing import Standing
from moe.store import Score, Scores, Source
from moe.store.scores import FEW
from tests.fakes import fake_ollama
from tests.live import FALLBACK, Live, live_server


def becomes(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "moe.sqlite"


@pytest.fixture
def standing(file: Path) -> Iterator[Standing]:
    made = Standing(Scores(file))
    made.start()
    yield made
    made.close()


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """What the log is told, whatever another test set up."""
    told: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    ear, logger = Ear(), logging.getLogger("moe.store")
    logger.addHandler(ear)
    yield told
    logger.removeHandler(ear)


def feed(file: Path, model: str, good: int, bad: int, *, domain: str = "math") -> None:
    scores = Scores(file)
    for place in range(good + bad):
        scores.add(model, domain, positive=place < good, source=Source.FEEDBACK)
    scores.close()


def test_the_first_is_the_best_as_long_as_nothing_is_known(standing: Standing, file: Path) -> None:
    assert standing.best(("a", "b"), "math") == "a"
    assert standing.best((), "math") == ""
    assert standing.score("a", "math") is None
    time.sleep(0.1)
    assert not file.exists()


def test_what_is_on_the_disk_is_known_soon(standing: Standing, file: Path) -> None:
    feed(file, "good", 9, 1)
    feed(file, "bad", 1, 9)
    feed(file, "seldom", FEW - 1, 0)
    assert standing.best(("bad", "seldom", "good"), "math") == "bad"  # nobody waits for the disk
    assert becomes(lambda: standing.best(("bad", "seldom", "good"), "math") == "good")
    assert standing.best(("bad", "new"), "math") == "new"
    assert standing.best(("seldom", "new"), "math") == "seldom"
    assert standing.score("good", "math") == 10 / 12
    assert standing.score("seldom", "math") is None
    assert standing.best(("bad", "good"), "law") == "bad"


def test_it_is_read_again_only_after_a_while(
    standing: Standing, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(file, "a", 0, 5)
    assert becomes(lambda: standing.best(("a", "b"), "math") == "b")
    feed(file, "a", 50, 0)
    time.sleep(0.2)
    assert standing.best(("a", "b"), "math") == "b"
    monkeypatch.setattr(module, "READ_EVERY_S", 0.0)
    standing.best(("a", "b", "c"), "math")  # one that nobody asked about yet is read at once
    assert becomes(lambda: standing.best(("a", "b"), "math") == "a")


def test_what_is_observed_is_written_and_counts(standing: Standing, file: Path) -> None:
    for positive in (True, False, False, False, False, False):
        standing.observe("a", "math", positive)
    assert becomes(lambda: Scores(file).find("a", "math") == Score(1, 6))
    assert becomes(lambda: standing.best(("a", "b"), "math") == "b")


def test_at_the_end_nothing_is_left_unwritten(file: Path) -> None:
    standing = Standing(Scores(file))
    standing.start()
    for _ in range(200):
        standing.observe("a", "math", True)
    standing.close()
    assert Scores(file).find("a", "math") == Score(200, 200)


def test_a_file_that_cannot_be_used_is_told_once_and_hinders_nobody(tmp_path: Path, heard: list[str]) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    standing = Standing(Scores(tmp_path / "data" / "moe.sqlite"))
    standing.start()
    for _ in range(20):
        standing.observe("a", "math", False)
        assert standing.best(("a", "b"), "math") == "a"
        time.sleep(0.01)
    assert becomes(lambda: len(heard) == 2)
    time.sleep(0.2)
    began = time.monotonic()
    standing.close()
    assert time.monotonic() - began < 2
    assert ["models are chosen without" in line for line in heard] == [False, True]


def test_it_is_tried_again_after_a_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REST_S", 0.1)
    folder = tmp_path / "data"
    file = folder / "moe.sqlite"
    folder.write_text("a file where the folder should be")
    standing = Standing(Scores(file))
    standing.start()
    standing.observe("a", "math", True)
    time.sleep(0.3)
    folder.unlink()
    assert becomes(lambda: file.exists() and Scores(file).find("a", "math").total > 0)
    standing.close()


def test_what_nobody_writes_is_dropped_with_a_word(
    file: Path, monkeypatch: pytest.MonkeyPatch, heard: list[str]
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    standing = Standing(Scores(file))
    for _ in range(10):
        standing.observe("a", "math", True)
    assert len(heard) == 1 and "further ones are dropped" in heard[0]
    standing.start()
    assert becomes(lambda: file.exists() and Scores(file).find("a", "math").total == 3)
    standing.observe("a", "math", True)
    standing.close()
    assert Scores(file).find("a", "math").total == 4


def test_memory_is_bounded_and_strange_names_are_new(standing: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_MODELS", 2)
    monkeypatch.setattr(module, "MOST_DOMAINS", 2)
    for number in range(5):
        assert standing.best((f"m{number}", "\ud83d"), f"d{number}") == f"m{number}"
        assert standing.best((f"m{number}", "\ud83d"), "d0") == f"m{number}"
    assert len(standing._domains) == 2
    assert len(standing._domains["d0"].scores) <= 3
    standing.observe("m0", "d0", False)
    assert becomes(lambda: standing._waiting == module.deque() and not standing._unread)


def test_several_at_once_lose_nothing(standing: Standing, file: Path) -> None:
    def work() -> None:
        for number in range(25):
            standing.observe("a", "math", number % 2 == 0)
            standing.best(("a", f"b{number}"), "math")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert becomes(lambda: file.exists() and Scores(file).find("a", "math") == Score(104, 200))


def test_the_server_chooses_by_it_and_a_reload_forgets_nothing(tmp_path: Path) -> None:
    file = tmp_path / "data" / "moe.sqlite"
    experts = [FALLBACK, {"id": 1, "label": "math", "models": {"1": "auto", "2": "auto"}}]

    def choose(server: Live) -> str:
        staff = server.gateway._staff
        maths = staff.find("math")
        assert maths is not None
        return staff.assign(maths, tier=1).model

    with fake_ollama(["phi4:14b", "other:14b"]) as ollama:
        config = {"expert_runner": {"ollama_url": ollama.url},
                  "nodes": [{"name": "one", "url": ollama.url, "vram_gb": 900}]}
        with live_server(tmp_path, config=config, experts=experts) as server:
            assert becomes(lambda: choose(server) == "phi4:14b")
            for _ in range(6):
                server.service._standing.observe("phi4:14b", "math", False)
            assert becomes(lambda: file.exists() and Scores(file).find("phi4:14b", "math") == Score(0, 6))
        with live_server(tmp_path, config=config, experts=experts) as server:
            assert becomes(lambda: choose(server) == "other:14b")
            assert server.service.reload()
            assert becomes(lambda: choose(server) != "")
            assert choose(server) == "other:14b"


@pytest.mark.bench
def test_nobody_waits(standing: Standing) -> None:
    models = tuple(f"m{number}" for number in range(3))
    standing.best(models, "math")
    began = time.process_time()
    for _ in range(10_000):
        standing.best(models, "math")
    assert (time.process_time() - began) / 10_000 < 20e-6
