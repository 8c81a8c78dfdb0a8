"""The second turn of a long conversation, whose beginning the model has read before, against the same prompt cold."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from tests.bench.cases import Pace
from tests.bench.load import Target
from tests.bench.local import choose_files, default_threads
from tests.bench.report import Section, Verdict, say
from tests.bench.servers import Servers
from tests.bench.store import Unavailable
from tests.bench.talk import Message, Said, ask_all, start_locked, start_ours

TIMES = 3.0
TOKENS = 8
TALKS = (1, 4)
_STORY = (
    "I bought a used bicycle last spring, and since then it has made a noise whenever I ride uphill. A friend "
    "tightened the chain, a shop replaced the rear wheel, and a neighbour looked at the pedals, but the noise came "
    "back each time after a day or two. It is louder in the rain and almost gone in winter. "
)


class Turns(NamedTuple):
    """Milliseconds to the first token of some conversations that take turns."""

    first: list[float]
    second: list[float]
    cold: list[float]


async def measure_turns(servers: Servers, pace: Pace) -> Section:
    section = Section(
        f"Second turn: first token, conversations of {pace.story_chars} characters",
        ("conversations in turn", "server", "first turn ms", "second turn ms", "the same prompt cold ms",
         "times faster"),
    )
    try:
        file = next(iter(choose_files(servers).values()))
    except Unavailable as error:
        section.verdicts.append(Verdict("second turn", None, TIMES, "x", at_least=True, note=str(error)))
        return section
    targets = [start_ours(servers, file, None), start_locked(servers, file, default_threads())]
    stories = _stories(pace.story_chars)
    for target in targets:  # loads it
        await _say(target, [_user("Hello")], section)
    found: dict[tuple[int, str], list[Turns]] = {(talks, target.name): [] for talks in TALKS for target in targets}
    for _, talks, target in itertools.product(range(pace.turns), TALKS, targets):
        turns = await _talk(target, stories, talks, section)
        found[talks, target.name].append(turns)
        say(f"{talks} conversations, {target.name}: second turn {median(turns.second):.0f} ms, cold "
            f"{median(turns.cold):.0f} ms")
    for (talks, name), rounds in found.items():
        first, second, cold = (median(itertools.chain(*kind)) for kind in zip(*rounds, strict=True))
        section.rows.append((talks, name, first, second, cold, cold / second))
        if name == "ours":
            section.verdicts.append(Verdict(f"{talks} in turn, second turn's first token beside cold", cold / second,
                                            TIMES, "x", at_least=True))
    section.notes.append(f"{file.stem}, {default_threads()} of the cores, one request at a time")
    return section


async def _talk(target: Target, stories: Iterator[str], talks: int, section: Section) -> Turns:
    """Everybody's first turn, then everybody's second; then as many second turns that nobody has read any of."""
    begun = [[_user(next(stories))] for _ in range(talks)]
    first = [await _say(target, talk, section) for talk in begun]
    second, cold = [], []
    for talk, said in zip(begun, first, strict=True):
        second.append((await _say(target, _go_on(talk, said), section)).first_ms)
    for said in first:
        cold.append((await _say(target, _go_on([_user(next(stories))], said), section)).first_ms)
    return Turns([said.first_ms for said in first], second, cold)


async def _say(target: Target, talk: list[Message], section: Section) -> Said:
    burst = await ask_all(target, [talk], tokens=TOKENS)
    section.errors += burst.errors
    return burst.said[0] if burst.said else Said("", 0, float("nan"))


def _go_on(talk: list[Message], said: Said) -> list[Message]:
    return [*talk, {"role": "assistant", "content": said.text}, _user("And what would you do first?")]


def _stories(chars: int) -> Iterator[str]:
    """Long texts that differ from the first word on."""
    for number in itertools.count(1000):
        yield f"{number} is the number of my case. {_STORY * (chars // len(_STORY) + 1)}"[:chars]


def _user(text: str) -> Message:
    return {"role": "user", "content": text}
