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
    Finish,
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
from ...tools.base import LANGUAGES, Language
from ...trace import Span
from ..asking import Asking, Said, Spent, derive
from ..languages import find_language
from .chat import strip_chat
from .code import CodeOnly, ask_block, find_begun
from .concise import MOST_WORDS, Concise, ask_shorter, cut, needs_shortening, take_shorter
from .enforcer import Enforcer, explain
from .known import Mode, make_enforcer
from .odds import Odds
from .report import TITLE, Report, ask_sections, pick_sections
from .sources import Source, find_sources
from .steps import Plan, ask_steps, can_be_plan, has_steps
from .turns import asks_plan, is_later
from .words import count_words

Chunks = Generator[Chunk, None, None]
_HELD = Heartbeat(is_held=True)
_FREE = ("standard", "agent")


def keep(
    chunks: Chunks, mode: Mode, request: ChatRequest, asking: Asking, decision: Decision, *,
    sources: Sequence[Source] = (), follow: Callable[[str], str] = lambda text: "", may_ask: bool = True,
) -> Chunks:
    """`chunks` as the `mode` wants an answer to be; they themselves where it wants nothing of this one.

    An answer that lacks what only a model can give is asked for that once: to be shorter, for its missing sections, for
    steps. `sources` are those that it was told to cite; without any, those that came with the request. `follow` gives
    what has to stand after the text that a client is shown, and takes its words off a concise one. Unless it `may_ask`,
    nobody is asked, as where somebody changed an answer that was kept before.
    """
    if not is_kept(mode, request):
        return chunks
    language = _find_language(request)
    enforcer = make_enforcer(mode, language=language, sources=sources, given=find_sources(request),
                             is_fenced=request.verb != "generate",
                             begun=find_begun(request.messages), is_later=is_later(request))
    keeping = _Keeping(enforcer, mode, request, asking=asking, decision=decision, language=language, follow=follow,
                       may_ask=may_ask)
    return keeping.run(chunks)


def is_kept(mode: Mode, request: ChatRequest) -> bool:
    """Whether the mode has a say: what goes on with a text, or keeps to a form, is a program's to read."""
    is_read = request.completion is None and request.format is None and not is_housekeeping(request)
    return is_read and mode.name not in _FREE


