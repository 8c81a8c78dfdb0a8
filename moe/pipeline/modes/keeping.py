"""An answer on its way, kept to its output mode: its text becomes what the mode promises, nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from msgspec import structs

from ...backends.builtin import BUILTIN
from ...core import (
    ChatRequest,
    Chunk,
    Decision,
    Done,
    Heartbeat,
    Message,
    Refusal,
    Started,
    Text,
    ToolCall,
    ToolCallPiece,
)
from ...errors import MoeError
from ...routing.text import is_housekeeping
from ...tools.base import Language
from ...tools.questions.question import fold, guess_language
from ...trace import Span
from ..asking import Asking, Spent, derive
from .concise import MOST_WORDS, Concise, ask_shorter, cut, needs_shortening
from .enforcer import Enforcer, Finding, Kind
from .known import Mode, make_enforcer
from .odds import Odds
from .report import TITLE, Report, ask_sections
from .sources import Source
from .steps import Plan, ask_steps, has_steps, number_plan
from .words import count_words

Chunks = Generator[Chunk, None, None]
_HELD = Heartbeat(is_held=True)
_FREE = ("standard", "agent")
_QUOTES = ("marks_removed",)
_REASONS: dict[Kind, str] = {
    "no_code": "there is no code in it",
    "cut": "cut at the end of a sentence",
    "over_limit": "still too long",
    "no_sources": "it had no sources",
    "marks_removed": "marks of no source were taken out",
    "sources_replaced": "its own list of sources was replaced",
    "missing_sections": "these sections are missing",
    "numbered": "its list got numbers",
    "no_steps": "there are no steps in it",
}


def keep(
    chunks: Chunks, mode: Mode, request: ChatRequest, asking: Asking, decision: Decision, *,
    sources: Sequence[Source] = (), tasks: Sequence[str] = (), follow: Callable[[str], str] = lambda text: "",
    may_ask: bool = True,
) -> Chunks:
    """`chunks` as the `mode` wants an answer to be; they themselves where it wants nothing of this one.

    An answer that lacks what only a model can give is asked for that once: to be shorter, for its missing sections, for
    steps. `tasks` are what a council divided the request into, there before anything is said; a plan begins with them.
    `follow` gives what has to stand after the text that a client is shown, and takes its words off a concise one.
    Unless it `may_ask`, nobody is asked, as where somebody changed an answer that was kept before.
    """
    if not is_kept(mode, request):
        return chunks
    language = guess_language(fold(next(iter(request.user_texts[-1:]), "")))
    enforcer = make_enforcer(mode, language=language, sources=sources, is_fenced=request.verb != "generate")
    keeping = _Keeping(enforcer, mode, request, asking=asking, decision=decision, language=language, follow=follow,
                       may_ask=may_ask)
    return keeping.run(chunks, tasks if mode.name == "plan" else ())


def is_kept(mode: Mode, request: ChatRequest) -> bool:
    """Whether the mode has a say: what goes on with a text, or keeps to a form, is a program's to read."""
    is_read = request.completion is None and request.format is None and not is_housekeeping(request)
    return is_read and mode.name not in _FREE


