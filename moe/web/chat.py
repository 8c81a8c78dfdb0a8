"""One view for every dialect's chat: bytes in, an answer out, streamed or whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, request

from ..core import (
    Answer,
    ChatRequest,
    Decision,
    Done,
    Heartbeat,
    Started,
)
from ..dialects import anthropic, ollama, openai, openai_completions
from ..dialects.base import Dialect, StreamWriter, TurningWriter
from ..errors import BrokenStream, MoeError, RequestError, Unavailable
from ..log import clean
from ..replies import Ending, Head
from ..trace import LEFT, Trace
from .choices import Gathering, Piece, Turn, answer_all, close
from .edge import Edge, request_id
from .guard import Guard

log = logging.getLogger("moe.web")

COMMIT_AFTER_S = 5.0
LONGEST_NAME = 256
ENDING = "the server is shutting down"


def add_chat(app: Flask, edge: Edge) -> None:
    """The inference endpoints, each the same view over its dialect."""
    for path, dialect in (
        ("/v1/chat/completions", openai.CHAT), ("/api/chat", ollama.CHAT), ("/api/generate", ollama.GENERATE),
        ("/v1/completions", openai_completions.COMPLETIONS), ("/v1/messages", anthropic.MESSAGES),
    ):
        app.add_url_rule(path, path, answer_in(edge, dialect), methods=["POST"])


def answer_in(edge: Edge, dialect: Dialect) -> Callable[[], Response]:
    """The view of one endpoint."""

    def answer() -> Response:
        guard = edge.guard()
        guard.count(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""))
        trace = edge.trace()
        try:
            return respond(guard, trace)
        except BaseException as error:
            trace.fail(error)
            raise

    def respond(guard: Guard, trace: Trace) -> Response:
        body = edge.read_body(may_carry_media=True)
        asked = dialect.parse(body)
        trace.ask(asked)
        guard.check_text(body, asked)
        client = edge.client()
        slot = guard.take_slot(client)
        try:
            gateway = edge.gateway()
            if edge.log_prompts():
                log.info("request=%s prompt=%s", request_id(), clean(next(iter(asked.user_texts[-1:]), "")))
            answers = answer_all(asked, partial(gateway.answer, request_id=request_id(), client=client,
                                                watch=_watch(edge), trace=trace))
            run = _Reply(dialect, asked, answers, trace=trace, is_ending=edge.ending.is_set)
            run.echoes_name = gateway.keeps_name(asked.model, answers[0].decision)
            response = run.respond()
        except BaseException:
            slot.release()
            raise
        response.call_on_close(run.close)
        response.call_on_close(slot.release)
        return response

    return answer


def _watch(edge: Edge) -> Callable[[], None]:
    """Raises once the client of this request has left, or the server ends."""
    has_left: Callable[[], bool] = request.environ.get("waitress.client_disconnected", lambda: False)

    def check() -> None:
        if has_left():
            raise ClientLeft
        if edge.ending.is_set():
            raise Unavailable(ENDING)

    return check


class _Reply:
    """One request being answered."""

    echoes_name = False

    def __init__(
        self, dialect: Dialect, asked: ChatRequest, answers: tuple[Answer, Iterator[Piece]], *, trace: Trace,
        is_ending: Callable[[], bool],
    ) -> None:
        first, self._chunks = answers
        self._dialect = dialect
        self._asked = asked
        self._trace = trace
        self._decision: Decision = first.decision
        self._began = time.monotonic_ns()
        self._first_ns = 0
        self._id = request_id()
        self._has_left: Callable[[], bool] = request.environ.get("waitress.client_disconnected", lambda: False)
        self._is_ending = is_ending
        self._started: Started | None = None
        self._committed_early = False
        self._is_other = False

    def respond(self) -> Response:
        """The response once its status is certain: with the first chunk, or for a stream after a few seconds."""
        streams = self._asked.stream and not self._asked.only_loads
        try:
            self._await_start(self._began + int(COMMIT_AFTER_S * 1e9) if streams else None)
            if streams:
                return Response(self._stream(), content_type=self._dialect.stream_type, headers=self._headers())
            body = self._whole()
        except BaseException as error:
            self._give_up(error)
            raise
        return Response(body, content_type="application/json; charset=utf-8", headers=self._headers())

    def _await_start(self, deadline_ns: int | None) -> None:
        """Pulls until somebody begins to answer, or the deadline passes, or the client leaves."""
        for chunk in self._chunks:
            if isinstance(chunk, Started):
                self._started = chunk
                self._first_ns = time.monotonic_ns() - self._began
                return
            self._check_presence()
            if deadline_ns is not None and time.monotonic_ns() > deadline_ns:
                self._committed_early = True
                return
        raise BrokenStream("the answer ended before it began")

    def _stream(self) -> Iterator[bytes]:
        writer: StreamWriter | None = None
        try:
            if self._committed_early:
                yield self._dialect.keep_alive
                yield from self._keep_alive_until_started()
            writer = self._dialect.writer(self._asked, self._head())
            written = time.monotonic()
            for chunk in self._chunks:
                if isinstance(chunk, Heartbeat):
                    self._check_presence()
                    if time.monotonic() - written < COMMIT_AFTER_S:
                        continue
                    data = self._dialect.keep_alive
                else:
                    data = self._write(writer, chunk)
                if data:
                    yield data
                    written = time.monotonic()
        except MoeError as error:
            yield self._last_word(writer, error)
        except Exception:  # the last resort: a fault of ours must not look like a good end of the answer
            log.exception("request=%s failed in mid-stream", self._id)
            yield self._last_word(writer, MoeError())
        finally:
            self.close()

    def _write(self, writer: StreamWriter, chunk: Piece) -> bytes:
        if isinstance(chunk, Done):
            data = writer.end(self._ending(chunk))
            self._trace.end(chunk)
            return data
        if isinstance(chunk, Turn):
            assert isinstance(writer, TurningWriter)  # only its dialect asks for several answers
            return writer.turn(chunk.done)
        if isinstance(chunk, Started):  # somebody else goes on, and the head has long been sent
            self._started, self._is_other = chunk, True
            return b""
        self._check_ending()
        return writer.chunk(chunk)

    def _keep_alive_until_started(self) -> Iterator[bytes]:
        written = time.monotonic()
        for chunk in self._chunks:
            if isinstance(chunk, Started):
                self._started = chunk
                self._first_ns = time.monotonic_ns() - self._began
                return
            self._check_presence()
            if time.monotonic() - written >= COMMIT_AFTER_S:
                yield self._dialect.keep_alive
                written = time.monotonic()
        raise BrokenStream("the answer ended before it began")

    def _last_word(self, writer: StreamWriter | None, error: MoeError) -> bytes:
        self._give_up(error, has_begun=True)
        return (writer or self._dialect.writer(self._asked, self._head())).fail(error)

    def _whole(self) -> bytes:
        gathering = Gathering()
        done = Done()
        for chunk in self._chunks:
            if isinstance(chunk, Done):
                done = chunk
            elif not gathering.take(chunk):
                self._check_presence()
        ending = self._ending(done)
        if self._ignored:
            ending.extras["ignored"] = self._ignored
        body = self._dialect.reply(gathering.finish(done), self._head(), ending)
        self._trace.end(done)
        return body

    def _check_presence(self) -> None:
        if self._has_left():
            raise ClientLeft
        self._check_ending()

    def _check_ending(self) -> None:
        if self._is_ending():
            raise Unavailable(ENDING)

    def _give_up(self, error: BaseException, *, has_begun: bool = False) -> None:
        """Whoever still speaks is stopped first, so that the trace has that too."""
        close(self._chunks)
        self._trace.fail(error, has_begun=has_begun)

    def close(self) -> None:
        """What has not come to its end by now has nobody to read it."""
        close(self._chunks)
        self._trace.leave()

    @property
    def _ignored(self) -> tuple[str, ...]:
        told = self._started.ignored if self._started is not None else ()
        if self._asked.verb or not self._asked.effort:  # Ollama's word for it, and Anthropic's
            word = "think" if self._asked.verb else "thinking"
            told = tuple(word if name == "reasoning_effort" else name for name in told)
        return (*self._asked.unheeded, *told)

    @property
    def _is_plain(self) -> bool:
        """Whether there is nothing to tell of how the answer is come by: a model was named, or is only to be loaded."""
        return self._asked.only_loads or (self._decision.stage == "raw" and not self._decision.virtual)

    def _head(self) -> Head:
        answering = self._started.expert if self._started else self._decision.expert.label
        name = self._asked.model if self.echoes_name and self._asked.model else answering
        return Head(request_id=self._id, model=name, created=time.time(), asked=self._asked,
                    sent=self._started.sent if self._started else None)

    def _ending(self, done: Done) -> Ending:
        extras: dict[str, Any] = {} if self._is_plain else self._trace.told()
        if done.usage is not None and done.usage.estimated:
            extras["usage_estimated"] = True
        if done.tools:
            extras["tools"] = done.tools
        if (self._committed_early or self._is_other) and self._started is not None:
            extras |= {"expert": self._started.expert, "model": self._started.model, "stage": self._decision.stage,
                       "confidence": round(self._decision.confidence, 4)}
            if self._started.failed:
                extras["fallback"] = self._started.failed[0]
            if self._ignored:
                extras["ignored"] = self._ignored
        return Ending(done=done, elapsed_ns=time.monotonic_ns() - self._began, first_token_ns=self._first_ns,
                      extras=extras)

    def _headers(self) -> dict[str, str]:
        decision, started = self._decision, self._started
        headers = {"X-MoE-Stage": decision.stage, "X-MoE-Confidence": f"{decision.confidence:.4f}"}
        if decision.tool:
            headers["X-MoE-Tool"] = decision.tool
        if started is not None:  # after an early commit nobody knows yet who will answer: `x_moe` tells at the end
            headers["X-MoE-Expert"] = _ascii(started.expert)
            headers["X-MoE-Model"] = _ascii(started.model)
            if started.failed:
                headers["X-MoE-Fallback"] = _ascii(started.failed[0])
            if self._ignored:
                headers["X-MoE-Ignored"] = _ascii(", ".join(self._ignored))
        if not self._is_plain and not self._asked.stream:  # of a stream it is known at its end, and told there
            told = self._trace.told()
            headers |= {"X-MoE-Strategy": told["strategy"], "X-MoE-Calls": str(told["calls"])}
        if self._asked.stream:
            headers["Cache-Control"] = "no-cache"
        return headers


class ClientLeft(RequestError):
    """Nobody reads any more; the answer is given up. The status is nginx's and Ollama's word for it."""

    status = LEFT
    code = "client_closed_request"

    def __init__(self) -> None:
        super().__init__("request canceled")


def _ascii(text: str) -> str:
    """A header value: what HTTP cannot carry is percent-encoded, and no name can burst a client's buffer."""
    text = text[:LONGEST_NAME]
    return text if text.isascii() and text.isprintable() else quote(text, safe=" :/@")


