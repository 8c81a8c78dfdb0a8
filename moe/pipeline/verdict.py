"""What a critic says of an answer: read however it is written, and followed only where the answer gets better by it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from .languages import tell_language
from .modes.fences import read
from .remarks import (
    blames_code,
    drop_heading,
    is_note,
    is_remark,
    leaves_out,
    loses_emergency,
    outgrows,
    speaks_of_text,
)
from .symptoms import Symptoms, read_symptoms

Word = Literal["right", "edit", "wrong"]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "why": {"type": "string"},
        "verdict": {"type": "string", "enum": ["right", "edit", "wrong"]},
        "edits": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"find": {"type": "string"}, "replace": {"type": "string"}, "why": {"type": "string"}},
                "required": ["find", "replace", "why"],
                "additionalProperties": False,
            },
        },
        "answer": {"type": "string"},
    },
    "required": ["why", "verdict", "edits", "answer"],
    "additionalProperties": False,
}
MOST_EDITS = 12
MOST_READ, _MOST_TRIES = 200_000, 64
# A text of a size with what it replaces; half of it is no complete answer.
_LEAST_SHARE = 0.5
# Shorter than this, a passage may well be in no language or another one: a name, a formula.
_TELLING = 60
_SPELLINGS: dict[str, Word] = {
    **dict.fromkeys(("right", "correct", "confirmed", "ok", "accurate", "approved", "pass"), "right"),
    **dict.fromkeys(("edit", "edits", "edited", "revise", "partially right", "partly right", "mostly right"), "edit"),
    **dict.fromkeys(("wrong", "incorrect", "false", "replace", "rejected", "fail"), "wrong"),
}


class Edit(Struct, frozen=True):
    """A passage of the answer, letter by letter, and what stands in its place."""

    find: str
    replace: str


class Verdict(Struct, frozen=True, kw_only=True):
    """`answer` is a whole one in place of the old, "" for none."""

    word: Word
    edits: tuple[Edit, ...] = ()
    answer: str = ""
    why: str = ""


class Revision(Struct, frozen=True):
    """What becomes of an answer. `reason`, in words of ours, is what was done to it or why nothing was."""

    text: str
    reason: str


def read_verdict(said: str) -> Verdict | None:
    """The last one in what a critic wrote, whatever stands around it; None where there is none that can be used."""
    decoder = json.JSONDecoder(strict=False)
    said = said[:MOST_READ]
    found: Verdict | None = None
    at = tries = 0
    while (at := said.find("{", at)) >= 0 and tries < _MOST_TRIES:
        try:
            value, at = decoder.raw_decode(said, at)
        except (ValueError, RecursionError):
            at, tries = at + 1, tries + 1
            continue
        found = _take(value) or found
    return found


def follow(verdict: Verdict, answer: str) -> Revision:
    """`answer` after what the critic said of it; as it was wherever it would be no better."""
    if verdict.word == "right":
        return Revision(answer, "no objection")
    ways = (_edit, _replace) if verdict.word == "edit" else (_replace, _edit)
    reasons = []
    for way in ways:
        revision = way(verdict, answer)
        if revision.text != answer:
            return revision
        reasons.append(revision.reason)
    return Revision(answer, "; ".join(filter(None, reasons)) or "it named nothing to change")


def _take(value: Any) -> Verdict | None:
    if not isinstance(value, dict):
        return None
    fields = {key.strip().casefold(): each for key, each in value.items()}
    word = _SPELLINGS.get(_clean(fields.get("verdict")).strip(" .!\"'").casefold())
    if word is None:
        return None
    listed = fields.get("edits")
    rows = [listed] if isinstance(listed, dict) else listed if isinstance(listed, list) else []
    edits = (Edit(_clean(row.get("find")), _clean(row.get("replace"))) for row in rows
             if isinstance(row, dict) and isinstance(row.get("replace"), str))
    return Verdict(word=word, edits=tuple(edit for edit in edits if edit.find)[:MOST_EDITS],
                   answer=_clean(fields.get("answer")), why=_clean(fields.get("why")))


def _clean(value: Any) -> str:
    """"" for what is no text, and for what no wire can carry: half of a pair of surrogates."""
    if not isinstance(value, str):
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:
        return ""
    return value


# -- a few passages


def _edit(verdict: Verdict, answer: str) -> Revision:
    """All places are those of the answer as it was, so that no edit finds what another has written."""
    counts: Counter[str] = Counter()
    places: list[tuple[int, int, str]] = []
    for edit in verdict.edits:
        fault = _find_edit_fault(edit, answer)
        begin = answer.find(edit.find)
        span = (begin, begin + len(edit.find), edit.replace)
        if not fault and any(span[0] < end and start < span[1] for start, end, _ in places):
            fault = "overlapping"
        counts[fault] += 1
        if not fault:
            places.append(span)
    refused = [f"{count} {fault}" for fault, count in counts.items() if fault]
    edited = answer
    for start, end, replacement in sorted(places, reverse=True):
        edited = edited[:start] + replacement + edited[end:]
    harm = _find_harm(edited, answer, may_change_code=True) if places else ""
    if not places or harm:
        return Revision(answer, ", ".join((*refused, *([f"edits refused: {harm}"] if harm else ()))))
    made = f"{len(places)} edit{'s'[:len(places) > 1]}"
    return Revision(edited, ", ".join((made, *refused)))


def _find_edit_fault(edit: Edit, answer: str) -> str:
    begin = answer.find(edit.find)
    if begin < 0:
        return "not found"
    if answer.find(edit.find, begin + 1) >= 0:
        return "found more than once"
    if edit.find == edit.replace:
        return "without a change"
    end = begin + len(edit.find)
    if _splits_word(answer, begin) or _splits_word(answer, end):
        return "within a word or a number"
    if leaves_out(edit.replace) and not leaves_out(edit.find):
        return "with something left out"
    is_code = answer.count("```", 0, begin) % 2 == 1
    if is_remark(edit.replace, edit.find) or (not is_code and is_note(edit.replace, edit.find, answer)):
        return "that speak of the answer"
    if _is_other_language(edit.replace, answer):
        return "in another language"
    if _is_escaped(edit.replace, answer):
        return "with escapes in place of lines"
    is_part = not is_code and not _is_line(answer, begin, end)
    return "with more than a phrase in its place" if is_part and outgrows(edit.replace, edit.find) else ""


def _is_line(text: str, begin: int, end: int) -> bool:
    """Whether this is all of a line but for what makes it one of a list."""
    before = text[text.rfind("\n", 0, begin) + 1:begin]
    return not before.strip(" \t-*•>#|0123456789.)") and not text[end:end + 1].strip("\r\n")


def _splits_word(text: str, at: int) -> bool:
    """Whether a word or a number goes on at this place: there is no "5 mg" in "1.5 mg", and no "§ 573" in "§ 573c".
    Letters without capitals are written without blanks between words, so of those nothing is known."""
    before, after = text[max(0, at - 2):at], text[at:at + 2]
    if not before or not after:
        return False
    if _is_decimal(before[-1:] + after) or _is_decimal(before + after[:1]):
        return True
    return _is_wordly(before[-1]) and _is_wordly(after[0])


def _is_decimal(text: str) -> bool:
    return len(text) == 3 and text[0].isdigit() and text[1] in ".," and text[2].isdigit()


def _is_wordly(letter: str) -> bool:
    return letter.isdigit() or letter.lower() != letter.upper()


# -- a whole answer


def _replace(verdict: Verdict, answer: str) -> Revision:
    better = drop_heading(verdict.answer).strip("\r\n").rstrip()
    if not better:
        return Revision(answer, "it has no better answer" if verdict.word == "wrong" else "")
    if better == answer.strip():
        return Revision(answer, "its answer is the same")
    harm = _find_harm(better, answer, may_change_code=blames_code(verdict.why))
    if not harm and speaks_of_text(better, answer):
        harm = "it speaks of the answer"
    return Revision(answer, f"its answer is no better: {harm}") if harm else Revision(better, "a better answer")


def _find_harm(new: str, old: str, *, may_change_code: bool) -> str:
    """Why `new` is not to stand in the place of `old`, "" for no reason."""
    was, shows = read_symptoms(old), read_symptoms(new)
    if shows.is_empty:
        return "it is empty"
    if shows.refuses and not was.refuses:
        return "it refuses"
    if (shows.is_cut and not was.is_cut) or (leaves_out(new) and not leaves_out(old)):
        return "it is cut"
    if shows.loops:
        return "it goes round in circles"
    if is_remark(new, old):
        return "it speaks of the answer"
    if _is_other_language(new, old):
        return "it is in another language"
    if _is_escaped(new, old):
        return "it has escapes in place of lines"
    if len(new.strip()) < _LEAST_SHARE * len(old.strip()) and not _is_useless(was):
        return "it leaves out most"
    if loses_emergency(new, old):
        return "it leaves out whom to call"
    return _find_lost_code(_read_blocks(new), _read_blocks(old), may_change=may_change_code)


def _is_useless(was: Symptoms) -> bool:
    return was.is_empty or was.loops or was.is_cut


def _is_other_language(new: str, old: str) -> bool:
    if len(new) < _TELLING:
        return False
    one, other = tell_language(new), tell_language(old)
    return bool(one and other) and one != other


def _is_escaped(new: str, old: str) -> bool:
    r"""Some models write a line's end in JSON as \\n, which is then a backslash and a letter."""
    return "\\n" in new and "\\n" not in old


def _find_lost_code(new: Sequence[str], old: Sequence[str], *, may_change: bool) -> str:
    """Code is kept letter by letter, unless it is what is wrong; then there is other code in its place."""
    if len(new) < len(old):
        return "it leaves out code"
    return "it changes code" if not may_change and Counter(old) - Counter(new) else ""


def _read_blocks(text: str) -> list[str]:
    blocks: list[str] = []
    for piece in read(text):
        if piece.kind == "open":
            blocks.append("")
        elif piece.kind == "code":
            blocks[-1] += piece.code
    return blocks
