"""How likely a whole answer is right, of everything that can be told of it: where all its signals meet."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import closing
from typing import NamedTuple

from msgspec import Struct, structs

from ..backends.builtin import BUILTIN
from ..core import ChatRequest, Chunk, Decision, Done, Extract, Started, Text
from ..experts import Expert
from ..routing.hardness import load_hardness
from ..routing.text import find_question
from ..tools.questions.question import fold, guess_language
from ..trace import Trace
from .agreement import calculate, check_sums, find_agreement
from .asking import Said
from .confidence import Signals, Tokens, combine, explain, read_tokens
from .grounding import HEADING
from .progress import ARROW
from .symptoms import Symptoms, read_symptoms

Chunks = Generator[Chunk, None, None]

MOST_READ = 100_000
# What they write is mostly not said in their own voice: a doubt in it is a character's, or the author's.
_SPEAK_FOR_OTHERS = frozenset({"creative_writer", "translation"})
_FACT = re.compile(r"^- .*[=≈] (\S+)", re.MULTILINE)
_CALLED = re.compile(rf"^\w+\([^\n]*\){ARROW}([-−]?\d+(?:\.\d+)?(?:/\d+)?)$", re.MULTILINE)


class Assessment(Struct, frozen=True):
    """`reason` names what counted most, in a phrase of ours. `is_bare`: it refuses, goes round in circles, or says
    nothing, so that nobody gains by reading it."""

    confidence: float
    reason: str
    is_bare: bool = False


def assess(
    said: Said, request: ChatRequest, *, expert: Expert, likely: float | None = None, self_report: float | None = None,
    past_score: float | None = None, agreement: float | None = None, lacks_form: bool = False, refuses: bool = False,
    is_whole: bool = True,
) -> Assessment:
    """Whatever is not given and can be read from what was asked and said, is. `likely`: how probable a right answer was
    before it was seen. Of an answer that is not whole, what its end would tell is left out."""
    symptoms = _read_symptoms(said, request)
    read = _read_content(said, request, likely=likely, agreement=agreement, is_whole=is_whole)
    is_softened = read.knows_doubts or _is_for_others(expert)
    signals = structs.replace(
        read_tokens(said.tokens, said.done), likely=read.likely, self_report=self_report, past_score=past_score,
        agreement=read.agreement, sums=read.sums, is_empty=is_whole and symptoms.is_empty,
        refuses=symptoms.refuses or refuses, hedges=0.0 if is_softened else symptoms.hedges,
        is_vague=is_whole and symptoms.is_vague and not _is_for_others(expert) and not _is_offered(said, request),
        is_cut=is_whole and symptoms.is_cut, loops=symptoms.loops, lacks_form=lacks_form,
    )
    is_bare = signals.is_empty or signals.is_vague or signals.refuses or signals.loops
    return Assessment(combine(signals), _explain(signals), is_bare)


def glance(said: Said) -> float:
    """How far an answer is to be trusted by what it shows itself, for one that nothing hangs on: far cheaper."""
    symptoms = read_symptoms(said.text, said.done.finish)
    return combine(Signals(
        mean_logprob=said.done.mean_logprob, min_logprob=said.done.min_logprob, is_empty=symptoms.is_empty,
        is_vague=symptoms.is_vague, refuses=symptoms.refuses, hedges=symptoms.hedges, is_cut=symptoms.is_cut,
        loops=symptoms.loops,
    ))


def judge(chunks: Chunks, decision: Decision, trace: Trace, rate: Callable[[Said], float]) -> Chunks:
    """Passes `chunks` on and closes them; at the end the trace is told how far the answer is to be trusted, as `rate`
    says."""
    texts: list[str] = []
    who = Started(expert=decision.expert.label, model=decision.model)
    with closing(chunks):
        for chunk in chunks:
            if isinstance(chunk, Text):
                texts.append(chunk.text)
            elif isinstance(chunk, Started):
                who = chunk
            elif isinstance(chunk, Done) and who.model != BUILTIN and chunk.finish != "tool_calls":
                confidence = rate(Said(text="".join(texts), who=who, done=chunk, tokens=Tokens()))
                trace.rate(who.expert, who.model, confidence)
                trace.judge(confidence)
            yield chunk


def foresee(request: ChatRequest) -> float:
    """How likely a small model fails at what was asked last, by the question alone."""
    return load_hardness().foresee(read_asked(request))


def read_asked(request: ChatRequest) -> str:
    """The newest question, in the user's own words."""
    return find_question(next(iter(request.user_texts[-1:]), ""))


def _is_for_others(expert: Expert) -> bool:
    return expert.label in _SPEAK_FOR_OTHERS


def _is_offered(said: Said, request: ChatRequest) -> bool:
    """Whether the question names these words itself: "Answer with yes, no or maybe"."""
    return said.text.strip(" .!?\n").casefold() in read_asked(request).casefold()


class _Content(NamedTuple):
    likely: float
    sums: float | None
    agreement: float | None
    knows_doubts: bool


def _read_content(
    said: Said, request: ChatRequest, *, likely: float | None, agreement: float | None, is_whole: bool
) -> _Content:
    """What the answer says, held against the question and what tools found. `knows_doubts`: sums and hedges are in
    `likely`."""
    asked, text = read_asked(request), _shorten(said.text)
    if is_whole and agreement is None:
        agreement = find_agreement(text, _list_results(request, said))
    is_fitting = is_whole and likely is None and guess_language(fold(asked)) == "en"
    doubt = load_hardness().doubt_work(asked, text, calculate) if is_fitting else None
    if doubt is not None:
        return _Content(1 - doubt, None, agreement, knows_doubts=True)
    likely = 1 - load_hardness().foresee(asked) if likely is None else likely
    return _Content(likely, check_sums(text).share, agreement, knows_doubts=False)


def _shorten(text: str) -> str:
    """Numbers are looked for at the beginning and at the end of an answer that is a book."""
    return text if len(text) <= MOST_READ else f"{text[:MOST_READ // 2]}\n{text[-MOST_READ // 2:]}"


def _read_symptoms(said: Said, request: ChatRequest) -> Symptoms:
    """Where a limit or a stop that was asked for ended it, its end says nothing."""
    sampling = (said.who.sent or request).sampling
    symptoms = read_symptoms(said.text, said.done.finish)
    is_asked = (said.done.finish == "length" and sampling.max_tokens is not None) or bool(sampling.stop)
    is_filtered = said.done.finish == "content_filter"
    return structs.replace(symptoms, is_cut=symptoms.is_cut and not is_asked, refuses=symptoms.refuses or is_filtered)


def _list_results(request: ChatRequest, said: Said) -> list[str]:
    """Numbers that tools found: in the newest question, and by the last call that was made for the answer."""
    newest = next((message for message in reversed(request.messages) if message.role == "user"), None)
    facts = [] if newest is None else [part.text for part in newest.parts
                                       if isinstance(part, Extract) and HEADING in part.text]
    called = _CALLED.findall(said.thought) if said.done.tools else []
    return [*(result.rstrip(".,") for fact in facts for result in _FACT.findall(fact)), *called[-1:]]


def _explain(signals: Signals) -> str:
    reason = explain(signals)
    is_plain = signals.is_empty or signals.refuses or signals.likely is None
    return reason if is_plain else f"likely {signals.likely:.2f}, {reason}"
