"""The training itself, by torch: a linear head on the encoder's sentence vectors, then both of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from ..errors import NotReady
from .calibration import fit_temperature
from .prompts import Places, deal_batches
from .start import Start, Weights

Floats = npt.NDArray[np.float32]

PATIENCE = 2  # epochs without a better one
WARM_UP = 0.1
WEIGHT_DECAY = 0.01
# The head begins where it suits the encoder as it was; it is small and may move faster.
HEAD_HASTE = 10.0
HEAD_STEPS = 100
HEAD_C = 10.0
MOST_SLOPE = 1.0
READ_AT_ONCE = 64

Told = Callable[[float, str], None]


class Plan(Struct, frozen=True, kw_only=True):
    """How to train; `rate` is the learning rate at its height."""

    epochs: int = 3
    batch: int = 32
    rate: float = 2e-4
    max_tokens: int = 64
    seed: int = 0


class Lessons(NamedTuple):
    """Texts as token ids, the first ones of each, and the places of their labels [m]."""

    ids: Sequence[Sequence[int]]
    gold: Places


class Epoch(NamedTuple):
    """How the held-out prompts fared after so many epochs; `loss` at the temperature that suits them best."""

    number: int
    accuracy: float
    loss: float
    is_best: bool


class Learnt(NamedTuple):
    """The encoder's weights, and the head for n labels: `matrix` [d, n] of the unit vector, `bias` [n]."""

    weights: Weights
    matrix: Floats
    bias: Floats


