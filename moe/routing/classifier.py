"""Experts chosen by a fine-tuned text classifier whose labels are their names."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .. import engines
from ..config.schema import Config, RouterConfig
from ..core import ChatRequest, Decision
from ..core import Stage as StageName
from ..embed import CHARS_PER_TOKEN, MAX_TOKENS, excerpt
from ..errors import NotReady
from ..experts import Expert
from .followups import FOLLOW_UPS
from .stages import Trace
from .text import clean, join_newest

Shares = npt.NDArray[np.float64]

TEXTS_KEPT = 1024
MOST_LABELS = 10_000
SHEET_LIMIT_BYTES = 16 << 20
_GRAPHS = ("model.onnx", "onnx/model.onnx", "model_quantized.onnx", "onnx/model_quantized.onnx")

log = logging.getLogger(__name__)


class Classifier(Protocol):
    """`rate` gives each label's probability [labels], adding up to 1; safe from every thread. Raises NotReady."""

    labels: tuple[str, ...]

    def rate(self, text: str) -> Shares: ...


def load_stage(config: Config, models_folder: Path) -> ClassifierStage:
    """The stage that the config's `model_path` names. Raises NotReady with the reason why there is none."""
    experts = [expert for expert in config.experts if expert.routable or expert.is_fallback]
    return ClassifierStage(experts, load_classifier(config.router.model_path, models_folder), config.router)


def load_classifier(model_path: str | None, models_folder: Path) -> Classifier:
    """The classifier in a folder: ONNX, or transformers' own form where torch is installed.

    A relative `model_path` counts from the models folder's parent or from that folder. Raises NotReady.
    """
    if not model_path:
        raise NotReady("the router's mode needs a classifier and router.model_path names none")
    places = (models_folder.parent / model_path, models_folder / model_path, Path(model_path))
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise NotReady(f"router.model_path {model_path!r} is no folder on this machine")
    sheet = _read_sheet(folder)
    labels = read_labels(sheet, folder.name)
    graph = next((folder / name for name in _GRAPHS if (folder / name).is_file()), None)
    if graph is not None:
        longest = sheet.get("max_position_embeddings")
        most = min(longest, MAX_TOKENS) if type(longest) is int and longest > 0 else MAX_TOKENS
        return _OnnxClassifier(graph, folder / "tokenizer.json", labels, most_tokens=most)
    return _TorchClassifier(folder, labels)