class _Keeping:
    """One answer."""

    def __init__(
        self, enforcer: Enforcer, mode: Mode, request: ChatRequest, *, asking: Asking, decision: Decision,
        language: Language, follow: Callable[[str], str], may_ask: bool,
    ) -> None:
        self._enforcer = enforcer
        self._mode = mode
        self._request = request
        self._asking = asking
        self._decision = decision
        self._plan = ""
        self._language: Language = language
        self._follow = follow
        self._may_ask = may_ask
        self._odds = Odds()
        self._heard: list[Text] = []  # while nothing is shown
        self._shown: list[str] = []
        self._notes: list[str] = []
        self._who: Started | None = None
        self._is_over = False  # what comes now is passed on as it is
        self._is_cut = False  # what was added has no end

    def run(self, chunks: Chunks, tasks: Sequence[str]) -> Chunks:
        """Whoever speaks has ended before the same one is asked again, since a node may have room for one only."""
        done = None
        with closing(chunks):
            try:
                for chunk in chunks:
                    if isinstance(chunk, Done):
                        done = chunk
                    else:
                        yield from self._take(chunk, tasks)
            except MoeError:
                yield from self._give_back()  # what was said before it broke off
                raise
        if done is not None:
            yield from self._end(done)
            yield structs.replace(done, finish="length") if self._is_cut else done

    def _take(self, chunk: Chunk, tasks: Sequence[str]) -> Chunks:
        if isinstance(chunk, Text):
            self._plan = self._plan or number_plan(tasks, self._language)
            yield from self._hear(chunk)
            return
        if isinstance(chunk, (ToolCall, ToolCallPiece)):
            yield from self._close(is_over=False)
        elif isinstance(chunk, Started):
            yield from self._heed(chunk)
        yield chunk

    def _heed(self, who: Started) -> Chunks:
        """The words that nobody can answer are no answer."""
        self._who = who
        if who.model == BUILTIN:
            yield from self._give_back()

    def _hear(self, piece: Text) -> Chunks:
        if isinstance(piece, Refusal):
            yield from self._give_back()
        if self._is_over:
            yield piece
            return
        if not self._shown:
            self._heard.append(piece)
        self._odds.heed(piece)
        shown = self._enforcer.feed(piece.text)
        if shown:
            yield from self._show(shown)
        else:
            yield _HELD

    def _show(self, text: str) -> Chunks:
        if not text:
            return
        if not self._shown:
            self._heard.clear()
            if self._plan:
                yield Text(self._plan)
        self._shown.append(text)
        yield Text(text, self._odds.give(text))

    def _close(self, *, is_over: bool) -> Chunks:
        if not self._is_over:
            self._is_over = True
            yield from self._show(self._enforcer.finish(is_over=is_over))

    def _give_back(self) -> Chunks:
        """What was held back, as it was said where nothing of it was seen yet."""
        if self._shown:
            yield from self._close(is_over=False)
        elif not self._is_over:
            self._is_over = True
            yield from self._heard

    def _end(self, done: Done) -> Chunks:
        began_ms = self._asking.trace.now_ms()
        if done.finish == "content_filter":
            yield from self._give_back()
        elif done.finish == "tool_calls" or self._is_over:
            yield from self._close(is_over=False)
        else:
            yield from self._finish(done, is_whole=done.finish == "stop")
        self._note(began_ms)

    def _finish(self, done: Done, *, is_whole: bool) -> Chunks:
        """`is_whole`: nothing cut it before it was over. Where the client said what ends it, nothing is asked for."""
        may_grow = self._may_ask and is_whole and not done.stop_sequence
        if isinstance(self._enforcer, Concise):
            yield from self._shorten(self._enforcer, is_whole=is_whole)
        elif isinstance(self._enforcer, Report) and may_grow:
            yield from self._complete(self._enforcer, done)
        yield from self._close(is_over=True)
        if isinstance(self._enforcer, Plan) and may_grow and not self._plan:
            yield from self._divide(self._enforcer, done)
        last = self._follow("".join(self._shown)) if is_whole and self._shown else ""
        if last:
            yield Text(last)

    def _shorten(self, enforcer: Concise, *, is_whole: bool) -> Chunks:
        said, count = enforcer.said, count_words(enforcer.said)
        enforcer.most = most = self._find_room(said) if is_whole else MOST_WORDS
        if not self._may_ask or not needs_shortening(said, most=most):
            return
        yield self._asking.show(f"· merger: {count} words, asked for {most}")
        shorter = yield from self._ask(said, ask_shorter(said, most=most), f"{count} words, asked for {most}")
        if 0 < count_words(shorter) < count:
            self._enforcer = enforcer = Concise()
            self._odds = Odds()
            enforcer.feed(shorter)
            enforcer.most = self._find_room(shorter) if is_whole else MOST_WORDS

    def _find_room(self, said: str) -> int:
        """So many words may be shown of it."""
        return max(1, MOST_WORDS - count_words(self._follow(cut(said))))

    def _complete(self, enforcer: Report, done: Done) -> Chunks:
        """A title cannot be put before what was read already."""
        yield from self._show(enforcer.release())
        missing = [name for name in enforcer.missing() if name != TITLE.names[self._language]]
        if not missing or not self._shown:
            return
        sections = yield from self._ask("".join(self._shown), ask_sections(missing), "asked for what is missing", done)
        if sections:
            yield from self._show(enforcer.feed(f"\n\n{sections}"))

    def _divide(self, enforcer: Plan, done: Done) -> Chunks:
        if not any(finding.kind == "no_steps" for finding in enforcer.findings):
            return
        steps = yield from self._ask("".join(self._shown), ask_steps(), "asked for them", done)
        plan = Plan()
        numbered = plan.feed(steps) + plan.finish()
        if has_steps(numbered):
            yield from self._show(f"\n\n{numbered}")
        else:
            self._is_cut = False

    def _ask(
        self, said: str, question: str, reason: str, done: Done | None = None
    ) -> Generator[Chunk, None, str]:
        """What the one who `said` this says to a further question; "" where that cannot be had. After `done` it may be
        as long as the client's limit leaves."""
        asked = derive(self._request, notes=(self._mode.note,))
        left = self._request.sampling.max_tokens
        if left is not None and done is not None and done.usage is not None:
            left = max(1, left - done.usage.completion_tokens)
        turns = (Message("assistant", (Text(said),)), Message("user", (Text(question),)))
        asked = structs.replace(asked, messages=(*asked.messages, *turns),
                                sampling=structs.replace(asked.sampling, max_tokens=left))
        try:
            answer = yield from self._asking.gather(asked, self._hold(), stage="merger")
        except Spent as error:
            self._notes.append(f"nobody could be asked again: {error.reason}")
            return ""
        except MoeError:  # its step in the trace says why
            self._notes.append(f"{reason}, without success")
            return ""
        self._notes.append(reason)
        self._is_cut = done is not None and answer.done.finish == "length"
        return answer.text.strip()

    def _hold(self) -> Decision:
        """For the one who answered, as far as that is the one who was to; that nobody can is not to be said again."""
        decision, who = structs.replace(self._decision, virtual=False), self._who
        if who is None or who.expert != decision.expert.label:
            return decision
        return structs.replace(decision, model=who.model, is_alone=True)

    def _note(self, began_ms: float) -> None:
        findings = self._enforcer.findings
        if not findings and not self._notes:
            return
        reasons = [*self._notes, *map(_explain, findings)]
        said = " ".join(finding.detail for finding in findings if finding.kind in _QUOTES)
        trace = self._asking.trace
        trace.add(Span(stage="merger", name=f"mode {self._mode.name}", started_ms=began_ms, ended_ms=trace.now_ms(),
                       reason="; ".join(reasons), text=said))


def _explain(finding: Finding) -> str:
    """In words of ours: what quotes the model has its place where text may be kept."""
    told = finding.detail if finding.kind not in _QUOTES else ""
    return f"{_REASONS[finding.kind]} ({told})" if told else _REASONS[finding.kind]