class Learner:
    """One training. Raises NotReady without torch."""

    def __init__(self, start: Start, count: int, plan: Plan) -> None:
        try:
            import torch  # noqa: PLC0415
            from transformers import BertConfig, BertModel  # noqa: PLC0415
        except ImportError as error:
            raise NotReady("training needs torch: run ./setup.sh --with torch") from error
        self._torch = torch
        self._plan = plan
        self._pooling = start.pooling
        self._is_half = _has_half()
        torch.manual_seed(plan.seed)
        self._model: Any = BertModel(BertConfig.from_dict(dict(start.sheet)), add_pooling_layer=False)
        _load(self._model, {name: torch.from_numpy(value) for name, value in start.read_weights().items()}, start)
        self._head = torch.nn.Linear(self._model.config.hidden_size, count)

    def learn(self, lessons: Lessons, held: Lessons, told: Told) -> Iterator[Epoch]:
        """Trains as the result is taken, epoch 0 being the head alone; ends early once nothing gets better. What is
        best on the held-out prompts is what `give` gives."""
        self._fit_head(lessons, told)
        best = self._judge(0, held, None)
        kept = self._copy()
        yield best
        step = self._prepare(lessons)
        random = np.random.default_rng(self._plan.seed)
        for number in range(1, self._plan.epochs + 1):
            self._run_epoch(number, lessons, step, random, told)
            epoch = self._judge(number, held, best)
            if epoch.is_best:
                best, kept = epoch, self._copy()
            yield epoch
            if number - best.number >= PATIENCE:
                break
        self._restore(kept)

    def give(self) -> Learnt:
        weights = {name: value.numpy() for name, value in self._model.state_dict().items() if value.is_floating_point()}
        return Learnt(weights, self._head.weight.detach().numpy().T, self._head.bias.detach().numpy())

    def _encode(self, ids: Sequence[Sequence[int]]) -> Any:
        """Unit vectors [b, d]."""
        torch = self._torch
        tokens = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in ids], batch_first=True)
        mask = (torch.arange(tokens.shape[1]) < torch.tensor([[len(row)] for row in ids])).long()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._is_half):
            states = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
        pooled = states[:, 0] if self._pooling == "cls" else (states * mask.unsqueeze(-1)).sum(1)
        return torch.nn.functional.normalize(pooled, dim=1)

    def _read(self, lessons: Lessons, told: Told) -> Any:
        """The unit vectors of all of them [m, d], as the encoder is now."""
        self._model.eval()
        order = sorted(range(len(lessons.ids)), key=lambda place: len(lessons.ids[place]))
        vectors = self._torch.zeros(len(order), self._head.in_features)
        with self._torch.inference_mode():
            for at in range(0, len(order), READ_AT_ONCE):
                part = order[at : at + READ_AT_ONCE]
                vectors[part] = self._encode([lessons.ids[place] for place in part])
                told((at + len(part)) / len(order), "reading the prompts")
        return vectors

    def _fit_head(self, lessons: Lessons, told: Told) -> None:
        torch = self._torch
        vectors, gold = self._read(lessons, told).clone(), torch.from_numpy(lessons.gold)
        torch.nn.init.zeros_(self._head.weight)
        torch.nn.init.zeros_(self._head.bias)
        optimizer = torch.optim.LBFGS(self._head.parameters(), max_iter=HEAD_STEPS, line_search_fn="strong_wolfe")

        def lose() -> Any:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(self._head(vectors), gold)
            loss = loss + self._head.weight.square().sum() / (2 * HEAD_C * len(gold))
            loss.backward()
            return loss

        optimizer.step(lose)

    def _prepare(self, lessons: Lessons) -> Callable[[], None]:
        """What follows each batch: the step that the slopes tell, at a rate that rises and then falls to nothing."""
        torch, plan = self._torch, self._plan
        groups = [{"params": list(self._model.parameters()), "lr": plan.rate},
                  {"params": list(self._head.parameters()), "lr": HEAD_HASTE * plan.rate}]
        optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)
        total = max(1, plan.epochs * -(-len(lessons.ids) // plan.batch))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / (WARM_UP * total + 1), (total - step) / ((1 - WARM_UP) * total)))

        def step() -> None:
            torch.nn.utils.clip_grad_norm_([*self._model.parameters(), *self._head.parameters()], MOST_SLOPE)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()

        return step

    def _run_epoch(self, number: int, lessons: Lessons, step: Callable[[], None], random: np.random.Generator,
                   told: Told) -> None:
        torch = self._torch
        self._model.train()
        batches = deal_batches([len(row) for row in lessons.ids], self._plan.batch, random)
        for done, places in enumerate(batches):
            told((number - 1 + done / len(batches)) / self._plan.epochs, f"epoch {number} of {self._plan.epochs}")
            scores = self._head(self._encode([lessons.ids[place] for place in places]))
            torch.nn.functional.cross_entropy(scores, torch.from_numpy(lessons.gold[places])).backward()
            step()

    def _judge(self, number: int, held: Lessons, best: Epoch | None) -> Epoch:
        with self._torch.inference_mode():
            scores = self._head(self._read(held, lambda share, step: None)).numpy().astype(np.float64)
        _, loss = fit_temperature(scores, held.gold)
        accuracy = float((scores.argmax(axis=1) == held.gold).mean())
        return Epoch(number, accuracy, loss, best is None or loss < best.loss)

    def _copy(self) -> tuple[Any, Any]:
        model, head = ({name: value.clone() for name, value in part.state_dict().items()}
                       for part in (self._model, self._head))
        return model, head

    def _restore(self, kept: tuple[Any, Any]) -> None:
        self._model.load_state_dict(kept[0])
        self._head.load_state_dict(kept[1])


def _load(model: Any, weights: dict[str, Any], start: Start) -> None:
    try:
        missing, _ = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise NotReady(f"{start.folder} is nothing to begin from: {' '.join(str(error).split())[:300]}") from error
    if missing:
        raise NotReady(f"{start.folder} is nothing to begin from: it has no weights {', '.join(missing[:3])}")


def _has_half() -> bool:
    """Whether this processor multiplies in sixteen bits; one that does not is slower at it than in full."""
    processor = Path("/proc/cpuinfo")
    told = processor.read_text("utf-8", "replace") if processor.exists() else ""
    return "avx512_bf16" in told or "amx_bf16" in told
