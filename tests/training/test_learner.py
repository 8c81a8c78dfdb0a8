"""A very small encoder taught by torch: that it learns, keeps what was best, and says the same as its graph."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from onnxruntime import InferenceSession

from moe import engines
from moe.errors import NotReady
from moe.training.graph import build
from moe.training.learner import Epoch, Learner, Learnt, Lessons, Plan
from moe.training.making import Teaching
from moe.training.start import Start, open_start

from .kit import LABELS, make_prompts, make_start, make_teaching

PLAN = Plan(epochs=3, batch=16, rate=6e-3, max_tokens=16)


def quiet(share: float, step: str) -> None:
    assert 0 <= share <= 1 and step


def read(teaching: Teaching, start: Start) -> tuple[Lessons, Lessons]:
    tokenizer = engines.open_tokenizer(start.folder / "tokenizer.json")
    made = []
    for is_held in (False, True):
        prompts = teaching.take(is_held)
        made.append(Lessons([tokenizer.encode(prompt.text).ids for prompt in prompts], teaching.place(prompts)))
    return made[0], made[1]


def learn(start: Start, teaching: Teaching, plan: Plan = PLAN) -> tuple[list[Epoch], Learnt]:
    learner = Learner(start, len(LABELS), plan)
    epochs = list(learner.learn(*read(teaching, start), quiet))
    return epochs, learner.give()


@pytest.fixture(params=["mean", "cls"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    folder = make_start(tmp_path / "tiny")
    (folder / "1_Pooling").mkdir()
    is_cls = "true" if request.param == "cls" else "false"
    (folder / "1_Pooling" / "config.json").write_text(f'{{"pooling_mode_cls_token": {is_cls}}}')
    opened = open_start(folder)
    assert opened.pooling == request.param
    return opened


def test_what_is_learnt_is_better_than_the_encoder_as_it_was(start: Start) -> None:
    epochs, learnt = learn(start, make_teaching())
    assert [epoch.number for epoch in epochs] == [0, 1, 2, 3]
    assert epochs[0].accuracy > 0.3  # four labels: the head alone learns something
    best = [epoch for epoch in epochs if epoch.is_best][-1]
    assert best.number > 0 and best.accuracy > epochs[0].accuracy + 0.1
    assert (learnt.matrix.shape, learnt.bias.shape) == ((32, 4), (4,))


def test_its_graph_says_what_torch_says(start: Start) -> None:
    teaching = make_teaching()
    epochs, learnt = learn(start, teaching, Plan(epochs=1, batch=16, rate=6e-3))
    held = read(teaching, start)[1]
    session = InferenceSession(build(learnt, start.sheet, start.pooling, max_tokens=16).SerializeToString())
    said = []
    for ids in held.ids:
        row = np.array([ids])
        said.append(session.run(["logits"], {"input_ids": row, "attention_mask": np.ones_like(row)})[0][0].argmax())
    best = [epoch for epoch in epochs if epoch.is_best][-1]
    assert (np.array(said) == held.gold).mean() == pytest.approx(best.accuracy, abs=1.5 / len(said))


def test_the_same_seed_gives_the_same_weights(start: Start) -> None:
    plan = Plan(epochs=1, batch=16, rate=1e-3)
    (_, first), (_, second), (_, other) = (
        learn(start, make_teaching(), each) for each in (plan, plan, Plan(epochs=1, batch=16, rate=1e-3, seed=1)))
    assert all(np.array_equal(value, second.weights[name]) for name, value in first.weights.items())
    assert np.array_equal(first.matrix, second.matrix) and not np.array_equal(first.matrix, other.matrix)


def test_no_epoch_leaves_the_encoder_as_it_was(start: Start) -> None:
    epochs, learnt = learn(start, make_teaching(), Plan(epochs=0))
    assert [epoch.number for epoch in epochs] == [0]
    before = start.read_weights()
    assert all(np.array_equal(value, before[name]) for name, value in learnt.weights.items())


def test_what_gets_worse_ends_early_and_the_best_is_given(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    start = open_start(make_start(tmp_path / "tiny"))
    teaching = make_teaching(make_prompts(20, noise=0.7))  # there is little to learn but the noise
    epochs, learnt = learn(start, teaching, Plan(epochs=40, batch=8, rate=1e-2))
    best = [epoch for epoch in epochs if epoch.is_best][-1]
    assert len(epochs) - 1 == best.number + 2 < 40
    assert best.loss == min(epoch.loss for epoch in epochs)
    if best.number == 0:
        assert all(np.array_equal(value, start.read_weights()[name]) for name, value in learnt.weights.items())


def test_without_torch_it_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(NotReady, match=r"\./setup\.sh --with torch"):
        Learner(open_start(make_start(tmp_path / "tiny")), 2, PLAN)
