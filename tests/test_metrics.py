"""Statistics: nothing is lost between threads, and no reader, crash or broken disk meets half a file."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from moe.metrics import Statistics

HANG_S = 30


def record(statistics: Statistics, key: str = "math phi4:14b", *, times: int = 1) -> None:
    for _ in range(times):
        statistics.record_answer(key, tokens=(10, 20), times_ms=(1.5, 3.0), now=1_800_000_000.0)


def saved(file: Path) -> dict[str, dict[str, float]]:
    models: dict[str, dict[str, float]] = json.loads(file.read_text(encoding="utf-8"))["models"]
    return models


def test_what_was_counted_is_there_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "data" / "models.json"
    first = Statistics(file)
    assert first.load() == ""
    record(first, times=2)
    first.record_failure("math phi4:14b")
    first.close()

    second = Statistics(file)
    assert second.load() == ""
    record(second)
    assert second.snapshot() == {
        "math phi4:14b": {"answers": 3, "failures": 1, "prompt_tokens": 30, "completion_tokens": 60,
                          "first_token_ms": 4.5, "total_ms": 9.0, "last_used": 1_800_000_000.0}
    }


def test_a_later_version_s_fields_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    file.write_text('{"models": {"a m": {"answers": 4, "euros": 1.5}}, "since": 2026}', encoding="utf-8")
    statistics = Statistics(file)
    assert statistics.load() == ""
    assert statistics.snapshot()["a m"]["answers"] == 4


@pytest.mark.parametrize(
    "broken",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"models": []}', b'{"models": {"a m": 5}}', b"{}",
        b'{"models": {"a m": {"answers": "many"}}}', b'{"models": {"a m": {"total_ms": null}}}', b"[" * 100_000,
    ],
)
def test_a_broken_file_is_set_aside_and_counting_starts_anew(tmp_path: Path, broken: bytes) -> None:
    file = tmp_path / "models.json"
    file.write_bytes(broken)
    statistics = Statistics(file)
    assert "kept as models.broken.json, counting starts anew" in statistics.load()
    assert (tmp_path / "models.broken.json").read_bytes() == broken
    assert statistics.snapshot() == {}
    record(statistics, "a m")
    statistics.save()
    assert saved(file)["a m"]["answers"] == 1


def test_what_cannot_even_be_set_aside_stops_nobody(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    file.mkdir()
    (tmp_path / "models.broken.json").write_text("in the way", encoding="utf-8")
    statistics = Statistics(file)
    assert "cannot be set aside" in statistics.load()
    record(statistics)
    statistics.close()
    assert statistics.snapshot()["math phi4:14b"]["answers"] == 1


def test_where_nothing_can_be_written_the_log_says_so_once_and_it_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    folder.write_text("a file where the folder should be", encoding="utf-8")
    statistics = Statistics(folder / "models.json")
    logger = logging.getLogger("moe.metrics")
    logger.addHandler(caplog.handler)
    try:
        record(statistics)
        statistics.save()
        record(statistics)
        statistics.save()
    finally:
        logger.removeHandler(caplog.handler)
    assert len({id(record) for record in caplog.records}) == 1
    assert "statistics cannot be kept" in caplog.text

    folder.unlink()
    statistics.save()
    assert saved(folder / "models.json")["math phi4:14b"]["answers"] == 2


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    statistics = Statistics(file)
    record(statistics)
    statistics.save()
    before = file.read_bytes()
    file.unlink()
    file.mkdir()  # nothing can be renamed onto a folder
    record(statistics)
    statistics.save()
    assert [each.name for each in tmp_path.iterdir()] == ["models.json"]

    file.rmdir()
    statistics.save()
    assert len(file.read_bytes()) >= len(before)
    assert saved(file)["math phi4:14b"]["answers"] == 2


def test_nothing_is_written_while_nothing_happens(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    statistics = Statistics(file)
    statistics.save()
    assert not file.exists()
    record(statistics)
    statistics.save()
    file.unlink()
    statistics.save()
    assert not file.exists()


def test_many_threads_lose_no_count_while_it_is_saved_and_read(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    statistics = Statistics(file)
    record(statistics)
    statistics.save()
    over = threading.Event()
    seen: list[int] = []

    def look() -> None:
        while not over.is_set():
            seen.append(int(saved(file)["math phi4:14b"]["answers"]))

    def save() -> None:
        while not over.is_set():
            statistics.save()

    watchers = [threading.Thread(target=look), threading.Thread(target=save), threading.Thread(target=save)]
    counters = [threading.Thread(target=record, args=(statistics,), kwargs={"times": 500}) for _ in range(8)]
    for thread in (*watchers, *counters):
        thread.start()
    for thread in counters:
        thread.join(HANG_S)
    over.set()
    for thread in watchers:
        thread.join(HANG_S)
    statistics.save()
    assert saved(file)["math phi4:14b"]["answers"] == 1 + 8 * 500
    assert seen and seen == sorted(seen)
    assert [each.name for each in tmp_path.iterdir()] == ["models.json"]


WRITER = """
import sys
from pathlib import Path
from moe.metrics import Statistics
statistics = Statistics(Path(sys.argv[1]))
while True:
    for number in range(200):
        statistics.record_failure(f"expert-{number} model")
    statistics.save()
    print("saved", flush=True)
"""


def test_a_process_killed_while_it_writes_leaves_a_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(5):
                assert writer.stdout.readline() == b"saved\n"
            os.kill(writer.pid, signal.SIGKILL)
        assert len(saved(file)) == 200


def test_the_thread_ends_and_saves_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    statistics = Statistics(file)
    statistics.start()
    record(statistics)
    assert any(thread.name == "statistics" for thread in threading.enumerate())
    statistics.close()
    assert saved(file)["math phi4:14b"]["answers"] == 1
    assert not any(thread.name == "statistics" for thread in threading.enumerate())
