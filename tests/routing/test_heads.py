"""The head of a config, from a real encoder's folder, fitted by the real process."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from moe.config import Settings
from moe.config.schema import Config
from moe.config.settings import ROOT
from moe.core import Decision
from moe.embed import Embedder, load_embedder
from moe.experts import Example
from moe.routing import NoModels, Router, build_router
from moe.routing.fitting import Fitting
from moe.routing.heads import KEPT, Heads, make_task, open_head, tell_guesses
from moe.routing.rows import Task, find_file

from .kit import FALLBACK, ask, make_config
from .prompts import ASKED, EXAMPLES, make_examples, make_experts, make_models

LABELS = tuple(EXAMPLES)
HANG_S = 120


class Home:
    """A config with examples, the encoder, and the folders that a router needs."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(config_folder=folder / "config", data_folder=folder / "data",
                                 models_folder=make_models(folder / "models"), logs_folder=folder / "logs")
        self.config = msgspec.structs.replace(make_config(FALLBACK, *make_experts(*LABELS)),
                                              examples=make_examples(*LABELS))
        found = load_embedder(None, self.settings.models_folder)
        assert found is not None
        self.embedder: Embedder = found

    def task(self, config: Config | None = None) -> Task:
        return make_task(config or self.config, self.embedder, self.settings, model_path=None)

    def serve(self, heads: Heads, task: Task | None = None) -> Router:
        router = build_router(self.config, models=NoModels(), embedder=self.embedder,
                              cache_folder=self.settings.data_folder / "vectors")
        heads.serve(router, task or self.task(), embedder=self.embedder)
        return router

    def fit(self) -> Path:
        with closing(Heads()) as heads:
            self.serve(heads)
            heads.wait(lambda share, step: None)
        return find_file(self.task())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def parts_of(router: Router) -> set[str]:
    return set(router.decide(ask(ASKED["chef"])).scores["chef"])


def test_four_signals_serve_until_the_head_is_fitted(home: Home) -> None:
    heard: list[tuple[float, str]] = []
    with closing(Heads()) as heads:
        router = home.serve(heads)
        assert "is being fitted" in router.note
        assert "max_keyword" in parts_of(router)
        heads.wait(lambda share, step: heard.append((share, step)))
    assert router.note == ""
    assert {"dense", "grams", "nearest"} < parts_of(router)
    for label, text in ASKED.items():
        decision = router.decide(ask(text))
        assert (decision.expert.label, decision.stage) == (label, "embedding")
    assert [share for share, _ in heard] == sorted(share for share, _ in heard)


def test_the_next_router_has_it_at_once_and_starts_no_process(home: Home) -> None:
    file = home.fit()
    made = file.stat().st_ino
    with closing(Heads()) as heads:
        router = home.serve(heads)
        assert router.note == "" and "dense" in parts_of(router)
        heads.wait(lambda share, step: pytest.fail("something is fitted"))
    assert file.stat().st_ino == made


def test_whatever_changes_what_is_learnt_changes_the_head(home: Home) -> None:
    config = home.config
    more = {**config.examples, "chef": (*config.examples["chef"], Example("one more"))}
    moved = {**config.examples, "chef": tuple(Example(row.text, "book") for row in config.examples["chef"])}
    experts = [msgspec.structs.replace(expert, label=f"{expert.label}2") for expert in config.experts]
    changed = [msgspec.structs.replace(config, examples=examples) for examples in (more, moved, {})]
    changed.append(msgspec.structs.replace(config, experts=tuple(experts)))
    tasks = [home.task(), *map(home.task, changed), msgspec.structs.replace(home.task(), fingerprint="other")]
    assert len({task.key for task in tasks}) == len(tasks)
    elsewhere = msgspec.structs.replace(home.task(), data_folder="/elsewhere", models_folder="/m", model_path="x")
    assert elsewhere.key == home.task().key


