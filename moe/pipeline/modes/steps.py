"""A plan: steps that carry numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable

import regex

from ..symptoms import read_symptoms
from .enforcer import Finding
from .fences import Piece, Reader, read
from .unwrap import Unwrap
from .words import count_words

_WORDS = ("step|phase|stage|part|week|day|schritt|etappe|teil|woche|tag|paso|fase|etapa|parte|semana|día|"
          "étape|partie|semaine|jour|passo|passaggio|settimana|giorno|dia|stap|week|dag|krok|etap|шаг|этап|неделя|день")
_COUNT = "[0-9一二三四五六七八九十百]{1,3}"
_MONTHS = ("januar|jänner|februar|märz|april|mai|juni|juli|august|september|oktober|november|dezember|de enero|"
           "de febrero|de marzo")
_NUMBERED = regex.compile(
    rf"[ ]{{0,3}}(?:[0-9]{{1,3}}\.[ \t](?P<date>(?:{_MONTHS})[^\w:])?|[0-9]{{1,3}}\)[ \t]|\([0-9]{{1,3}}\)[ \t]|"
    r"[0-9]{1,3}(?:[.)]|[ \t][–—-][ \t])(?:\*\*|__)?[^\W\d_]|[0-9]\uFE0F?\u20E3|[①-⑳]|"
    rf"(?:#{{1,6}}[ \t]{{1,4}})(?:\*\*|__)?(?:(?:{_WORDS})[ \t])?[0-9]{{1,3}}(?=\W)|"
    rf"(?:\*\*|__)(?:(?:{_WORDS})[ \t][0-9]{{1,3}}(?=\W)|[0-9]{{1,3}}(?:[):]|\.\D|[ \t][–—-][ \t]))|"
    rf"(?:{_WORDS})[ \t][0-9]{{1,3}}[ \t\u00A0\u202F]?[:.–—：-]|"
    rf"(?:#{{1,6}}[ \t]{{1,4}})?(?:\*\*|__)?(?:第{_COUNT}(?:步|阶段|階段|天|周|週|ステップ|段階)|"
    rf"(?:步骤|步驟|ステップ|단계)[ \t]?{_COUNT}|{_COUNT}[、．]))",
    regex.IGNORECASE)
_BULLET = regex.compile(r" {0,3}[-*+•][ \t]{1,4}(?=[^-*+\s]|[-*+]\S)")
_BREAKS = re.compile(r"^ {0,3}#|[:：][*_]*\s*$")
# A question that the list answers.
_RESTATES = re.compile(r"(?i)[\s*_]*(?:#|how (?:to|do|can|should)\b|wie\b|¿?cómo\b)")
_WANTS = re.compile(r"(?i)\b(?:i(?:['’]d|['’]ll| will| would| just| still)* need|tell me|let me know|"
                    r"ich (?:brauche|benötige)|necesito|dime)\b")
_NEEDS = re.compile(
    r"(?i)\b(?:you(?:['’]ll| will)? need|needs|needed|required?|requirements?|prerequisites?|ingredients?|materials?|"
    r"tools|sources?|references?|bring|pack(?:ing)?|equipment|supplies|checklist|"
    r"zutaten|voraussetzungen|benötig\w+|brauch\w+|"
    r"material(?:ien)?|werkzeuge?|quellen|mitbringen|mitnehmen|packliste|ingredientes|requisitos|necesit\w+|"
    r"materiales|herramientas|fuentes|llevar|traer)\b")
_MOST_BEFORE = 400
_FEW_WORDS = 60
_TO_DO = re.compile(r" {0,3}[-*+•][ \t]+\[[ xX]\]")
_QUESTION = ("?", "？", "؟")
_WITHIN = re.compile(r" {2}|\t")


def ask_steps() -> str:
    """What to ask a model whose plan has none, after its answer."""
    return ("That answer has no numbered steps. Give what has to be done as numbered steps (1., 2., 3.), in the same "
            "language, and write nothing else. Where nothing can be planned yet, write only a dash.")


def can_be_plan(text: str) -> bool:
    """Whether it is more than a greeting, thanks, a refusal or a question back."""
    is_question = text.rstrip().endswith(("?", "？", "؟"))
    return count_words(text) >= _FEW_WORDS and not is_question and not read_symptoms(text).refuses


def has_steps(text: str) -> bool:
    """Whether any line outside of code is a step with its number."""
    plan = Plan()
    plan.feed(text)
    plan.finish()
    return plan.has_steps


class Plan:
    """Passes an answer on as it comes once a step with a number came. What begins with other list marks is held back
    until then; if none comes, those of the outermost list get numbers."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.has_steps = False
        self._unwrap = Unwrap()
        self._reader = Reader()
        self._is_start = True
        self._line = ""  # the beginning of a line, while it is open what it is
        self._before = ""  # the end of what stands before the first list
        self._held: list[str] | None = None
        self._has_words = False

    def feed(self, text: str) -> str:
        text = self._unwrap.feed(text)
        self._has_words = self._has_words or bool(text.strip())
        return self._pass(self._reader.feed(text), text, is_last=False)

    def finish(self, *, is_over: bool = True) -> str:
        out = self.feed(self._unwrap.finish()) + self._pass(self._reader.finish(), "", is_last=True)
        held, self._held = self._held, None
        if held is not None and is_over and _asks(self._before, "".join(held)):
            return out + "".join(held)
        if held is not None and is_over:
            self.findings.append(Finding("numbered"))
            return out + _number("".join(held), self._before)
        if is_over and self._has_words and not self.has_steps:
            self.findings.append(Finding("no_steps"))
        return out + "".join(held or ())

    def _pass(self, pieces: Iterable[Piece], text: str, *, is_last: bool) -> str:
        """What of the pieces may be seen now; `text` itself once a step was."""
        if self.has_steps:
            return text
        out = [each for piece in pieces for each in self._weigh(piece)]
        if is_last and self._line:
            out += self._settle(is_last=True)
        if self.has_steps:
            out.append(self._reader.drain())
        return "".join(out)

    def _weigh(self, piece: Piece) -> list[str]:
        if self.has_steps:
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
        if numbered is not None and not numbered["date"]:
            held, self._held, self.has_steps = self._held or [], None, True
            return [*held, line]
        if bullet is not None and self._held is None:
            self._held = []
        return self._hold(line)

    def _hold(self, text: str) -> list[str]:
        if self._held is None:
            self._before = (self._before + text)[-_MOST_BEFORE:]
            return [text]
        self._held.append(text)
        return []


