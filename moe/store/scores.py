"""How well each model has done in each domain: only what somebody else said of it counts, never its own word."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from msgspec import Struct

from .database import Database

FEW = 5
UNKNOWN = 0.5


class Source(Enum):
    """Who judged: a person, or a larger model that was asked the same. There is no third."""

    FEEDBACK = "feedback"
    ESCALATION = "escalation"


class Score(Struct, frozen=True, gc=False):
    """Of `total` observations `positive` were good."""

    positive: int = 0
    total: int = 0

    @property
    def is_known(self) -> bool:
        """Whether there are enough observations to tell anything."""
        return self.total >= FEW

    @property
    def value(self) -> float:
        """Between 0 and 1, smoothed; a half as long as nothing can be told."""
        return (self.positive + 1) / (self.total + 2) if self.is_known else UNKNOWN


class Scores:
    """Thread-safe, and of several processes. Each method raises NotStored when the file cannot be used."""

    def __init__(self, file: Path) -> None:
        self._database = Database(file)

    def add(self, model: str, domain: str, *, positive: bool, source: Source) -> None:
        """One observation of an answer that `model` gave."""
        if not isinstance(source, Source):
            raise TypeError(f"{source!r} is no Source: a model's own word is not counted")
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO scores (model, domain, source, positive, total) VALUES (?, ?, ?, ?, 1) "
                "ON CONFLICT DO UPDATE SET positive = positive + excluded.positive, total = total + 1",
                (model, domain, source.value, int(bool(positive))),
            )

    def find(self, model: str, domain: str) -> Score:
        return self.find_all((model,), domain)[model]

    def find_all(self, models: Sequence[str], domain: str) -> dict[str, Score]:
        """The score of each, in their order."""
        found = dict.fromkeys(models, Score())
        if not found or not self._database.exists:
            return found
        marks = ", ".join("?" * len(found))
        with self._database.transaction() as connection:
            rows = connection.execute(
                f"SELECT model, sum(positive), sum(total) FROM scores WHERE domain = ? AND model IN ({marks}) "
                "GROUP BY model", (domain, *found),
            ).fetchall()
        return found | {model: Score(positive, total) for model, positive, total in rows}

    def best(self, models: Sequence[str], domain: str) -> str:
        """The one with the highest score, the first of equals; "" where there are none."""
        scores = self.find_all(models, domain)
        return max(scores, key=lambda model: scores[model].value, default="")

    def close(self) -> None:
        self._database.close()