def read_labels(sheet: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The labels in the order of the model's outputs, from the `id2label` of its config.json. Raises NotReady."""
    try:
        labels = {int(index): str(label) for index, label in sheet["id2label"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotReady(f"{name} is no classifier: its config.json has no usable id2label") from error
    if not 0 < len(labels) <= MOST_LABELS or labels.keys() != set(range(len(labels))):
        raise NotReady(f"{name} is no classifier: id2label must number its labels from 0 on")
    return tuple(labels[index] for index in range(len(labels)))


class ClassifierStage:
    """The last user message, else the last few joined; passes when a label's probability reaches the threshold.

    A label that belongs to no expert keeps its share, so what it fits best goes to no expert by this stage.
    `note` names such labels, "" where there are none.
    """

    def __init__(self, experts: Sequence[Expert], classifier: Classifier, config: RouterConfig) -> None:
        """`experts` with the fallback, which a label may name too. Raises NotReady when no label names any of them."""
        self._experts = experts
        self._classifier = classifier
        self._threshold = config.confidence_threshold
        self._max_chars = config.context_max_chars
        self._places = match(classifier.labels, experts)
        lost = [label for label, place in zip(classifier.labels, self._places, strict=True) if place < 0]
        if len(lost) == len(classifier.labels):
            raise NotReady(f"none of the classifier's labels ({_list(lost)}) is the name of an expert")
        self.note = f"labels of the classifier that are no expert's name: {_list(lost)}" if lost else ""
        self._rate = lru_cache(maxsize=TEXTS_KEPT)(self._rate_experts)

    def __call__(self, request: ChatRequest, trace: Trace) -> Decision | None:
        if not trace.texts:
            return None
        told = [text for text in map(clean, trace.texts) if text]
        is_vague = len(told) > 1 and says_nothing(told[-1])
        decision = self._decide(told[-1], "classifier", trace) if told and not is_vague else None
        if decision is None and len(told) > 1:
            kept = [text for text in told if not says_nothing(text)]
            joined = join_newest(kept, max_chars=self._max_chars)
            decision = self._decide(joined, "context", trace) if joined else None
        return decision

    def _decide(self, text: str, stage: StageName, trace: Trace) -> Decision | None:
        try:
            shares = self._rate(excerpt(text, CHARS_PER_TOKEN * MAX_TOKENS))
        except NotReady as error:  # the stages after this one can do without
            log.warning("the classifier fails: %s", error)
            return None
        best = max(range(len(shares)), key=shares.__getitem__)
        for expert, share in zip(self._experts, shares, strict=True):
            if not expert.is_fallback:
                trace.scores[expert.label] = {"score": share, "probability": share}
                trace.best = max(trace.best, share)
        if shares[best] < self._threshold:
            return None
        return Decision(expert=self._experts[best], stage=stage, confidence=shares[best])

    def _rate_experts(self, text: str) -> tuple[float, ...]:
        """Each expert's probability; several labels of one expert add up."""
        shares = [0.0] * len(self._experts)
        for place, share in zip(self._places, self._classifier.rate(text).tolist(), strict=True):
            if place >= 0:
                shares[place] = min(1.0, shares[place] + share)
        return tuple(shares)


def match(labels: Sequence[str], experts: Sequence[Expert]) -> list[int]:
    """The place of each label's expert, -1 for none: by label, else by alias, else by id ("3" or "LABEL_3")."""
    named: dict[str, int] = {}
    for place, expert in enumerate(experts):
        named |= {str(expert.id): place, f"label {expert.id}": place}
    for place, expert in enumerate(experts):
        named |= {_plain(alias): place for alias in expert.aliases}
    named |= {_plain(expert.label): place for place, expert in enumerate(experts)}
    return [named.get(_plain(label), -1) for label in labels]


def says_nothing(text: str) -> bool:
    """Whether it is one of the usual words about an answer, such as "make it shorter"."""
    return _bare(text) in _SAID_OFTEN


class _OnnxClassifier:
    """A graph that gives logits, and its tokenizer."""

    def __init__(self, graph: Path, tokenizer: Path, labels: tuple[str, ...], *, most_tokens: int) -> None:
        self.labels = labels
        self._tokenizer = engines.open_tokenizer(tokenizer)
        self._tokenizer.enable_truncation(max_length=most_tokens)
        self._session = engines.open_session(graph)
        self._inputs = frozenset(slot.name for slot in self._session.get_inputs())
        outputs = [slot.name for slot in self._session.get_outputs()]
        self._output = "logits" if "logits" in outputs else outputs[0]
        self._lock = threading.Lock()
        self.rate("hello")  # a graph of another kind is found out now

    def rate(self, text: str) -> Shares:
        ids = np.array([engines.encode(self._tokenizer, [text], adds_marks=True)], dtype=np.int64)
        known = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        with self._lock:  # every thread that runs a session at the same time takes memory of its own
            feeds = {name: value for name, value in known.items() if name in self._inputs}
            logits = engines.run(self._session, [self._output], feeds)[0].numpy()
        return _softmax(logits, self.labels)


class _TorchClassifier:
    """A folder of transformers, weights in safetensors; nothing of it is run as a program or downloaded."""

    def __init__(self, folder: Path, labels: tuple[str, ...]) -> None:
        self.labels = labels
        try:
            import torch  # noqa: PLC0415
            from transformers import AutoModelForSequenceClassification, AutoTokenizer  # noqa: PLC0415
        except ImportError as error:
            raise NotReady(f"{folder.name} has no model.onnx, and without one the classifier needs torch: run "
                           "./setup.sh --with torch") from error
        torch.set_num_threads(1)
        given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(str(folder), **given)
            model = AutoModelForSequenceClassification.from_pretrained(str(folder), use_safetensors=True, **given)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise NotReady(f"{folder.name} is no classifier that transformers can read: {error}") from error
        self._model = model.eval()
        self._no_grad = torch.no_grad

    def rate(self, text: str) -> Shares:
        tokens = self._tokenizer(text, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with self._no_grad():
            logits = self._model(**tokens).logits.float().numpy()
        return _softmax(logits, self.labels)


def _read_sheet(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    try:
        if file.stat().st_size > SHEET_LIMIT_BYTES:
            raise ValueError("it is too large")
        sheet = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise NotReady(f"{folder.name} is no classifier: its config.json cannot be read ({error})") from error
    return sheet if isinstance(sheet, dict) else {}


def _softmax(logits: npt.NDArray[Any], labels: Sequence[str]) -> Shares:
    """Raises NotReady when the model gives something other than a finite number for each label."""
    if logits.shape != (1, len(labels)):
        raise NotReady(f"the classifier gives numbers of the shape {logits.shape} for {len(labels)} labels")
    row = logits[0].astype(np.float64)
    if not np.isfinite(row).all():
        raise NotReady("the classifier gives numbers that are not finite")
    powers = np.exp(row - row.max())
    shares: Shares = powers / powers.sum()
    return shares


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name.strip().casefold())


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


_SAID_OFTEN = frozenset(map(_bare, FOLLOW_UPS))


def _list(labels: Sequence[str]) -> str:
    shown = ", ".join(label[:40] for label in labels[:8])
    return f"{shown} and {len(labels) - 8} more" if len(labels) > 8 else shown
