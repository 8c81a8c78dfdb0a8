"""A plan: steps that carry numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import regex

from ...tools.base import Language
from .enforcer import Finding
from .fences import Piece, Reader, read

_HEADINGS: dict[Language, str] = {"en": "Plan", "de": "Plan", "es": "Plan"}
_WORDS = "step|phase|stage|part|week|day|schritt|etappe|teil|woche|tag|paso|fase|etapa|parte|semana|día"
_NUMBERED = regex.compile(
    rf"[ ]{{0,3}}(?:[0-9]{{1,3}}[.)][ \t]|(?:#{{1,6}}[ \t]{{1,4}})(?:\*\*|__)?(?:(?:{_WORDS})[ \t])?[0-9]{{1,3}}(?=\W)|"
    rf"(?:\*\*|__)(?:(?:{_WORDS})[ \t][0-9]{{1,3}}(?=\W)|[0-9]{{1,3}}[.):])|"
    rf"(?:{_WORDS})[ \t][0-9]{{1,3}}[ \t]?[:.–—-])",
    regex.IGNORECASE)
_BULLET = regex.compile(r" {0,3}[-*+•][ \t]{1,4}(?=[^-*+\s]|[-*+]\S)")
_WITHIN = re.compile(r" {2}|\t")


def number_plan(tasks: Sequence[str], language: Language) -> str:
    """What is going to be done, to stand before the answer."""
    lines = "\n".join(f"{number}. {' '.join(task.split())}" for number, task in enumerate(tasks, 1))
    return f"## {_HEADINGS[language]}\n\n{lines}\n\n---\n\n" if tasks else ""


def ask_steps() -> str:
    """What to ask a model whose plan has none, after its answer."""
    return ("That answer has no numbered steps. Give what has to be done as numbered steps (1., 2., 3.), in the same "
            "language, and write nothing else. Where nothing can be planned yet, write only a dash.")


def has_steps(text: str) -> bool:
    """Whether any line outside of code is a step with its number."""
    plan = Plan()
    plan.feed(text)
    plan.finish()
    return not any(finding.kind in ("numbered", "no_steps") for finding in plan.findings)


class Plan:
    """Passes an answer on as it comes once a step with a number came. What begins with other list marks is held back
    until then; if none comes, those of the outermost list get numbers."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._reader = Reader()
        self._is_start = True
        self._line = ""  # the beginning of a line, while it is open what it is
        self._held: list[str] | None = None
        self._has_steps = self._has_words = False

    def feed(self, text: str) -> str:
        self._has_words = self._has_words or bool(text.strip())
        return self._pass(self._reader.feed(text), text, is_last=False)

    def finish(self, *, is_over: bool = True) -> str:
        out = self._pass(self._reader.finish(), "", is_last=True)
        held, self._held = self._held, None
        if held is not None and is_over:
            self.findings.append(Finding("numbered"))
            return out + _number("".join(held))
        if is_over and self._has_words and not self._has_steps:
            self.findings.append(Finding("no_steps"))
        return out + "".join(held or ())

    def _pass(self, pieces: Iterable[Piece], text: str, *, is_last: bool) -> str:
        """What of the pieces may be seen now; `text` itself once a step was."""
        if self._has_steps:
            return text
        out = [each for piece in pieces for each in self._weigh(piece)]
        if is_last and self._line:
            out += self._settle(is_last=True)
        if self._has_steps:
            out.append(self._reader.drain())
        return "".join(out)

    def _weigh(self, piece: Piece) -> list[str]:
        if self._has_steps:
            return [piece.raw]
        is_start, self._is_start = self._is_start, piece.raw.endswith("\n")
        if piece.kind != "prose" or not (is_start or self._line):
            return [*self._settle(is_last=True), *self._hold(piece.raw)]
        self._line += piece.raw
        return self._settle(is_last=False)

    def _settle(self, *, is_last: bool) -> list[str]:
        """What the line is that has begun; nothing while more of it may tell."""
        numbered = _NUMBERED.match(f"{self._line}\n" if is_last else self._line, partial=not is_last)
        bullet = _BULLET.match(self._line, partial=not is_last)
        if not is_last and any(found is not None and found.partial for found in (numbered, bullet)):
            return []
        line, self._line = self._line, ""
        if numbered is not None:
            held, self._held, self._has_steps = self._held or [], None, True
            return [*held, line]
        if bullet is not None and self._held is None:
            self._held = []
        return self._hold(line)

    def _hold(self, text: str) -> list[str]:
        if self._held is None:
            return [text]
        self._held.append(text)
        return []


def _number(text: str) -> str:
    """With numbers for the bullets that stand out furthest; what belongs to one is moved by as much as its mark is
    wider."""
    out: list[str] = []
    count, more, level = 0, "", None
    is_start = True
    for piece in read(text):
        raw = piece.raw
        found = _BULLET.match(raw) if is_start and piece.kind == "prose" else None
        if found and (level is None or _indent(raw) <= level):
            level, count = _indent(raw), count + 1
            mark = f"{raw[:level]}{count}. "
            more = " " * (len(mark) - level - 2)
            raw = mark + raw[found.end():]
        elif is_start and raw.strip():
            if _WITHIN.match(raw):
                raw = more + raw
            elif piece.kind in ("prose", "open"):
                more = ""
        out.append(raw)
        is_start = piece.raw.endswith("\n")
    return "".join(out)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
