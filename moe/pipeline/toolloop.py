"""Models call this server's own tools: the calls are made here, and the client sees nothing of them but the answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
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
    Usage,
)
from ..errors import BadAnswer, MoeError
from ..tools.known import Toolkit
from ..trace import Trace
from .attempt import EmptyAnswer
from .dispatch import Dispatcher
from .form import Form
from .grounding import HEADING
from .noting import note_call
from .offering import Fitting, may_offer, names_of, specify
from .settle import CHARS_PER_TOKEN, prompt_tokens
from .toolcalls import Calls

log = logging.getLogger("moe.tools")

_BEAT = Heartbeat()
_GAP = "\n\n"


class Toolloop:
    """Offers the tools that fit a conversation, and lets a model call them until it answers. Thread-safe; of what was
    said it keeps nothing but hashes."""

    def __init__(self, dispatcher: Dispatcher, toolkit: Toolkit, config: ToolsConfig) -> None:
        self._dispatcher = dispatcher
        self._toolbox = toolkit.toolbox
        self._config = config
        self._fitting = Fitting(toolkit.recogniser)
        self._specs = {tool.name: msgspec.json.encode(specify(tool)) for tool in toolkit.toolbox}

    def offer(self, request: ChatRequest, decision: Decision) -> ChatRequest:
        """`request` with the tools that a model may want for it, if it is one to offer any with."""
        if not may_offer(request, decision, self._config):
            return request
        own = names_of(request.tools)
        names = (name for name in self._fitting.find(request) if name not in own)
        found = tuple(msgspec.json.decode(self._specs[name]) for name in names)  # LiteLLM changes what it is given
        return structs.replace(request, offered=found) if found else request

    def run(
        self, request: ChatRequest, decision: Decision, *, request_id: str, form: Form | None = None,
        trace: Trace | None = None,
    ) -> Generator[Chunk, None, None]:
        """As `Dispatcher.run`, which it is where nothing is offered."""
        if not request.offered:
            return self._dispatcher.run(request, decision, request_id=request_id, form=form, trace=trace)

        def ask(request: ChatRequest, decision: Decision) -> Generator[Chunk, None, None]:
            return self._dispatcher.run(request, decision, request_id=request_id, trace=trace)

        calls = Calls(self._toolbox, self._config, names_of(request.offered))
        course = _Course(request, decision, calls, ask=ask, hold=self._dispatcher.hold, request_id=request_id,
                         trace=trace or Trace())
        return course.run() if request.stream else _gather(course.run())


class _Round:
    """One time that the model speaks, as far as it came. `calls` are those of our tools; `has_called`: one of the
    client's was passed on."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.calls: list[ToolCall] = []
        self.calls_ours = self.has_called = False
        self.who: Started | None = None
        self.done: Done | None = None

    @property
    def has_said(self) -> bool:
        return self.has_called or any(map(str.strip, self.texts))

    def count(self, asked: ChatRequest) -> Usage:
        """What it took, estimated where nobody says."""
        if self.done is not None and self.done.usage is not None:
            return self.done.usage
        size = sum(map(len, (*self.texts, *self.thoughts))) + sum(len(call.arguments) for call in self.calls)
        return Usage(prompt_tokens=prompt_tokens(asked), completion_tokens=-(-size // CHARS_PER_TOKEN), estimated=True)


class _Course:
    """One answer: rounds of one model, until it calls none of our tools."""

    def __init__(
        self, request: ChatRequest, decision: Decision, calls: Calls, *,
        ask: Callable[[ChatRequest, Decision], Generator[Chunk, None, None]],
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
        self._spent: Usage | None = None
        self._said = ""  # the end of what was said in the rounds before
        self._thought = ""

    def run(self) -> Generator[Chunk, None, None]:
        """Started comes once; once more where somebody else had to go on, and nobody has seen the first one."""
        asked = self._request
        spoken = yield from self._begin(asked)
        if spoken is None:
            return
        who, is_last = spoken.who, False
        while spoken.calls and who is not None and not is_last:
            self._note(spoken, asked)
            asked = yield from self._reply(spoken, asked)
            is_last = self._calls.are_over
            asked, spoken = _silence(asked) if is_last else asked, _Round()
            try:
                yield from self._hear(spoken, self._ask(asked, self._hold(self._decision, who)))
                self._check(spoken, is_last=is_last)
            except MoeError as error:
                if spoken.has_said:
                    raise
                if isinstance(error, EmptyAnswer) and self._said:
                    break  # there was nothing to add to what had been said beside the call
                log.warning("request=%s goes on without tools: %s", self._request_id, type(error).__name__)
                if spoken.done is not None:
                    self._note(spoken, asked)
                is_last, spoken, asked = True, _Round(), self._give_up()
                yield from self._hear(spoken, self._ask(asked, self._decision), is_new=True)
                self._check(spoken, is_last=True)
        yield self._finish(spoken, asked)

    def _begin(self, asked: ChatRequest) -> Generator[Chunk, None, _Round | None]:
        """The first round; None where the one who speaks was offered nothing, and all is said."""
        spoken = _Round()
        with closing(self._ask(asked, self._decision)) as chunks:
            for chunk in chunks:
                yield chunk
                if isinstance(chunk, Started):
                    spoken.who = chunk
                    break
            if spoken.who is None or spoken.who.sent is None or not spoken.who.sent.offered:
                yield from chunks
                return None
            yield from self._hear(spoken, chunks)
        return spoken

    def _hear(
        self, spoken: _Round, chunks: Generator[Chunk, None, None], *, is_new: bool = False
    ) -> Generator[Chunk, None, None]:
        """Passes on what the client may see, and closes `chunks`. Whose call comes first, it is their turn: of the
        others' nothing is passed on or kept, and the model may make them again."""
        with closing(chunks):
            for chunk in chunks:
                if isinstance(chunk, Text):
                    if self._said and chunk.text:
                        yield from self._part()
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
                elif isinstance(chunk, Heartbeat) or (is_new and not self._request.stream):
                    yield chunk

    def _part(self) -> Iterator[Chunk]:
        """What is said before and after a call does not run together."""
        gap = _GAP[len(self._said) - len(self._said.rstrip("\n")):]
        self._said = ""
        if gap:
            yield Text(gap)

    def _is_theirs(self, chunk: ToolCall | ToolCallPiece, spoken: _Round) -> bool:
        """Whether it is the client's call; where it has no tools, each is meant for ours."""
        is_theirs = chunk.name not in self._ours and bool(self._theirs)
        if is_theirs and not spoken.calls_ours:
            spoken.has_called = True
            return True
        if not is_theirs and not spoken.has_called:
            spoken.calls_ours = True
            if isinstance(chunk, ToolCall):
                spoken.calls.append(chunk)
        return False

    def _reply(self, spoken: _Round, asked: ChatRequest) -> Generator[Chunk, None, ChatRequest]:
        """Makes the calls; gives back what the model is asked next."""
        self._calls.begin_round()
        made = []
        for place, call in enumerate(spoken.calls):
            yield _BEAT
            began_ms = self._trace.now_ms()
            made.append(self._calls.make(call, place))
            note_call(self._trace, made[-1], began_ms=began_ms, is_ours=call.name in self._ours)
            yield self._show(made[-1].line)
        text, thought = "".join(spoken.texts), "".join(spoken.thoughts)
        said: list[Any] = [*([Thinking(thought)] if thought else ()), *([Text(text)] if text else ())]
        turn = Message("assistant", (*said, *(each.call for each in made)))
        results = (Message("tool", (ToolResult(each.call.id, each.call.name, each.content),)) for each in made)
        return structs.replace(asked, messages=(*asked.messages, turn, *results))

    def _show(self, line: str) -> Chunk:
        """A line of its own among the thoughts, where any are wanted."""
        if self._request.think is False:
            return _BEAT
        before = "\n" if self._thought and not self._thought.endswith("\n") else ""
        self._thought = "\n"
        return Thinking(f"{before}{line}\n")

    def _note(self, spoken: _Round, asked: ChatRequest) -> None:
        self._spent = spoken.count(asked).plus(self._spent)
        said = "".join(spoken.texts)
        self._said = said[-len(_GAP):] if said.strip() else self._said
        self._thought = next(reversed(spoken.thoughts), self._thought)

    def _give_up(self) -> ChatRequest:
        """The question anew for anybody, with what was found so far as part of it."""
        facts = self._calls.tell()
        messages = list(self._request.messages)
        if facts:
            place = max((place for place, message in enumerate(messages) if message.role == "user"), default=-1)
            asked = messages[place]
            messages[place] = structs.replace(asked, parts=(*asked.parts, Extract(f"{HEADING}\n{facts}")))
        return structs.replace(self._request, messages=tuple(messages), offered=())

    def _check(self, spoken: _Round, *, is_last: bool) -> None:
        """Raises BadAnswer for nothing but calls where none may be made, EmptyAnswer for nothing at all, unless a stop
        string may have come first."""
        if spoken.has_said or (spoken.calls and not is_last):
            return
        if spoken.calls_ours:
            raise BadAnswer("nothing but calls, where none may be made")
        if spoken.done is not None and spoken.done.finish == "stop" and not self._request.sampling.stop:
            raise EmptyAnswer

    def _finish(self, spoken: _Round, asked: ChatRequest) -> Done:
        done = spoken.done or Done()
        if done.finish == "tool_calls" and not spoken.has_called:
            done = structs.replace(done, finish="stop")
        log.info("request=%s tools=%s", self._request_id, ",".join(self._calls.names))
        usage = done.usage
        if self._spent is not None:
            usage = self._spent if spoken.done is None else spoken.count(asked).plus(self._spent)
        return structs.replace(done, usage=usage, tools=self._calls.names)


def _silence(request: ChatRequest) -> ChatRequest:
    """`request` without another call of ours. They stay listed, since some APIs insist on it where a conversation has
    calls; among tools of the client's, which it may still call, they are not."""
    return structs.replace(request, offered=()) if request.tools else structs.replace(request, tool_choice="none")


def _gather(chunks: Generator[Chunk, None, None]) -> Generator[Chunk, None, None]:
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