def test_a_broken_head_is_told_and_made_anew(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    file = home.fit()
    file.write_bytes(b"rubbish")
    with caplog.at_level(logging.WARNING):
        assert open_head(home.task(), embedder=home.embedder) is None
    assert "making it anew" in caplog.text
    home.fit()
    assert open_head(home.task(), embedder=home.embedder) is not None


def test_without_its_encoder_the_four_signals_stay_and_the_note_says_why(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Heads()) as heads, caplog.at_level(logging.WARNING):
        router = home.serve(heads, msgspec.structs.replace(home.task(), fingerprint="another"))
        heads.wait(lambda share, step: None)
    assert "no scorer could be fitted" in router.note and "not the one that was asked for" in router.note
    assert caplog.text.count("no scorer could be fitted") == 1
    assert "max_keyword" in parts_of(router)


def test_a_new_task_takes_the_place_of_the_one_under_way(home: Home) -> None:
    other = home.task(msgspec.structs.replace(home.config, examples={}))
    with closing(Heads()) as heads:
        first = home.serve(heads, other)
        second = home.serve(heads)
        heads.wait(lambda share, step: None)
    assert "is being fitted" in first.note and second.note == ""
    assert find_file(home.task()).is_file() and not find_file(other).is_file()


def test_a_reload_that_changes_nothing_of_it_waits_for_the_same_process(home: Home) -> None:
    heard: list[str] = []
    with closing(Heads()) as heads:
        first = home.serve(heads)
        child = heads._fitting
        second = home.serve(heads)
        assert heads._fitting is child and child is not None
        heads.wait(lambda share, step: heard.append(step))
    assert second.note == "" and "is being fitted" in first.note


def test_closing_ends_the_process_and_a_later_task_starts_none(home: Home) -> None:
    heads = Heads()
    router = home.serve(heads)
    heads.close()
    home.serve(heads)
    heads.wait(lambda share, step: pytest.fail("something is fitted"))
    assert "is being fitted" in router.note and not find_file(home.task()).exists()


def test_only_the_heads_that_were_used_last_are_kept(home: Home) -> None:
    folder = find_file(home.task()).parent
    folder.mkdir(parents=True)
    for number in range(KEPT + 3):
        (folder / f"{number}.npz").touch()
        os.utime(folder / f"{number}.npz", (number, number))
    file = home.fit()
    assert {kept.name for kept in folder.iterdir()} == {file.name, *(f"{KEPT + 2 - i}.npz" for i in range(KEPT - 1))}


def test_a_head_in_use_outlives_many_that_are_tried(home: Home) -> None:
    file = home.fit()
    os.utime(file, (1, 1))
    with closing(Heads()) as heads:
        home.serve(heads)
    for number in range(KEPT + 3):
        (file.parent / f"{number}.npz").touch()
    other = msgspec.structs.replace(home.config, examples={})
    with closing(Heads()) as heads:
        home.serve(heads, home.task(other))
        heads.wait(lambda share, step: None)
    assert len(list(file.parent.iterdir())) == KEPT + 5


def test_a_killed_process_is_started_again(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    with closing(Heads(pauses_s=(0.01, 0.01))) as heads, caplog.at_level(logging.WARNING):
        router = home.serve(heads)
        for _ in range(2):
            kill_child(heads)
        heads.wait(lambda share, step: None)
    assert (router.note, router.is_faulty) == ("", False) and "dense" in parts_of(router)
    assert caplog.text.count("starts again") == 2


def test_a_process_killed_again_and_again_is_given_up_and_told(home: Home) -> None:
    with closing(Heads(pauses_s=(0.01, 0.01))) as heads:
        router = home.serve(heads)
        for _ in range(3):
            kill_child(heads)
        heads.wait(lambda share, step: None)
        assert "no scorer could be fitted" in router.note and router.is_faulty
        again = home.serve(heads)
        heads.wait(lambda share, step: None)
    assert (again.note, again.is_faulty) == ("", False)


def test_closing_does_not_wait_for_the_next_try(home: Home) -> None:
    heads = Heads(pauses_s=(HANG_S,))
    home.serve(heads)
    fitting = kill_child(heads)
    began = time.monotonic()
    heads.close()
    assert fitting.over.wait(10) and time.monotonic() - began < 10


def kill_child(heads: Heads) -> Fitting:
    """Returns when that child is gone."""
    fitting = heads._fitting
    assert fitting is not None
    child = fitting._child
    while fitting.step == "starting" or child.poll() is not None:
        time.sleep(0.01)
        child = fitting._child
    child.kill()
    child.wait()
    return fitting


def test_where_nothing_can_be_kept_the_fitted_head_serves_and_the_note_says_so(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home.settings.data_folder.write_text("a file, so nobody can write into it")
    spare = tmp_path / "spare"
    spare.mkdir()
    monkeypatch.setenv("TMPDIR", str(spare))
    with closing(Heads()) as heads:
        router = home.serve(heads)
        heads.wait(lambda share, step: None)
        assert "dense" in parts_of(router)
        assert "cannot be kept" in router.note and not router.is_faulty
        next_router = home.serve(heads)
        assert "dense" in parts_of(next_router)
        heads.wait(lambda share, step: pytest.fail("something is fitted"))
        assert heads.find(home.task()) is not None
    assert not list(spare.iterdir())


def test_after_a_change_the_former_head_serves_those_it_knows(home: Home) -> None:
    home.fit()
    experts = [FALLBACK, *make_experts("lawyer", "chef", "gardener", "coder")]
    changed = msgspec.structs.replace(home.config, experts=tuple(experts), examples={
        **home.config.examples, "chef": home.config.examples["chef"][:3]})
    with closing(Heads()) as heads:
        home.serve(heads)
        before = {label: home_decision(home, heads, ASKED[label]) for label in ("lawyer", "coder", "chef")}
        home.config = changed
        router = home.serve(heads)
        assert "being fitted" in router.note and "does not know gardener" in router.note
        for label, former in before.items():
            decision = router.decide(ask(ASKED[label]))
            assert decision.expert.label == label == former.expert.label
            assert {"dense", "grams", "nearest"} < set(decision.scores[label])
            assert decision.scores["gardener"]["probability"] == 0
            for part in ("dense", "grams", "nearest"):
                assert decision.scores[label][part] == pytest.approx(former.scores[label][part], abs=1e-4)
        assert router.decide(ask("hello", model="gardener")).expert.label == "gardener"
        heads.wait(lambda share, step: None)
    assert router.note == "" and router.decide(ask(ASKED["chef"])).scores["gardener"]["probability"] > 0


def home_decision(home: Home, heads: Heads, text: str) -> Decision:
    return home.serve(heads).decide(ask(text))


def test_the_former_head_goes_on_serving_when_no_new_one_can_be_fitted(home: Home) -> None:
    home.fit()
    with closing(Heads(pauses_s=())) as heads:
        home.serve(heads)
        changed = home.task(msgspec.structs.replace(home.config, examples=make_examples(*LABELS, most=3)))
        router = home.serve(heads, changed)
        kill_child(heads)
        heads.wait(lambda share, step: None)
        assert "the former one serves, for no scorer could be fitted" in router.note and router.is_faulty
        assert "dense" in parts_of(router)


def test_a_head_of_another_encoder_does_not_stand_in(home: Home) -> None:
    home.fit()
    with closing(Heads()) as heads:
        home.serve(heads)
        router = home.serve(heads, msgspec.structs.replace(home.task(), fingerprint="another"))
        assert "until then the four-signal score serves" in router.note
        assert "max_keyword" in parts_of(router)


def test_experts_with_few_examples_are_told_for_their_confidence_is_a_guess(home: Home) -> None:
    chef = home.config.examples["chef"][:4]
    few = msgspec.structs.replace(home.config, examples={**home.config.examples, "chef": chef})
    assert tell_guesses(home.config) == ""
    assert tell_guesses(few) == "confidences are a guess for: chef (fewer than 5 examples)"
    lemoe = msgspec.structs.replace(few, router=msgspec.structs.replace(few.router, scorer="lemoe"))
    assert tell_guesses(lemoe) == ""


def test_the_fitting_process_ends_when_nobody_waits_for_it(home: Home) -> None:
    rows = home.task().rows * 2_000  # minutes of work
    task = msgspec.structs.replace(home.task(), rows=rows)
    with subprocess.Popen([sys.executable, "-m", "moe.routing.fit"], cwd=ROOT, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(msgspec.json.encode(task) + b"\n")
        child.stdin.flush()
        assert b"share" in child.stdout.readline()
        child.stdin.close()
        assert child.wait(HANG_S) == 1


@pytest.mark.parametrize("sent", [b"", b"{}\n", b"rubbish\n"])
def test_what_is_no_task_is_answered_with_an_error(sent: bytes) -> None:
    done = subprocess.run([sys.executable, "-m", "moe.routing.fit"], cwd=ROOT, input=sent, capture_output=True,
                          timeout=HANG_S, check=False)
    assert done.returncode == 1
    assert "error" in msgspec.json.decode(done.stdout)


def test_the_server_s_process_never_imports_what_fits() -> None:
    code = ("import sys\nimport app, moe.service, moe.cli.batch, moe.routing.heads\n"
            "print([name for name in ('sklearn', 'scipy', 'joblib') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=HANG_S, check=True)
    assert done.stdout.strip() == b"[]"
