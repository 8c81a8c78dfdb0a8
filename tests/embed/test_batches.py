"""Queries that come while the encoder is busy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from moe.embed import Rows
from moe.embed.batches import BatchEncoder

GUARD_S = 20


class Gate:
    """An encoder for BatchEncoder that waits to be let go, and gives each text's length as its row."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.entered = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)

    def __call__(self, texts: Sequence[str]) -> Rows:
        self.batches.append(list(texts))
        self.entered.release()
        assert self.let_go.acquire(timeout=GUARD_S)
        if "poison" in texts:
            raise RuntimeError("poison")
        return np.array([[len(text)] for text in texts], dtype=np.float32)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as threads:
        yield threads


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(GUARD_S * 200):
        if is_so():
            return
        threading.Event().wait(0.005)
    pytest.fail("it never came to that")


def test_queries_that_come_while_one_runs_share_the_next_run(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    encoder = BatchEncoder(gate)
    first = pool.submit(encoder.encode_one, "a")
    assert gate.entered.acquire(timeout=GUARD_S)
    others = [pool.submit(encoder.encode_one, "b" * n) for n in range(2, 8)]
    wait_until(lambda: len(encoder._open.texts) == 6)
    gate.let_go.release(2)
    assert first.result(GUARD_S)[0] == 1
    assert [other.result(GUARD_S)[0] for other in others] == [2, 3, 4, 5, 6, 7]
    assert [len(batch) for batch in gate.batches] == [1, 6]


def test_a_batch_that_is_full_opens_another(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    encoder = BatchEncoder(gate)
    gate.let_go.release(100)
    with encoder._engine:
        jobs = [pool.submit(encoder.encode_one, "b" * n) for n in range(1, 36)]
        wait_until(lambda: len(encoder._open.texts) == 3)
    assert [job.result(GUARD_S)[0] for job in jobs] == list(range(1, 36))
    assert sorted(map(len, gate.batches)) == [3, 16, 16]


def test_when_the_leader_fails_the_others_run_alone_and_nobody_waits_for_ever(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    encoder = BatchEncoder(gate)
    gate.let_go.release(100)
    jobs = {}
    with encoder._engine:
        for text in ("poison", "b", "cc"):
            jobs[text] = pool.submit(encoder.encode_one, text)
            wait_until(lambda: len(encoder._open.texts) == len(jobs))
    with pytest.raises(RuntimeError, match="poison"):
        jobs["poison"].result(GUARD_S)
    assert (jobs["b"].result(GUARD_S)[0], jobs["cc"].result(GUARD_S)[0]) == (1, 2)
    assert encoder.encode_one("after")[0] == 5
