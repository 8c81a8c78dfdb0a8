"""The plan that needs no model: whom the router thinks of, each with the sentences that name their subject."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ...core import ChatRequest, Decision
from ...experts import Expert
from ...routing.complexity import DOMAIN
from ...routing.keywords import KeywordIndex
from ...routing.parts import Rate, find_instruction, list_parts, rate_parts
from ...routing.strategy import find_probabilities
from ...routing.text import find_question
from ..staff import Staff
from .plan import LONGEST_TASK, Plan, Task

MOST_DOMAINS = 3
# Where all of the text is several experts', each is as likely as this, and half as likely as the first at least.
SHARED, HALF = 0.15, 0.5
# A sentence is an expert's by this share of its keywords, and if no other has half as much.
CLEAR, AHEAD = 0.3, 2.0
LONGEST_DIVIDED = 3_000
_JOINT = re.compile(r"[\s,;]+(?:and|und|y|e|then|dann|luego)\s*\Z", re.IGNORECASE)
_WORDLESS = "Answer the request."
_CUT = "\n[…]\n"
_FENCES = ("```", "~~~")
_CLAUSE_END = re.compile(
    r"(?<=[.!?;])\s+|\n+|(?:,|(?<![ \t,]))[ \t]+(?:and(?: then| also)?|then|und(?: dann| auch)?|dann|sowie|"
    r"y(?: también| luego)?|luego|además)[ \t]+", re.IGNORECASE)


def find_experts(request: ChatRequest, staff: Staff) -> list[Expert]:
    """Whom a part of this request may be for, whoever answers it in the end: who is there for pictures only where there
    is one, and the fallback only where no expert is for everything else."""
    found = [expert for expert in staff.everybody() if request.has_image or not _only_sees(expert)]
    has_general = any(expert.label == "general" for expert in found)
    return [expert for expert in found if not (has_general and expert.is_fallback)]


def find_words(request: ChatRequest) -> str:
    """What the user typed last."""
    return find_question(next(iter(request.user_texts[-1:]), ""))


def own_plan(request: ChatRequest, decision: Decision, staff: Staff, *, calls: int, why: str = "") -> Plan:
    """By the router's probabilities: each domain gets the sentences that are clearly its own, by their words or else by
    their meaning, or where that cannot be told, each that is likely enough all of the text, of which somebody has to
    make one answer then. `why`: in a phrase, for what there is no other plan. `calls`: so many may be made; where they
    are too few, the expert that was decided on has all of it."""
    text = find_words(request).strip()
    able = {expert.label: expert for expert in find_experts(request, staff)}
    rates = {label: rate for label, rate in find_probabilities(decision).items() if rate >= DOMAIN and label in able}
    ranked = sorted(rates, key=lambda label: -rates[label])[:MOST_DOMAINS]
    known = ranked if find_probabilities(decision) else list(able)  # where it goes by words, words divide too
    parts = _divide(text, [able[label] for label in known]) if len(known) > 1 else {}
    parts = parts or _divide_by_meaning(text, able, staff.rate)
    if not parts or len(parts) > min(calls, MOST_DOMAINS):
        likely = [label for label in ranked if rates[label] >= max(SHARED, HALF * rates[ranked[0]])]
        labels = ranked[:1] if len(likely) < 2 else likely if len(likely) < calls else []
        parts = dict.fromkeys(labels or [decision.expert.label], _shorten(text) or _WORDLESS)
    tasks = tuple(Task(str(place), part, label) for place, (label, part) in enumerate(parts.items(), 1))
    return Plan(tasks, reason="by the router's scores" + (f", since {why}" if why else ""), is_own=True)


def _only_sees(expert: Expert) -> bool:
    return expert.vision and (expert.label == "vision" or not (expert.routable or expert.is_fallback))


def _shorten(text: str) -> str:
    if len(text) <= LONGEST_TASK:
        return text
    head = 3 * LONGEST_TASK // 4
    return f"{text[:head]}{_CUT}{text[head + len(_CUT) - LONGEST_TASK:]}"


def _divide(text: str, experts: Sequence[Expert]) -> dict[str, str]:
    """Each expert's sentences, verbatim; {} where fewer than two experts are named, or parting would tear something."""
    if len(text) > LONGEST_DIVIDED or any(fence in text for fence in _FENCES):
        return {}
    index = KeywordIndex([expert.keywords for expert in experts])
    parts: dict[str, list[str]] = {}
    owner = ""
    began = ended = 0
    for start, end in _clauses(text):
        found = _find_owner(text[start:end], index, experts)
        if found and owner and found != owner:
            parts.setdefault(owner, []).append(text[began:ended])
            began = start
        owner = found or owner
        ended = end
    if owner:
        parts.setdefault(owner, []).append(text[began:ended])
    if len(parts) < 2:
        return {}
    return {label: "\n".join(piece.strip(" ,;\n\t") for piece in pieces) for label, pieces in parts.items()}


def _divide_by_meaning(text: str, able: Mapping[str, Expert], rate: Rate) -> dict[str, str]:
    """Each expert's requests, as the router reads them one by one; {} where that is not clear of each, or they are all
    for one."""
    parts = list_parts(find_instruction(text))
    rated = rate_parts(parts, rate)
    if len(text) > LONGEST_DIVIDED or not rated or len(rated) < len(parts):
        return {}
    found: dict[str, list[str]] = {}
    for part, rates in zip(parts, rated, strict=True):
        label = max(rates, key=lambda label: rates[label], default="")
        if label not in able or rates[label] < CLEAR:
            return {}
        found.setdefault(label, []).append(_JOINT.sub("", part.text))
    return {label: "\n".join(pieces) for label, pieces in found.items()} if len(found) > 1 else {}


def _clauses(text: str) -> list[tuple[int, int]]:
    """Where each begins and ends, without what stands between them."""
    spans = []
    start = 0
    for gap in _CLAUSE_END.finditer(text):
        spans.append((start, gap.start()))
        start = gap.end()
    return [(start, end) for start, end in (*spans, (start, len(text))) if text[start:end].strip()]


def _find_owner(clause: str, index: KeywordIndex, experts: Sequence[Expert]) -> str:
    """Whose subject it is, "" where that is not clear."""
    shares, best = index.rate(clause)
    others = max((share for place, share in enumerate(shares) if place != best), default=0.0)
    is_clear = best >= 0 and shares[best] >= CLEAR and shares[best] >= AHEAD * others
    return experts[best].label if is_clear else ""
