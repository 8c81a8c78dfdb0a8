"""The output modes, by the names of the models that a client asks for them with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from msgspec import Struct

from ...aliases import plain
from ...tools.base import Language
from .cited import Cited
from .code import Begun, CodeOnly
from .concise import MOST_WORDS, Concise
from .enforcer import Enforcer, Passing
from .report import SECTIONS, Report
from .sources import NOTHING, Given, Source
from .steps import Plan

ModeName = Literal["standard", "code", "concise", "research", "report", "agent", "plan"]
_IN_THEIRS = "Answer in the user's language."


class Mode(Struct, frozen=True, kw_only=True):
    """One mode: the model's name that means it, what it does in one line, and what a model is told, "" for nothing.
    `is_streamed`: its answers can be passed on as they come. `offers_tools`: tools are offered whatever is asked.
    `takes_exact`: what a tool says by itself is an answer in it."""

    name: ModeName
    model: str
    description: str
    note: str = ""
    is_streamed: bool = True
    offers_tools: bool = False
    takes_exact: bool = False


_ALL = (
    Mode(name="standard", model="moe-orchestrator", takes_exact=True,
         description="answers by one expert, by a second look, or by a council of experts, as the prompt needs"),
    Mode(name="code", model="moe-orchestrator-code", description="answers in source code only", note=(
        "Answer with source code only: one fenced code block with its language, and no words before or after it. "
        "What has to be said stands in comments, in the user's language. If there are several files, give each a "
        "block of its own that begins with a comment holding the file's name.")),
    Mode(name="concise", model="moe-orchestrator-concise", is_streamed=False, takes_exact=True,
         description=f"answers in at most {MOST_WORDS} words", note=(
        f"Answer in at most {MOST_WORDS} words. Begin with the answer itself, without introduction or summary. "
        f"{_IN_THEIRS}")),
    Mode(name="research", model="moe-orchestrator-research",
         description="answers with the sources cited that there are, or says that there are none", note=(
        "Answer as a researched text. Cite the numbered sources you are given with their numbers in square brackets, "
        "as in [1], directly after what each one supports; cite nothing else, and invent no source. Write no list of "
        "sources, it is added. Say what the sources leave open or contradict. If no sources are given, cite none. "
        f"{_IN_THEIRS}")),
    Mode(name="report", model="moe-orchestrator-report", description="answers as a report with its sections", note=(
        "Answer as a report in Markdown: a title under #, then under ## the sections "
        f"{', '.join(section.names['en'] for section in SECTIONS[1:-1])}, in this order, their headings in the user's "
        "language, none of them empty. Cite only numbered sources you are given, as in [1]; the list of sources is "
        f"added. {_IN_THEIRS}")),
    Mode(name="agent", model="moe-orchestrator-agent", offers_tools=True, takes_exact=True,
         description="works on a task with tools until it is done", note=(
        "Work on the task with the tools you are offered, and call one wherever it can do or check a part. Go on "
        f"until the task is done, then say briefly what was done and what came of it. {_IN_THEIRS}")),
    Mode(name="plan", model="moe-orchestrator-plan", description="answers as a plan in numbered steps", note=(
        "Answer with a plan of numbered steps (1., 2., 3.) in the order they are done. Each says what is done, what "
        f"it needs, and how to see that it is done. {_IN_THEIRS}")),
)
MODES: Mapping[str, Mode] = MappingProxyType({mode.model: mode for mode in _ALL})


def find_mode(model: str) -> Mode | None:
    """The mode that a client's name for a model means."""
    return MODES.get(plain(model))


def make_enforcer(
    mode: Mode, *, language: Language = "en", sources: Sequence[Source] = (), given: Given = NOTHING,
    is_fenced: bool = True, begun: Begun | None = None, is_later: bool = False,
) -> Enforcer:
    """For one answer, in the user's `language`. `given` are the sources that came with the request. `is_fenced`: who
    asked shows Markdown, so code comes in fences. `begun` is a block of code that the answer may go on with.
    `is_later`: the model has spoken before, or begun."""
    if mode.name == "code":
        return CodeOnly(is_fenced=is_fenced, begun=begun)
    if mode.name == "concise":
        return Concise()
    if mode.name == "research":
        return Cited(sources=sources, given=given, language=language)
    if mode.name == "report":
        return Report(sources=sources, given=given, language=language, is_later=is_later)
    return Plan() if mode.name == "plan" else Passing()


def enforce(
    text: str, mode: Mode, *, language: Language = "en", sources: Sequence[Source] = (), is_fenced: bool = True
) -> str:
    """A whole answer as its mode wants it."""
    enforcer = make_enforcer(mode, language=language, sources=sources, is_fenced=is_fenced)
    return enforcer.feed(text) + enforcer.finish()
