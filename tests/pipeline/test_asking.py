"""What may be spent on one request, and what a step in between is asked; real calls of a fake upstream."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from moe.config.schema import PipelineConfig
from moe.core import (
    ChatRequest,
    Chunk,
    Decision,
    Done,
    Extract,
    Heartbeat,
    Image,
    Message,
    Sampling,
    Started,
    Text,
    Thinking,
)
from moe.errors import TimedOut, Unanswered
from moe.pipeline.asking import Asking, Said, Spent, derive, extend
from moe.pipeline.conductor import wants_progress
from moe.pipeline.gateway import Gateway
from moe.trace import Trace
from tests.fakes import FakeModel, FakeOllama, answer, fake_ollama, hang, http_error
from tests.pipeline.test_gateway import gateway_of

EXPERTS: tuple[dict[str, Any], ...] = (
    {"id": 0, "label": "fallback", "model_name": "small:4b"},
    {"id": 1, "label": "math", "model_name": "math:7b", "system_prompt": "Reckon."},
)
QUESTION = ChatRequest(messages=(Message("user", (Text("How many?"), Image("QUJD"))),))


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama([FakeModel("small:4b", loaded=True), FakeModel("math:7b", loaded=True)]) as ollama:
        yield ollama


@pytest.fixture(scope="module")
def gateway(ollama: FakeOllama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("asking")
    with gateway_of(folder, ollama.url, *EXPERTS) as gateway:
        yield gateway


def asking_of(gateway: Gateway, *, shows: bool = False, **limits: Any) -> Asking:
    return Asking(gateway._toolloop, request_id="r", trace=Trace("r"), limits=PipelineConfig(**limits), shows=shows)


def decide(gateway: Gateway, label: str = "math") -> Decision:
    expert = gateway.config.expert(label)
    assert expert is not None
    return gateway._staff.assign(expert)


def plain() -> ChatRequest:
    return derive(QUESTION, sees=False)


def take(steps: Generator[Chunk, None, Said]) -> Said:
    """What it comes to; nothing but heartbeats may be seen meanwhile."""
    while True:
        try:
            assert isinstance(next(steps), Heartbeat)
        except StopIteration as end:
            said: Said = end.value
            return said


def test_a_whole_answer_comes_with_who_gave_it_and_what_it_took(gateway: Gateway, ollama: FakeOllama) -> None:
    usage = {"prompt_eval_count": 5, "eval_count": 2}
    ollama.script("math:7b", [answer("<think>Hm.</think>Forty-two.", usage=usage)])
    asking = asking_of(gateway)
    said = take(asking.gather(plain(), decide(gateway)))
    assert (said.text, said.who.expert, said.who.model, said.done.finish) == ("Forty-two.", "math", "math:7b", "stop")
    assert asking.spent is not None
    assert (asking.spent.prompt_tokens, asking.spent.completion_tokens, asking.trace.calls) == (5, 2, 1)


def test_what_all_calls_took_adds_up(gateway: Gateway, ollama: FakeOllama) -> None:
    ollama.script("math:7b", [answer("one", usage={"prompt_eval_count": 5, "eval_count": 2})])
    ollama.script("small:4b", [answer("two", usage={"prompt_eval_count": 7, "eval_count": 3})])
    asking = asking_of(gateway)
    take(asking.gather(plain(), decide(gateway)))
    chunks = list(asking.stream(plain(), decide(gateway, "fallback")))
    assert isinstance(chunks[-1], Done)
    assert asking.spent is not None
    assert (asking.spent.prompt_tokens, asking.spent.completion_tokens, asking.trace.calls) == (12, 5, 2)


def test_no_more_calls_than_there_are(gateway: Gateway, ollama: FakeOllama) -> None:
    ollama.script("math:7b", [answer("one")])
    asking = asking_of(gateway, max_calls=2)
    assert asking.refusal(keep=1) == ""
    take(asking.gather(plain(), decide(gateway), keep=1))
    assert asking.refusal(keep=1) == "2 calls are the most for one request"
    with pytest.raises(Spent) as caught:
        take(asking.gather(plain(), decide(gateway), keep=1))
    assert caught.value.reason == "2 calls are the most for one request"
    take(asking.gather(plain(), decide(gateway)))
    assert asking.refusal()


def test_a_call_that_runs_counts(gateway: Gateway, ollama: FakeOllama) -> None:
    ollama.script("math:7b", [answer("a b")])
    asking = asking_of(gateway, max_calls=1)
    with closing(asking.stream(plain(), decide(gateway))) as chunks:
        next(chunks)
        assert asking.refusal()
    assert asking.trace.calls == 1


def test_tokens_and_time_are_limits_too(gateway: Gateway, ollama: FakeOllama) -> None:
    ollama.script("math:7b", [answer("one", usage={"prompt_eval_count": 50, "eval_count": 60})])
    asking = asking_of(gateway, max_tokens=100)
    take(asking.gather(plain(), decide(gateway)))
    assert asking.refusal() == "100 tokens are the most for one request"
    late = asking_of(gateway, deadline_s=0.01)
    time.sleep(0.02)
    assert late.refusal() == "its 0.01 seconds are over"


def test_who_takes_too_long_is_not_waited_for(gateway: Gateway, ollama: FakeOllama) -> None:
    ollama.script("math:7b", [hang()])
    asking = asking_of(gateway)
    began = time.monotonic()
    with pytest.raises(TimedOut):
        take(asking.gather(plain(), decide(gateway), limit_s=0.3))
    assert time.monotonic() - began < 5
    assert asking.trace.calls == 1
    ollama.script("math:7b", [answer("back")])


def test_who_fails_has_somebody_in_his_place_and_nobody_is_an_error(gateway: Gateway, ollama: FakeOllama) -> None:
    ollama.script("math:7b", [http_error(500)])
    ollama.script("small:4b", [answer("I stand in.")])
    assert take(asking_of(gateway).gather(plain(), decide(gateway))).who.expert == "fallback"
    ollama.script("small:4b", [http_error(500)])
    with pytest.raises(Unanswered):
        take(asking_of(gateway).gather(plain(), decide(gateway)))
    ollama.script("small:4b", [answer("back")])
    ollama.script("math:7b", [answer("back")])


def test_a_step_in_between_is_asked_without_the_client_s_form() -> None:
    sampling = Sampling(temperature=0.2, max_tokens=10, stop=("x",), options={"num_predict": 5, "num_ctx": 4096})
    asked = ChatRequest(messages=(Message("system", (Text("Be kind."),)), *QUESTION.messages), sampling=sampling,
                        format="json", tools=({"type": "function"},), logprobs=3, stream=True, think=True,
                        verb="chat", n=2)
    derived = derive(asked, extra="Only the first part.", sees=False, notes=("Short.",))
    assert derived.sampling == Sampling(temperature=0.2, options={"num_ctx": 4096})
    assert (derived.format, derived.tools, derived.logprobs, derived.verb, derived.n) == (None, (), None, "", 1)
    assert not derived.stream
    assert derived.think is False
    assert derived.messages[0] == asked.messages[0]
    assert derived.messages[1].parts == (Text("How many?"), Extract("Only the first part."))
    assert derived.messages[1].own_words == "How many?"
    assert derived.notes == ("Short.",)


def test_what_is_added_stands_after_the_newest_question() -> None:
    asked = ChatRequest(messages=(*QUESTION.messages, Message("assistant", (Text("Three."),)),
                                  Message("user", (Text("Sure?"),))))
    extended = extend(asked, "Notes.")
    assert extended.messages[:2] == asked.messages[:2]
    assert extended.messages[2].text == "Sure?\nNotes."
    assert extend(asked, "") == asked


@pytest.mark.parametrize(("stream", "think", "wanted"), [
    (True, None, True), (False, None, False), (True, False, False), (False, True, True), (False, "high", True),
])
def test_progress_is_for_who_waits_piece_by_piece_or_asks_for_thoughts(stream: bool, think: Any, wanted: bool) -> None:
    assert wants_progress(ChatRequest(stream=stream, think=think)) is wanted


def test_a_line_is_a_thought_or_nothing(gateway: Gateway) -> None:
    assert asking_of(gateway, shows=True).show("· so far") == Thinking("· so far\n")
    assert asking_of(gateway).show("· so far") == Heartbeat()


def test_a_line_stands_alone_behind_a_thought_that_the_client_sees(gateway: Gateway, ollama: FakeOllama) -> None:
    ollama.script("math:7b", [answer("Seven.", thinking="Hm")])
    asking = asking_of(gateway, shows=True)
    asked = structs.replace(plain(), stream=True, think=True)
    seen = [chunk for chunk in asking.stream(asked, decide(gateway)) if isinstance(chunk, Thinking)]
    assert "".join(chunk.text for chunk in seen) == "Hm"
    assert [asking.show("· a"), asking.show("· b")] == [Thinking("\n· a\n"), Thinking("· b\n")]


def test_what_was_said_before_it_was_stopped_counts(gateway: Gateway, ollama: FakeOllama) -> None:
    ollama.script("math:7b", [answer("one two three four five six seven", chunk_delay_s=0.05)])
    asking = asking_of(gateway)
    with closing(asking.stream(structs.replace(plain(), stream=True), decide(gateway))) as chunks:
        next(chunk for chunk in chunks if isinstance(chunk, Text))
    assert asking.spent is not None
    assert asking.spent.estimated
    assert asking.refusal(keep=6) == ""


def test_the_first_chunk_of_an_answer_says_who_speaks(gateway: Gateway, ollama: FakeOllama) -> None:
    ollama.script("math:7b", [answer("Seven.")])
    kinds = [type(chunk) for chunk in asking_of(gateway).stream(plain(), decide(gateway))]
    assert [kind for kind in kinds if kind is not Heartbeat] == [Started, Text, Done]
