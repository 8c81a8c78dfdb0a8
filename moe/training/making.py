"""The classifier's folder: learnt, written as a graph, calibrated as it will serve, and moved into place whole."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct

from .. import engines
from ..embed import CHARS_PER_TOKEN, GRAPH, MAX_TOKENS, excerpt
from ..encoders.workshop import Workshop, quantise
from ..errors import NotReady
from ..routing.classifier import load_classifier
from ..routing.text import clean
from .calibration import fit_temperature
from .graph import build, list_large, sharpen
from .learner import Epoch, Learner, Lessons, Plan, Told
from .prompts import Flags, Places, Prompt
from .start import SHEET, WORDS, Start

if TYPE_CHECKING:
    from onnx import ModelProto

CARD = "classifier.json"
# What eight bits may cost on the held-out prompts: a quarter of the memory, and half of the time, are worth that.
LOSS_BORNE = 0.005
LEAST_SHARE = 1e-9


class Made(Struct, frozen=True, kw_only=True):
    """A classifier as its card tells of it; `epoch` is the one that was kept, `accuracy` that of the served graph on
    the prompts held out."""

    labels: tuple[str, ...]
    start: str
    plan: Plan
    learnt_from: int
    held_out: int
    epoch: int
    bits: int
    temperature: float
    accuracy: float


class Teaching(Struct, frozen=True):
    """What is learnt from, which of it is held out, and the labels in the order of the outputs."""

    prompts: Sequence[Prompt]
    held: Flags
    labels: tuple[str, ...]

    def take(self, held: bool) -> list[Prompt]:
        return [prompt for prompt, is_held in zip(self.prompts, self.held.tolist(), strict=True) if is_held is held]

    def place(self, prompts: Sequence[Prompt]) -> Places:
        return np.array([self.labels.index(prompt.label) for prompt in prompts], dtype=np.intp)


def read_text(text: str) -> str:
    """A prompt as the classifier reads it when it serves."""
    return excerpt(clean(text), CHARS_PER_TOKEN * MAX_TOKENS)


def make(teaching: Teaching, start: Start, plan: Plan, folder: Path, *, told: Told,
         said: Callable[[Epoch], None]) -> Made:
    """Trains and leaves the classifier in `folder`. Raises NotReady, OSError; what was there before then stays."""
    learner = Learner(start, len(teaching.labels), plan)
    with replace_whole(folder) as scratch:
        shop = Workshop(scratch / "product", scratch, scratch)
        shop.product.mkdir()
        _write_words(start, teaching.labels, plan, shop.product)
        lessons, held = (_tokenise(teaching, is_held, start, plan) for is_held in (False, True))
        best = _follow(learner.learn(lessons, held, told), said)
        model = build(learner.give(), start.sheet, start.pooling, max_tokens=plan.max_tokens)
        bits, rated = _write_graph(model, teaching, shop, best.accuracy)
        gold = teaching.place(teaching.take(held=True))
        temperature, _ = fit_temperature(rated, gold)
        sharpen(shop.product / GRAPH, temperature)
        made = Made(labels=teaching.labels, start=start.name, plan=plan, learnt_from=len(lessons.gold),
                    held_out=len(gold), epoch=best.number, bits=bits, temperature=round(temperature, 4),
                    accuracy=_rate_accuracy(rated, gold))
        (shop.product / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(made)) + b"\n")
    return made


def may_replace(folder: Path) -> bool:
    """Whether nothing is lost that this module has not made."""
    return not folder.exists() or (folder.is_dir() and ((folder / CARD).is_file() or not any(folder.iterdir())))


@contextmanager
def replace_whole(folder: Path) -> Iterator[Path]:
    """A scratch folder whose `product` takes the place of `folder` when the block is left well, else nothing does."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
        scratch = Path(name)
        yield scratch
        former = scratch / "former"
        if folder.exists():
            folder.rename(former)
        try:
            (scratch / "product").rename(folder)
        except BaseException:
            if former.exists():
                former.rename(folder)
            raise


def _follow(epochs: Iterator[Epoch], said: Callable[[Epoch], None]) -> Epoch:
    """The best one, once all are over."""
    best = next(epochs)
    said(best)
    for epoch in epochs:
        said(epoch)
        best = epoch if epoch.is_best else best
    return best


def _tokenise(teaching: Teaching, is_held: bool, start: Start, plan: Plan) -> Lessons:
    """As the classifier does it. Raises NotReady for a tokenizer of another model."""
    tokenizer = engines.open_tokenizer(start.folder / WORDS)
    tokenizer.enable_truncation(max_length=plan.max_tokens)
    prompts = teaching.take(is_held)
    ids = [engines.encode(tokenizer, [prompt.text], adds_marks=True) for prompt in prompts]
    if max(map(max, ids)) >= start.sheet["vocab_size"]:
        raise NotReady(f"{start.folder} is nothing to begin from: its tokenizer has words that its weights lack")
    return Lessons(ids, teaching.place(prompts))


def _write_words(start: Start, labels: Sequence[str], plan: Plan, folder: Path) -> None:
    """All but the graph: the router reads the labels and the longest text from config.json."""
    shutil.copy(start.folder / WORDS, folder / WORDS)
    sheet: dict[str, Any] = {
        "model_type": start.sheet["model_type"], "id2label": dict(enumerate(labels)),
        "label2id": {label: place for place, label in enumerate(labels)}, "max_position_embeddings": plan.max_tokens,
    }
    (folder / SHEET).write_text(json.dumps(sheet, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _write_graph(model: ModelProto, teaching: Teaching, shop: Workshop, accuracy: float) -> tuple[int, Any]:
    """The bits of its weights, and what it says of the held-out prompts: eight where they lose next to nothing of
    the `accuracy` that was reached in full."""
    import onnx  # noqa: PLC0415

    quantise(model, shop, only=list_large(model))
    rated = _rate_held(teaching, shop.product)
    if _rate_accuracy(rated, teaching.place(teaching.take(held=True))) >= accuracy - LOSS_BORNE:
        return 8, rated
    onnx.save(model, str(shop.product / GRAPH))
    return 32, _rate_held(teaching, shop.product)


def _rate_held(teaching: Teaching, folder: Path) -> Any:
    """[m, n]: scores of the prompts held out, by the router's own reader."""
    classifier = load_classifier(str(folder), folder.parent)
    shares = np.stack([classifier.rate(prompt.text) for prompt in teaching.take(held=True)])
    return np.log(np.maximum(shares, LEAST_SHARE))


def _rate_accuracy(scores: Any, gold: Places) -> float:
    return float((scores.argmax(axis=1) == gold).mean())
