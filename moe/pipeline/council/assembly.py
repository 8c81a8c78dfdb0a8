"""Several answers side by side, each under what it is about, where no model makes one of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...core import ChatRequest, Chunk, Done, Finish, Started, Text
from ...routing.names import TOOLS
from ...tools.base import Language
from ...tools.questions.question import fold, guess_language
from ..modes.fences import read
from ..settle import CHARS_PER_TOKEN
from .constraints import LEAD
from .finding import Finding

LONGEST_HEADING = 100
# A task with so much of the question in the question's own words is all of it.
_ALL_OF_IT = 0.8
_MARKS = re.compile(r"^[\s#>*_`-]+")
_CUT = re.compile(r"\s*\[…\].*", re.DOTALL)
LIMIT: dict[Language, str] = {
    "en": "The limit set for one request was reached; this is what was found until then.",
    "de": "Die Grenze für eine Anfrage wurde erreicht; dies ist, was bis dahin gefunden wurde.",
    "es": "Se alcanzó el límite fijado para una petición; esto es lo que se encontró hasta entonces.",
}
MISSING: dict[Language, str] = {"en": "Not answered", "de": "Nicht beantwortet", "es": "Sin respuesta"}


def find_language(request: ChatRequest) -> Language:
    """The user's, by the newest turn."""
    return guess_language(fold(next(iter(request.user_texts[-1:]), "")))


def assemble(findings: Sequence[Finding], language: Language, *, asked: str = "") -> str:
    """The answers byte for byte under what their tasks are, in the plan's order, and what is missing. `asked` is the
    question, which no heading repeats."""
    heads = dict(zip((finding.task.id for finding in findings), name_parts(findings, asked), strict=True))
    there = [finding for finding in findings if finding.is_there]
    missing = [heads[finding.task.id] for finding in findings if not finding.is_there]
    is_alone = len(there) == 1 and not missing
    parts = [each.text if is_alone else f"## {heads[each.task.id]}\n\n{each.text}{close(each.text)}" for each in there]
    if missing:
        parts.append("\n".join((f"**{MISSING[language]}:**", "", *(f"- {head}" for head in missing))))
    return "\n\n".join(parts)


def name_parts(findings: Sequence[Finding], asked: str = "") -> list[str]:
    """What each is about, in one line: its task, its domain where the task is all of what was asked, both where two
    tasks begin alike."""
    heads = [_head(finding) for finding in findings]
    named = []
    for head, finding in zip(heads, findings, strict=True):
        domain = finding.task.category.replace("_", " ")
        is_whole = _is_whole(finding.task.task, asked)
        named.append(domain.capitalize() if is_whole else f"{head} ({domain})" if heads.count(head) > 1 else head)
    return named


def say(text: str, who: Finding, request: ChatRequest, *, finish: Finish = "stop") -> list[Chunk]:
    """A text that is there already, as far as the client's limits let a model speak."""
    sampling = request.sampling
    stops = [(place, stop) for stop in sampling.stop if stop and (place := text.find(stop)) >= 0]
    place, stop = min(stops, default=(len(text), ""))
    most = len(text) if sampling.max_tokens is None else sampling.max_tokens * CHARS_PER_TOKEN
    if most < place:
        place, stop, finish = most, "", "length"
    started = Started(expert=who.expert or TOOLS, model=who.model or next(iter(who.tools), ""))
    done = Done(finish="stop" if stop else finish, stop_sequence=stop, tools=who.tools)
    return [started, *([Text(text[:place])] if place else ()), done]


def close(text: str) -> str:
    """What ends a block of code that was left open, so that nothing after it is taken for code."""
    last = next(iter(read(text)[-1:]), None)
    if last is None or last.fence is None or last.kind not in ("open", "code"):
        return ""
    return ("" if text.endswith("\n") else "\n") + last.fence.mark


def _head(finding: Finding) -> str:
    lines = [_MARKS.sub("", line).strip() for line in finding.task.task.splitlines()]
    line = " ".join(next(filter(None, lines), finding.task.category).split())
    return line if len(line) <= LONGEST_HEADING else f"{line[:LONGEST_HEADING - 1]}…"


def _is_whole(task: str, asked: str) -> bool:
    """Whether it is the question itself, be that cut short."""
    own, words = (" ".join(text.split()).casefold() for text in (task.partition(f"\n{LEAD}")[0], asked))
    begun = _CUT.sub("", own)
    if begun != own:
        return bool(begun) and words.startswith(begun)
    return bool(own) and own in words and len(own) >= _ALL_OF_IT * len(words)
