"""A classifier's folder: what is in it, that it is whole or not there, and what it takes the place of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moe.errors import NotReady
from moe.routing.classifier import load_classifier
from moe.training import making
from moe.training.learner import Epoch, Plan
from moe.training.making import CARD, make, may_replace, read_text, replace_whole
from moe.training.start import Start, open_start

from .kit import LABELS, make_prompts, make_start, make_teaching

PLAN = Plan(epochs=2, batch=16, rate=6e-3, max_tokens=16)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return open_start(make_start(tmp_path / "tiny"))


def train(start: Start, folder: Path, *, epochs: list[Epoch] | None = None, **about: Any) -> making.Made:
    said = [] if epochs is None else epochs
    return make(make_teaching(), start, PLAN, folder, **{
        "told": lambda share, step: None, "said": said.append, **about})


def test_the_router_s_own_reader_opens_what_is_made(start: Start, tmp_path: Path) -> None:
    epochs: list[Epoch] = []
    made = train(start, tmp_path / "made" / "mine", epochs=epochs)
    folder = tmp_path / "made" / "mine"
    assert sorted(file.name for file in folder.iterdir()) == [CARD, "config.json", "model.onnx", "tokenizer.json"]
    assert [file.name for file in folder.parent.iterdir()] == ["mine"]
    card = json.loads((folder / CARD).read_text("utf-8"))
    assert (card["labels"], card["start"], card["learnt_from"], card["held_out"]) == (list(LABELS), "tiny", 180, 60)
    assert card["plan"]["max_tokens"] == json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    assert made.epoch == [epoch for epoch in epochs if epoch.is_best][-1].number
    classifier = load_classifier(str(folder), tmp_path)
    fresh = make_prompts(20, seed=5)
    shares = np.stack([classifier.rate(read_text(prompt.text)) for prompt in fresh])
    right = [LABELS[place] == prompt.label for place, prompt in zip(shares.argmax(axis=1), fresh, strict=True)]
    assert classifier.labels == LABELS
    assert np.mean(right) > 0.6
    assert abs(shares.max(axis=1).mean() - np.mean(right)) < 0.2  # it knows about how often it is right


def test_a_text_longer_than_was_learnt_is_cut(start: Start, tmp_path: Path) -> None:
    train(start, tmp_path / "mine")
    classifier = load_classifier("mine", tmp_path)
    assert np.array_equal(classifier.rate("boil the rice " * 8), classifier.rate("boil the rice " * 100))


@pytest.mark.parametrize(("borne", "bits"), [(1.0, 8), (-1.0, 32)])
def test_eight_bits_serve_where_they_lose_next_to_nothing(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, borne: float, bits: int
) -> None:
    monkeypatch.setattr(making, "LOSS_BORNE", borne)
    made = train(start, tmp_path / "mine")
    types = {each.data_type for each in load_graph(tmp_path / "mine").graph.initializer
             if each.name.startswith("encoder.layer.0") and len(each.dims) == 2}
    assert made.bits == bits
    assert (1 in types) == (bits == 32)
    assert load_classifier("mine", tmp_path).rate("boil the rice").sum() == pytest.approx(1)


def load_graph(folder: Path) -> Any:
    onnx = pytest.importorskip("onnx")
    return onnx.load(str(folder / "model.onnx"))


def test_a_better_classifier_takes_the_place_of_a_former_one(start: Start, tmp_path: Path) -> None:
    train(start, tmp_path / "mine")
    before = (tmp_path / "mine" / "model.onnx").read_bytes()
    again = make(make_teaching(), start, Plan(epochs=1, batch=16, rate=1e-3), tmp_path / "mine",
                 told=lambda share, step: None, said=lambda epoch: None)
    assert again.plan.epochs == 1
    assert (tmp_path / "mine" / "model.onnx").read_bytes() != before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine", "tiny"]


def test_what_is_interrupted_leaves_all_as_it_was(start: Start, tmp_path: Path) -> None:
    train(start, tmp_path / "mine")
    before = {file.name: file.read_bytes() for file in (tmp_path / "mine").iterdir()}

    def interrupt(epoch: Epoch) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(start, tmp_path / "mine", said=interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(start, tmp_path / "other", said=interrupt)
    assert {file.name: file.read_bytes() for file in (tmp_path / "mine").iterdir()} == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine", "tiny"]


def test_a_former_folder_comes_back_where_the_new_one_cannot_be_placed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / CARD).write_text("{}")
    with pytest.raises(FileNotFoundError), replace_whole(tmp_path / "mine"):
        pass  # nothing was made
    assert [file.name for file in (tmp_path / "mine").iterdir()] == [CARD]
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_a_tokenizer_of_another_model_is_a_clear_error(start: Start, tmp_path: Path) -> None:
    other = open_start(make_start(tmp_path / "other", vocab_size=9))
    with pytest.raises(NotReady, match="its tokenizer has words that its weights lack"):
        train(other, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_only_what_was_made_so_is_replaced(tmp_path: Path) -> None:
    mine, empty, photos, file = (tmp_path / name for name in ("mine", "empty", "photos", "file"))
    for folder in (mine, empty, photos):
        folder.mkdir()
    (mine / CARD).write_text("{}")
    (photos / "a.jpg").write_text("")
    file.write_text("")
    assert [may_replace(each) for each in (mine, empty, tmp_path / "new", photos, file)] == [
        True, True, True, False, False]


def test_a_prompt_is_read_as_it_is_when_the_classifier_serves() -> None:
    assert read_text("**Boil**  an\negg") == "Boil an egg"
    assert len(read_text("word " * 10_000)) == 512