def _asks(before: str, listed: str) -> bool:
    """Whether it is a list to tick off, or a question back, with what can be chosen or has to be answered first."""
    line = before.rstrip().rpartition("\n")[2]
    if line.rstrip("*_:").endswith(_QUESTION) and not _RESTATES.match(line):
        return True
    if _WANTS.search(line):
        return True
    items = [line for line in listed.splitlines() if _BULLET.match(line)]
    if all(map(_TO_DO.match, items)):  # a list to tick off
        return True
    return bool(items) and all(line.rstrip().rstrip("*_").endswith(_QUESTION) for line in items)


def _number(text: str, before: str) -> str:
    """With numbers for the bullets that stand out furthest, each list from one; what belongs to one is moved by as much
    as its mark is wider. A list of what is needed stays unless there is no other."""
    numbered, kinds = _number_lists(text, before, spares=True)
    return numbered if False in kinds else _number_lists(text, before, spares=False)[0]


def _number_lists(text: str, before: str, *, spares: bool) -> tuple[str, list[bool]]:
    """What it is with numbers, and of each list whether it is of what is needed; those it `spares`."""
    out: list[str] = []
    kinds: list[bool] = []
    lead = before.rstrip().rpartition("\n")[2]
    count, more, level = 0, "", None
    is_start = was_blank = True
    for piece in read(text):
        raw = piece.raw
        found = _BULLET.match(raw) if is_start and piece.kind == "prose" and not _TO_DO.match(raw) else None
        if found and (level is None or _indent(raw) <= level):
            if level is None:
                kinds.append(bool(_NEEDS.search(lead)))
            level, count = _indent(raw), count + 1
        if found and spares and kinds[-1]:
            more = ""
        elif found and _indent(raw) == level:
            mark = f"{raw[:level]}{count}. "
            more = " " * (len(mark) - level - 2)
            raw = mark + raw[found.end():]
        elif is_start and raw.strip():
            if _WITHIN.match(raw):
                raw = more + raw
            elif piece.kind in ("prose", "open"):
                more = ""
                if piece.kind == "prose" and not found and (was_blank or _BREAKS.search(raw)):
                    count, level = 0, None
        lead = raw if is_start and raw.strip() and not found else lead
        out.append(raw)
        was_blank = not piece.raw.strip() if is_start else was_blank
        is_start = piece.raw.endswith("\n")
    return "".join(out), kinds


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
