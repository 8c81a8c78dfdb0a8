"""Models call this server's own tools: the calls are made here, and the client sees nothing of them but the answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import msgspec
from msgspec import structs

from ..config.schema import ToolsConfig
from ..core import (
    ChatRequest,
    Chunk,
    Decision,
    Done,
    Extract,
    Heartbeat,
    Message,
    Started,
    Text,
    Thinking,
    ToolCall,
    ToolCallPiece,
    ToolResult,
)
from ..errors import BackendError, MoeError
from ..tools.known import Toolkit
from ..trace import Stage, Trace
from .calling import EmptyAnswer, OnlyCalls, read_written
from .dispatch import Dispatcher
from .form import Form
from .grounding import HEADING
from .noting import note_call
from .offering import OF_LAW, Fitting, Imported, may_offer, names_of, specify
from .progress import Progress
from .rounds import Before, Round, find_cause, lies_in_calls
from .toolcalls import Calls

log = logging.getLogger("moe.tools")

_BEAT = Heartbeat()
_Chunks = Generator[Chunk, None, None]
_Failed = dict[str, BackendError]


class Toolloop:
    """Offers the tools that fit a conversation, and lets a model call them until it answers. Thread-safe; of what was
    said it keeps nothing but hashes."""

    def __init__(self, dispatcher: Dispatcher, toolkit: Toolkit, config: ToolsConfig) -> None:
        self._dispatcher = dispatcher
        self._toolbox = toolkit.toolbox
        self._config = config
        self._fitting = Fitting(toolkit)
        self._laws = Imported(toolkit.toolbox.laws)
        self._progress = Progress(tool.name for tool in toolkit.toolbox)
        self._specs = {tool.name: msgspec.json.encode(specify(tool)) for tool in toolkit.toolbox}

    def offer(self, request: ChatRequest, decision: Decision, *, always: bool = False) -> ChatRequest:
        """`request` with the tools that its expert always has and those that a model may want for it, if it is one to
        offer any with; without what earlier answers told of calls. `always`: some are handy whatever is asked."""
        request = self._progress.forget(request)
        if not may_offer(request, decision, self._config):
            return request
        own = names_of(request.tools)
        fitting = self._fitting.choose(request, decision.expert, always=always)
        names = (name for name in fitting if name not in own and (name not in OF_LAW or self._laws))
        found = tuple(msgspec.json.decode(self._specs[name]) for name in names)  # LiteLLM changes what it is given
        return structs.replace(request, offered=found) if found else request

    def run(
        self, request: ChatRequest, decision: Decision, *, request_id: str, form: Form | None = None,
        trace: Trace | None = None, stage: Stage = "workers",
    ) -> _Chunks:
        """As `Dispatcher.run`, which it is where nothing is offered."""
        if not request.offered:
            return self._dispatcher.run(request, decision, request_id=request_id, form=form, trace=trace, stage=stage)

        def ask(request: ChatRequest, decision: Decision, failed: _Failed) -> _Chunks:
            return self._dispatcher.run(request, decision, request_id=request_id, failed=failed, trace=trace,
                                        stage=stage)

        calls = Calls(self._toolbox, self._config, names_of(request.offered))
        course = _Course(request, decision, calls, ask=ask, hold=self._dispatcher.hold, request_id=request_id,
                         trace=trace or Trace())
        return course.run() if request.stream else _gather(course.run())


class _Course:
    """One answer: rounds of one model, until it calls none of our tools."""

    def __init__(
        self, request: ChatRequest, decision: Decision, calls: Calls, *,
        ask: Callable[[ChatRequest, Decision, _Failed], _Chunks],
        hold: Callable[[Decision, Started], Decision], request_id: str, trace: Trace,
    ) -> None:
        self._request = request
        self._decision = decision
        self._calls = calls
        self._ask = ask
        self._hold = hold
        self._request_id = request_id
        self._trace = trace
        self._ours = names_of(request.offered)
        self._theirs = names_of(request.tools)
        self._before = Before()
        self._who: Started | None = None

    def run(self) -> _Chunks:
        """Started comes once, and once more where somebody else had to go on."""
        asked = self._request
        spoken = yield from self._begin(asked)
        if spoken is None:
            return
        who, is_last = spoken.who, False
        while spoken.calls and who is not None and not is_last:
            self._before.note(spoken, asked)
            left = self._before.find_left(who)
            if left == 0:
                yield structs.replace(self._finish(Round(), asked), finish="length")
                return
            asked = _limit((yield from self._reply(spoken, asked)), left)
            is_last = self._calls.are_over
            asked, spoken = _silence(asked) if is_last else asked, Round()
            try:
                yield from self._hear(spoken, self._ask(asked, self._hold(self._decision, who), {}))
                spoken.check(asked, is_last=is_last)
            except MoeError as error:
                if spoken.has_said:
                    raise
                if isinstance(error, EmptyAnswer) and not isinstance(error, OnlyCalls) and self._before.said:
                    break  # there was nothing to add to what had been said beside the call
                log.warning("request=%s goes on without tools: %s", self._request_id, type(error).__name__)
                self._note_broken(spoken, asked)
                is_last, spoken, asked = True, Round(), _limit(self._ask_anew(), self._before.find_left(who))
                spoken = yield from self._go_on(asked, who, find_cause(error))
        yield self._finish(spoken, asked)

    def _go_on(
        self, asked: ChatRequest, who: Started, error: BackendError
    ) -> Generator[Chunk, None, Round]:
        """The answer of somebody else, or of the same one where that may do; who fails is not asked again."""
        failed = dict.fromkeys(who.failed, BackendError())
        if not lies_in_calls(error):
            failed[who.expert] = error
        while True:
            spoken = Round()
            try:
                yield from self._hear(spoken, self._ask(asked, self._decision, failed), is_new=True)
                spoken.check(asked, is_last=True)
                return spoken
            except BackendError as wrong:
                if spoken.has_said or spoken.who is None or spoken.who.expert in failed:
                    raise
                failed[spoken.who.expert] = wrong
                self._note_broken(spoken, asked)

    def _note_broken(self, spoken: Round, asked: ChatRequest) -> None:
        if spoken.done is not None:
            self._before.note(spoken, asked)

    def _begin(self, asked: ChatRequest) -> Generator[Chunk, None, Round | None]:
        """The first round; None where the one who speaks was offered nothing, and all is said."""
        spoken = Round()
        with closing(self._ask(asked, self._decision, {})) as chunks:
            for chunk in chunks:
                yield chunk
                if isinstance(chunk, Started):
                    spoken.who = self._who = chunk
                    break
            if spoken.who is None or spoken.who.sent is None or not spoken.who.sent.offered:
                yield from chunks
                return None
            yield from self._hear(spoken, chunks)
        return spoken

    def _hear(self, spoken: Round, chunks: _Chunks, *, is_new: bool = False) -> _Chunks:
        """Passes on what the client may see, and closes `chunks`. Whose call comes first, it is their turn: of the
        others' nothing is passed on or kept, and the model may make them again."""
        with closing(read_written(chunks, self._ours)) as heard:
            for chunk in heard:
                if isinstance(chunk, Text):
                    if self._before.said and chunk.text:
                        yield from self._before.part()
                    spoken.texts.append(chunk.text)
                    yield chunk
                elif isinstance(chunk, (ToolCall, ToolCallPiece)):
                    yield chunk if self._is_theirs(chunk, spoken) else _BEAT
                elif isinstance(chunk, Thinking):
                    spoken.thoughts.append(chunk.text)
                    yield chunk
                elif isinstance(chunk, Done):
                    spoken.done = chunk
                    spoken.calls = [] if chunk.finish == "content_filter" else spoken.calls
                elif isinstance(chunk, Started):
                    spoken.who = chunk
                    if is_new and self._is_news(chunk):
                        yield chunk
                else:
                    yield chunk

    def _is_news(self, who: Started) -> bool:
        """Whether it is for whoever shows the answer to know; nobody has seen the first one where it comes whole."""
        before, self._who = self._who, who
        is_other = before is None or (before.expert, before.model) != (who.expert, who.model)
        return is_other or not self._request.stream

    def _is_theirs(self, chunk: ToolCall | ToolCallPiece, spoken: Round) -> bool:
        """Whether it is the client's call; where it has no tools, each is meant for ours."""
        name = self._find_name(chunk.name)
        is_theirs = name not in self._ours and bool(self._theirs)
        if is_theirs and not spoken.calls_ours:
            spoken.has_called = True
            return True
        if not is_theirs and not spoken.has_called:
            spoken.calls_ours = True
            if isinstance(chunk, ToolCall):
                spoken.calls.append(structs.replace(chunk, name=name))
        return False

    def _find_name(self, written: str) -> str:
        """Which tool is meant: some models write a space before it, or whose it is."""
        plain = written.strip().rpartition(".")[2]
        return plain if plain in self._ours and written not in self._theirs else written

    def _reply(self, spoken: Round, asked: ChatRequest) -> Generator[Chunk, None, ChatRequest]:
        """Makes the calls; gives back what the model is asked next."""
        self._calls.begin_round()
        made = []
        for place, call in enumerate(spoken.calls):
            yield _BEAT
            began_ms = self._trace.now_ms()
            made.append(self._calls.make(call, place))
            note_call(self._trace, made[-1], began_ms=began_ms, is_ours=call.name in self._ours)
            yield _BEAT if self._request.think is False else self._before.show(made[-1].line)
        text, thought = "".join(spoken.texts), "".join(spoken.thoughts)
        said: list[Any] = [*([Thinking(thought)] if thought else ()), *([Text(text)] if text else ())]
        turn = Message("assistant", (*said, *(each.call for each in made)))
        results = (Message("tool", (ToolResult(each.call.id, each.call.name, each.content),)) for each in made)
        return structs.replace(asked, messages=(*asked.messages, turn, *results))

    def _ask_anew(self) -> ChatRequest:
        """The question anew for anybody, with what was found so far as part of it."""
        facts = self._calls.tell()
        messages = list(self._request.messages)
        if facts:
            place = max((place for place, message in enumerate(messages) if message.role == "user"), default=-1)
            asked = messages[place]
            messages[place] = structs.replace(asked, parts=(*asked.parts, Extract(f"{HEADING}\n{facts}")))
        return structs.replace(self._request, messages=tuple(messages), offered=())

    def _finish(self, spoken: Round, asked: ChatRequest) -> Done:
        done = spoken.done or Done()
        if done.finish == "tool_calls" and not spoken.has_called:
            done = structs.replace(done, finish="stop")
        log.info("request=%s tools=%s", self._request_id, ",".join(self._calls.names))
        usage = done.usage
        spent = self._before.spent
        if spent is not None:
            usage = spent if spoken.done is None else spoken.count(asked).plus(spent)
        return structs.replace(done, usage=usage, tools=self._calls.names)


def _limit(request: ChatRequest, left: int | None) -> ChatRequest:
    """What is left of the answer's length is the next round's."""
    if left is None:
        return request
    return structs.replace(request, sampling=structs.replace(request.sampling, max_tokens=max(1, left)))


def _silence(request: ChatRequest) -> ChatRequest:
    """`request` without another call of ours. They stay listed, since some APIs insist on it where a conversation has
    calls; among tools of the client's, which it may still call, they are not."""
    return structs.replace(request, offered=()) if request.tools else structs.replace(request, tool_choice="none")


def _gather(chunks: _Chunks) -> _Chunks:
    """Everything at the end, as of the one who spoke last."""
    held: list[Chunk] = []
    who: Started | None = None
    with closing(chunks):
        for chunk in chunks:
            if isinstance(chunk, Started):
                who = chunk
            elif not isinstance(chunk, Heartbeat):
                held.append(chunk)
            yield _BEAT
    if who is not None:
        yield who
    yield from held
