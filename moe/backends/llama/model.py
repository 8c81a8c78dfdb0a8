"""A GGUF model in memory: takes requests, gives chunks. What the shelf holds."""

from __future__ import annotations

import queue
from collections.abc import Generator
from pathlib import Path
from typing import Any

from msgspec import structs

from ...core import ChatRequest, Chunk, Done, Heartbeat, Usage
from ...errors import BackendError, TimedOut, UpstreamRefusal
from ..base import HEARTBEAT_S, Chunks
from ..dialogue.fence import Fence
from ..dialogue.ledger import Mark
from ..dialogue.plan import settle
from ..dialogue.prompt import Prompt, Writer
from ..dialogue.speech import Speech
from ..dialogue.template import Template
from ..wishes import call_schema, must_call, obey
from .batcher import Batcher
from .grammar import write_grammar
from .header import Header
from .job import Job, Outcome, Said
from .native import Native
from .runner import Shape

MOST_RUNNING = 16
# The longest that one step may take: then the engine hangs, and those who wait for it are told.
LONGEST_STEP_S = 600.0
# A model's own recommendations, which its file may hold under llama.cpp's names.
_NAMES = {
    "temp": "temperature", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p", "penalty_last_n": "repeat_last_n",
    "penalty_repeat": "repeat_penalty", "mirostat": "mirostat", "mirostat_tau": "mirostat_tau",
    "mirostat_eta": "mirostat_eta",
}
_BEAT = Heartbeat()


class LlamaModel:
    """Thread-safe; every answer is independent."""

    def __init__(self, file: Path, header: Header, *, shape: Shape, context_length: int) -> None:
        """Loads it. Raises NotReady."""
        self.context_length = context_length
        self._native = Native(file, shape)
        self.size_bytes = self._native.weight_bytes + shape.cells * header.cell_bytes
        native = self._native
        self._template = Template(header.template, bos=native.text_of(native.bos), eos=native.text_of(native.eos))
        self._writer = Writer(native, self._template, Fence(native.control_texts()), binds_calls=True)
        self._recommended = _recommended(header)
        self._batcher = Batcher(native, name=file.stem, most_running=min(MOST_RUNNING, shape.sequences))

    @property
    def is_broken(self) -> bool:
        """Whether it can answer no more and has to be loaded anew."""
        return self._batcher.is_broken

    def close(self) -> None:
        self._batcher.close()
        self._native.close()

    def write(self, request: ChatRequest) -> Prompt:
        """The request as the model reads it."""
        return self._writer.write(request)

    def answer(self, request: ChatRequest, *, load_ns: int = 0) -> Chunks:
        """Heartbeats, pieces, then Done. Raises BackendError. Closing it gives the slot to the next."""
        return obey(self._answer(request, load_ns), request)

    def _answer(self, request: ChatRequest, load_ns: int) -> Chunks:
        prompt = self._writer.write(request)
        job = self._make_job(request, prompt)
        speech = Speech.of(request, prompt, thinks=self._template.thinks)
        self._batcher.submit(job, client=request.client)
        try:
            outcome = yield from self._hear(job, speech)
        finally:
            job.give_up()
        yield from speech.finish()
        context = (*prompt.tokens, *outcome.tokens) if request.completion is not None else ()
        usage = Usage(
            prompt_tokens=outcome.prompt_tokens, completion_tokens=len(outcome.tokens), load_ns=load_ns,
            prompt_ns=outcome.prompt_ns, completion_ns=outcome.completion_ns,
        )
        stop = outcome.stop if outcome.stop in request.sampling.stop else ""
        yield Done(finish="tool_calls" if speech.has_called else outcome.finish, stop_sequence=stop, usage=usage,
                   context=context, **outcome.certainty)

    def _hear(self, job: Job, speech: Speech) -> Generator[Chunk, None, Outcome]:
        """Passes on what is said; texts that wait together leave together."""
        while True:
            said: Said | None
            try:
                said = job.said.get(timeout=HEARTBEAT_S)
            except queue.Empty:
                if self._batcher.still_s > LONGEST_STEP_S:
                    raise TimedOut(f"the engine has not moved for {LONGEST_STEP_S:.0f} s") from None
                yield _BEAT
                continue
            texts = []
            while isinstance(said, (str, Mark)):
                if isinstance(said, Mark):
                    speech.ledger.add(said)
                else:
                    texts.append(said)
                said = job.said.get() if not job.said.empty() else None
            if texts:
                yield from speech.feed("".join(texts)) or (_BEAT,)  # a sign of life even of what is held back
            if isinstance(said, BackendError):
                raise said.with_traceback(None)
            if isinstance(said, Outcome):
                return said

    def _make_job(self, request: ChatRequest, prompt: Prompt) -> Job:
        left = self.context_length - len(prompt.tokens)
        if left <= 0:
            raise UpstreamRefusal(
                f"the prompt is {len(prompt.tokens)} tokens long and the context holds {self.context_length}: shorten "
                "it, or raise ai_engine.n_ctx", code="context_length_exceeded",
            )
        if not prompt.tokens:
            raise UpstreamRefusal("the prompt is empty")
        asked = request.sampling.max_tokens
        return Job(
            prompt.tokens, limit=left if asked is None else min(asked, left),
            plan=settle(request.sampling, self._recommended),
            grammar=_bind(request), stops=(*request.sampling.stop, *prompt.stops), top=request.logprobs,
        )


def _bind(request: ChatRequest) -> str:
    """The grammar of an answer that has to be a call, or of the format that was asked for; "" for none."""
    if must_call(request) and request.completion is None:
        try:
            return write_grammar(call_schema(request))
        except UpstreamRefusal:  # of a tool's own schema, which a model that is not bound would not have seen checked
            return write_grammar(call_schema(_without_parameters(request)))
    return write_grammar(request.format) if request.format is not None else ""


def _without_parameters(request: ChatRequest) -> ChatRequest:
    tools = tuple({**tool, "function": {"name": tool["function"]["name"]}} for tool in request.tools)
    return structs.replace(request, tools=tools)


def _recommended(header: Header) -> dict[str, Any]:
    found = ((ours, header.values.get(f"general.sampling.{theirs}")) for theirs, ours in _NAMES.items())
    return {name: value for name, value in found if type(value) in (int, float)}
