"""Labelled prompts: rows of a JSON Lines file, checked against the experts they name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import Struct

from ..config import Config
from ..core import ChatRequest, Message, Text
from ..dialects import openai
from ..dialects.wire import encode
from ..errors import BadRequest

# What a file may call a prompt that no expert fits; an expert of such a name is that expert nevertheless.
NOBODY = ("fallback", "oos", "out_of_scope", "none")
MARK = b"\xef\xbb\xbf"


class Case(Struct, frozen=True, kw_only=True):
    """One prompt and the expert that should get it: `label`, or as well one of `also`."""

    id: Any
    request: ChatRequest
    label: str
    also: tuple[str, ...] = ()
    lang: str = ""
    kind: str = ""
    source: str = ""

    @property
    def text(self) -> str:
        """The newest user message."""
        return next((message.text for message in reversed(self.request.messages) if message.role == "user"), "")

    def accepts(self, label: str) -> bool:
        return label == self.label or label in self.also


class Told(msgspec.Struct):
    """A row as it is written."""

    label: str
    id: Any = None
    text: str | None = None
    messages: Any = None
    alt: list[str] = []
    lang: str = ""
    kind: str = ""
    source: str = ""


_decoder = msgspec.json.Decoder(Told)


def read_cases(lines: Iterable[bytes], complain: Callable[[int, str], None]) -> list[Case]:
    """The rows that can be read; `complain` hears of each other one with its number, from 1."""
    cases = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            cases.append(read_case(line.removeprefix(MARK) if number == 1 else line, number))
        except BadRequest as error:
            complain(number, error.message)
    return cases


def read_case(line: bytes, number: int) -> Case:
    """Without an id of its own a row is known by its number. Raises BadRequest."""
    try:
        told = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"not a labelled prompt: {error}") from error
    if told.text is not None:
        request = ChatRequest(messages=(Message("user", (Text(told.text),)),))
    elif told.messages is not None:
        request = openai.CHAT.parse(encode({"messages": told.messages}))
    else:
        raise BadRequest('neither "text" nor "messages" is there')
    return Case(id=number if told.id is None else told.id, request=request, label=told.label, also=tuple(told.alt),
                lang=told.lang, kind=told.kind, source=told.source)


def settle_labels(cases: Sequence[Case], config: Config) -> tuple[list[Case], Counter[str]]:
    """The cases whose label is an expert's, in the experts' own spelling, and how many have which other label."""
    names = _name_experts(config)
    unknown = Counter(case.label for case in cases if case.label.casefold() not in names)
    return [
        msgspec.structs.replace(
            case, label=names[case.label.casefold()],
            also=tuple(names.get(label.casefold(), label) for label in case.also),
        )
        for case in cases if case.label not in unknown
    ], unknown


def describe_unknown(unknown: Counter[str], config: Config) -> list[str]:
    """A line for each label that no expert has, with the expert that may be meant."""
    names = _name_experts(config)
    lines = []
    for label, count in unknown.most_common():
        near = get_close_matches(label.casefold(), names, n=1)
        meant = f'; did you mean "{names[near[0]]}"?' if near else ";"
        rows = "1 row is" if count == 1 else f"{count} rows are"
        lines.append(f'no expert is called "{label}"{meant} {rows} left out')
    return lines


def find_learnt(cases: Sequence[Case], config: Config) -> set[int]:
    """The places of the cases that the experts have as their own examples, so that they prove nothing."""
    own = {_plain(example.text) for examples in config.examples.values() for example in examples}
    return {place for place, case in enumerate(cases) if len(case.request.messages) == 1 and _plain(case.text) in own}


def _name_experts(config: Config) -> dict[str, str]:
    """Every name of a label, in small letters: labels win over aliases, and those over the words for nobody."""
    names = dict.fromkeys(NOBODY, config.fallback.label)
    names |= {alias.casefold(): expert.label for expert in config.experts for alias in expert.aliases}
    return names | {expert.label.casefold(): expert.label for expert in config.experts}


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
