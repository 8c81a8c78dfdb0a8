"""A request drawn in time, each step a bar with what there is to say of it beneath."""

from __future__ import annotations

import textwrap
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..log import clean

LEAST_BAR, MOST_WHO, SHARE_OF_BAR = 8, 40, 0.45
MOST_SAID = 400
_INDENT = "    "


def draw(told: Mapping[str, Any], *, width: int, is_plain: bool = False) -> list[str]:
    """A request as lines of at most `width` columns; `is_plain`: of ASCII characters, but for names."""
    lines = [line for text in _head(told) for line in _wrap(text, width)]
    spans = sorted(told["spans"], key=lambda span: (span["started_ms"], span["ended_ms"]))
    if spans:
        lines += ["", *_draw_spans(spans, told["elapsed_ms"], width=width, mark="#" if is_plain else "█")]
    if told["left_off"]:
        lines.append(f"and {told['left_off']} more steps")
    for name in ("prompt", "answer", "complaint"):
        if told.get(name):
            text = clean(told[name].replace("\n", " "), limit=MOST_SAID)
            lines += ["", *_wrap(f"{name}: {text}", width, indent=_INDENT)]
    return [line.replace("…", "~") if is_plain else line for line in lines]


def _head(told: Mapping[str, Any]) -> Iterator[str]:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(told["created"]))
    yield f"{told['id']}  {told['path']}{', streamed' if told['stream'] else ''}  {when}"
    who = told["expert"] and f"{told['expert']}{_add(told['model'], told['expert'])}"
    asked = told["asked"] and f"asked for {told['asked']}"
    yield "; ".join(filter(None, (asked, who and f"answered by {who}", _end(told))))
    tokens = f"{told['prompt_tokens']} + {told['completion_tokens']} tokens{' (estimated)' * told['estimated']}"
    first = "" if told["first_ms"] is None else f"first word after {_time(told['first_ms'])}"
    sure = "" if told["answer_confidence"] is None else f"{told['answer_confidence']:.0%} sure"
    calls = f"{told['calls']} call{'' if told['calls'] == 1 else 's'} of models"
    yield ", ".join(filter(None, (told["strategy"], calls, tokens, first, f"{_time(told['elapsed_ms'])} in all", sure)))


def _end(told: Mapping[str, Any]) -> str:
    if told["outcome"] == "done":
        return f"status {told['status']}, {told['finish']}"
    if told["outcome"] == "left":
        return "the client left"
    return f"status {told['status']}, FAILED: {told['error']}"


def _add(model: str, expert: str) -> str:
    return f" ({model})" if model and model != expert else ""


def _draw_spans(spans: Sequence[Mapping[str, Any]], total_ms: float, *, width: int, mark: str) -> list[str]:
    """Each with its bar, and beneath it what there is to say of it."""
    end_ms = max(total_ms, *(span["ended_ms"] for span in spans)) or 1.0
    rows = [(span["stage"], clean(f"{span['name']}{_add(span['model'], span['name'])}", limit=MOST_WHO), _lasted(span),
             _tokens(span)) for span in spans]
    stage, who, lasted, tokens = (max(map(measure, column)) for column in zip(*rows, strict=True))
    left = width - stage - lasted - tokens - 8
    who = min(who, max(LEAST_BAR, left - max(LEAST_BAR, int(left * SHARE_OF_BAR))))
    bar = left - who
    lines = []
    for span, row in zip(spans, rows, strict=True):
        cells = (_pad(row[0], stage), _pad(row[1], who), _pad(row[2], lasted, is_right=True),
                 _pad(row[3], tokens, is_right=True))
        drawn = _bar(span["started_ms"] / end_ms, span["ended_ms"] / end_ms, bar, mark) if bar >= LEAST_BAR else ""
        lines.append(_fit("  ".join((*cells, drawn)).rstrip(), width))
        lines += _wrap(_remark(span), width, indent=_INDENT, is_deep=True)
    return lines


def _lasted(span: Mapping[str, Any]) -> str:
    return "-" if span["outcome"] == "skipped" else _time(span["ended_ms"] - span["started_ms"])


def _tokens(span: Mapping[str, Any]) -> str:
    count = (span["prompt_tokens"], span["completion_tokens"])
    return "" if None in count else f"{count[0]}+{count[1]}"


def _remark(span: Mapping[str, Any]) -> str:
    end = {"done": "", "failed": "FAILED", "skipped": "not asked", "cut": "cut off"}[span["outcome"]]
    first = "" if span["first_ms"] is None else f"first word at {_time(span['first_ms'])}"
    sure = "" if span["confidence"] is None else f"{span['confidence']:.0%} sure"
    scores = ", ".join(f"{label} {value:.2f}" for label, value in span.get("scores", {}).items())
    said = clean(span.get("text", ""), limit=MOST_SAID)
    told = ": ".join(filter(None, (end, span["reason"])))
    return "; ".join(filter(None, (told, sure, first, scores and f"scores: {scores}", said)))


def _time(ms: float) -> str:
    if ms >= 10_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"


def _bar(start: float, end: float, width: int, mark: str) -> str:
    """At least one mark, within `width`."""
    first = min(int(start * width), width - 1)
    last = min(max(round(end * width), first + 1), width)
    return " " * first + mark * (last - first)


def _wrap(text: str, width: int, *, indent: str = "", is_deep: bool = False) -> list[str]:
    """Lines that fit; `is_deep`: the first is indented too."""
    shown = clean(text, limit=2000)
    narrowed = width * len(shown) // max(1, measure(shown))  # of letters as wide as two there is room for half as many
    lines = textwrap.wrap(shown, max(narrowed, 2 * len(_INDENT)), initial_indent=indent if is_deep else "",
                          subsequent_indent=indent)
    return [_fit(line, width) for line in lines]


def measure(text: str) -> int:
    """Columns on a terminal."""
    return sum(0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
               for each in text)


def _fit(text: str, width: int) -> str:
    if measure(text) <= width:
        return text
    cut = text
    while measure(cut) > width - 1:
        cut = cut[:-1]
    return f"{cut}…"


def _pad(text: str, width: int, *, is_right: bool = False) -> str:
    fitted = _fit(text, width)
    gap = " " * (width - measure(fitted))
    return gap + fitted if is_right else fitted + gap
