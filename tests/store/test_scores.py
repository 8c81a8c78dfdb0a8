"""Scores of models: smoothed, silent while little is known, and fed only by who did not answer."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.config.settings import ROOT
from moe.store import NotStored, Score, Scores, Source
from moe.store.scores import FEW, UNKNOWN

ADDING = """
import sys
from pathlib import Path
from moe.store import Scores, Source
print("ready", flush=True)
sys.stdin.readline()
scores = Scores(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    scores.add("phi4:14b", "math", positive=number % 4 == 0, source=Source.ESCALATION)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "moe.sqlite"


def add(scores: Scores, model: str, good: int, bad: int, *, domain: str = "math") -> None:
    for place in range(good + bad):
        source = Source.FEEDBACK if place % 2 else Source.ESCALATION
        scores.add(model, domain, positive=place < good, source=source)


def test_a_half_until_there_are_five_observations(file: Path) -> None:
    scores = Scores(file)
    told = [scores.find("a", "math").value]
    for _ in range(FEW):
        scores.add("a", "math", positive=True, source=Source.FEEDBACK)
        told.append(scores.find("a", "math").value)
    assert told == [UNKNOWN] * FEW + [6 / 7]


@given(good=st.integers(0, 500), bad=st.integers(0, 500))
def test_it_is_laplaces_share(good: int, bad: int) -> None:
    score = Score(good, good + bad)
    assert score.value == ((good + 1) / (good + bad + 2) if good + bad >= 5 else 0.5)
    assert 0 < score.value < 1
    assert Score(good + 1, good + bad + 1).value >= score.value or not score.is_known


def test_what_was_observed_is_there_after_a_restart_and_of_both_sources_together(file: Path) -> None:
    first = Scores(file)
    add(first, "a", 5, 2)
    first.close()
    assert Scores(file).find("a", "math") == Score(5, 7)


def test_domains_and_models_are_apart(file: Path) -> None:
    scores = Scores(file)
    add(scores, "a", 6, 0)
    add(scores, "a", 0, 6, domain="law")
    assert scores.find("a", "math").value > 0.8
    assert scores.find("a", "law").value < 0.2
    assert scores.find_all(("b", "a"), "math") == {"b": Score(), "a": Score(6, 6)}
    assert list(scores.find_all(("b", "a"), "math")) == ["b", "a"]


def test_the_best_is_the_highest_and_the_first_of_equals(file: Path) -> None:
    scores = Scores(file)
    assert scores.best((), "math") == ""
    assert scores.best(("new", "newer"), "math") == "new"
    add(scores, "good", 9, 1)
    add(scores, "bad", 1, 9)
    add(scores, "seldom", 4, 0)
    assert scores.best(("bad", "new", "good", "seldom"), "math") == "good"
    assert scores.best(("bad", "new"), "math") == "new"
    assert scores.best(("seldom", "new"), "math") == "seldom"


@pytest.mark.parametrize("source", ["feedback", "self", None, 1])
def test_a_source_that_is_none_of_the_two_is_refused(file: Path, source: object) -> None:
    with pytest.raises(TypeError, match="own word"):
        Scores(file).add("a", "math", positive=True, source=source)  # type: ignore[arg-type]
    assert not file.exists()
    assert {source.value for source in Source} == {"feedback", "escalation"}


def test_no_file_is_made_to_look_something_up(file: Path) -> None:
    assert Scores(file).find("a", "math").value == UNKNOWN
    assert Scores(file).best(("a",), "math") == "a"
    assert not file.exists()


def test_names_are_values_and_no_sql(file: Path) -> None:
    scores = Scores(file)
    name = "x'); DROP TABLE scores; --"
    add(scores, name, 5, 0, domain='"')
    assert scores.find_all((name, "?"), '"') == {name: Score(5, 5), "?": Score()}


def test_no_observation_of_several_threads_is_lost(file: Path) -> None:
    scores = Scores(file)
    threads = [threading.Thread(target=add, args=(scores, "a", 10, 15)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert scores.find("a", "math") == Score(80, 200)


def test_no_observation_of_several_processes_is_lost_though_all_make_the_file(file: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", ADDING, str(file), "25"], cwd=ROOT, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, told
    assert Scores(file).find("phi4:14b", "math") == Score(28, 100)


def test_a_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    file = tmp_path / "moe.sqlite"
    file.write_bytes(b"this is no database, and long enough to be seen as none" * 20)
    scores = Scores(file)
    with pytest.raises(NotStored):
        scores.find("a", "math")
    with pytest.raises(NotStored):
        scores.add("a", "math", positive=True, source=Source.FEEDBACK)