def _find_language(request: ChatRequest) -> Language:
    """The newest question's; where that is too short to tell, the one's before it. The notes are in three."""
    told = find_language(reversed(request.user_texts))
    return next((language for language in LANGUAGES if language == told), "en")


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
        self._is_replaced = False  # another answer, which is whole, stands for the first

    def run(self, chunks: Chunks) -> Chunks:
        """Whoever speaks has ended before the same one is asked again, since a node may have room for one only."""
        done = None
        with closing(chunks):
            try:
                for chunk in chunks:
                    if isinstance(chunk, Done):
                        done = chunk
                    else:
                        yield from self._take(chunk)
            except MoeError:
                yield from self._give_back()  # what was said before it broke off
                raise
        if done is not None:
            yield from self._end(done)
            finish: Finish = "length" if self._is_cut else "stop" if self._is_replaced else done.finish
            yield done if finish == done.finish else structs.replace(done, finish=finish)

    def _take(self, chunk: Chunk) -> Chunks:
        if isinstance(chunk, Text):
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
        """`is_whole`: nothing cut it before it was over. Where the client said what ends it, nothing is asked for. A
        report that was cut may be gone on with: nothing is added to it."""
        may_grow = self._may_ask and is_whole and not done.stop_sequence
        if isinstance(self._enforcer, Concise):
            yield from self._shorten(self._enforcer, is_whole=is_whole)
            is_whole = is_whole or self._is_replaced
        elif isinstance(self._enforcer, Report) and may_grow:
            yield from self._complete(self._enforcer, done)
        elif isinstance(self._enforcer, CodeOnly) and may_grow:
            yield from self._extract(self._enforcer)
        yield from self._close(is_over=(is_whole and not self._is_cut) or not isinstance(self._enforcer, Report))
        if isinstance(self._enforcer, Plan) and may_grow and asks_plan(self._request):
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
        answer = yield from self._ask(said, ask_shorter(said, most=most), f"{count} words, asked for {most}")
        shorter = take_shorter(answer.text, said, most=most) if answer is not None else ""
        if answer is not None and shorter:
            self._is_replaced = answer.done.finish == "stop"
            self._is_cut = not self._is_replaced
            self._enforcer, self._odds = Concise(), Odds()
            self._enforcer.feed(shorter)
            self._enforcer.most = self._find_room(shorter) if self._is_replaced else MOST_WORDS

    def _find_room(self, said: str) -> int:
        """So many words may be shown of it."""
        return max(1, MOST_WORDS - count_words(self._follow(cut(said))))

    def _complete(self, enforcer: Report, done: Done) -> Chunks:
        """A title cannot be put before what was read already."""
        yield from self._show(enforcer.release())
        missing = [name for name in enforcer.missing() if name != TITLE.names[self._language]]
        if not missing or not self._shown:
            return
        answer = yield from self._ask("".join(self._shown), ask_sections(missing), "asked for what is missing", done)
        sections = pick_sections(answer.text, missing, self._language) if answer is not None else ""
        if answer is not None and sections:
            self._is_cut = answer.done.finish == "length"
            yield from self._show(enforcer.add(sections))

    def _extract(self, enforcer: CodeOnly) -> Chunks:
        if not enforcer.lacks_block():
            return
        said = "".join(piece.text for piece in self._heard)
        yield self._asking.show("· merger: no block of code, asked for one")
        answer = yield from self._ask(said, ask_block(), "asked for its code in a block")
        block = answer.text if answer is not None else ""
        renewed = enforcer.again(block)
        if renewed is not None:
            self._enforcer, self._odds = renewed, Odds()
            yield from self._show(renewed.feed(block))

    def _divide(self, enforcer: Plan, done: Done) -> Chunks:
        said = "".join(self._shown)
        if not any(finding.kind == "no_steps" for finding in enforcer.findings) or not can_be_plan(said):
            return
        answer = yield from self._ask(said, ask_steps(), "asked for them", done)
        plan = Plan()
        numbered = plan.feed(strip_chat(answer.text)) + plan.finish() if answer is not None else ""
        if answer is not None and has_steps(numbered):
            self._is_cut = answer.done.finish == "length"
            yield from self._show(f"\n\n{numbered}")

    def _ask(
        self, said: str, question: str, reason: str, done: Done | None = None
    ) -> Generator[Chunk, None, Said | None]:
        """What the one who `said` this says to a further question, None where that cannot be had. After `done` it may
        be as long as the client's limit leaves."""
        asked = derive(self._request, notes=(self._mode.note,))
        left = self._request.sampling.max_tokens
        if left is not None and done is not None and done.usage is not None:
            left = max(1, left - done.usage.completion_tokens)
        before = asked.messages
        if before and before[-1].role == "assistant":  # it went on with a turn that the client had begun
            before, said = before[:-1], before[-1].text + said
        turns = (Message("assistant", (Text(said),)), Message("user", (Text(question),)))
        asked = structs.replace(asked, messages=(*before, *turns),
                                sampling=structs.replace(asked.sampling, max_tokens=left))
        try:
            answer = yield from self._asking.gather(asked, self._hold(), stage="merger")
        except Spent as error:
            self._notes.append(f"nobody could be asked again: {error.reason}")
            return None
        except MoeError:  # its step in the trace says why
            self._notes.append(f"{reason}, without success")
            return None
        self._notes.append(reason)
        return structs.replace(answer, text=answer.text.strip())

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
        reasons = [*self._notes, *map(explain, findings)]
        trace = self._asking.trace
        trace.add(Span(stage="merger", name=f"mode {self._mode.name}", started_ms=began_ms, ended_ms=trace.now_ms(),
                       reason="; ".join(reasons)))
