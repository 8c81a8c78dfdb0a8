"""The models that orchestrate, from a request to its chunks: what is asked, what is checked, what it takes together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from moe.core import ChatRequest, Chunk, Done, Message, Started, Text, Thinking, ToolCall
from moe.pipeline.gateway import Gateway
from moe.trace import Trace
from tests.fakes import FakeModel, FakeOllama, answer, fake_ollama, http_error
from tests.fakes import ToolCall as Called
from tests.pipeline.test_gateway import gateway_of

EXPERTS: tuple[dict[str, Any], ...] = (
    {"id": 0, "label": "fallback", "model_name": "plan:4b"},
    {"id": 1, "label": "general", "model_name": "merge:27b", "keywords": ["capital", "river"]},
    {"id": 2, "label": "medical_consult", "model_name": "doctor:7b", "keywords": ["ibuprofen", "dose"]},
    {"id": 3, "label": "legal_advisor", "model_name": "lawyer:7b", "keywords": ["lawsuit", "liable"], "tools": []},
    {"id": 4, "label": "reasoning", "model_name": "thinker:7b", "keywords": ["riddle", "logic"]},
)
MODELS = ("plan:4b", "merge:27b", "doctor:7b", "lawyer:7b", "thinker:7b")
RIGHT = answer(json.dumps({"why": "", "verdict": "right", "edits": [], "answer": ""}))
DOCTOR = "This is general information and no substitute for advice from a doctor."
LAWYER = "This is general information and no substitute for advice from a lawyer."
BOTH = ("Work out which dose of ibuprofen is safe for my mother, then check whether the doctor is liable in a lawsuit, "
        "and finally write a letter to him.")


def act(said: str) -> Any:
    """An expert that is now and then asked to check."""
    return lambda request: RIGHT if "verdict" in request.body.decode() else answer(said)


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama([FakeModel(name, loaded=True) for name in MODELS]) as fake:
        for name in MODELS:
            fake.script(name, [act(f"So says {name}.")])
        yield fake


@pytest.fixture
def gateway(ollama: FakeOllama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway_of(tmp_path_factory.mktemp("conductor"), ollama.url, *EXPERTS) as gateway:
        yield gateway


class Reply:
    """What came of one request."""

    def __init__(self, gateway: Gateway, text: str, *, model: str = "moe-orchestrator", **fields: Any) -> None:
        self.trace = Trace("r")
        request = ChatRequest(model=model, messages=(Message("user", (Text(text),)),), **fields)
        self.trace.ask(request)
        self.chunks: list[Chunk] = list(gateway.answer(request, request_id="r", trace=self.trace).chunks)
        self.text = "".join(chunk.text for chunk in self.chunks if isinstance(chunk, Text))
        self.thoughts = [chunk.text for chunk in self.chunks if isinstance(chunk, Thinking)]
        done = self.chunks[-1]
        assert isinstance(done, Done)
        self.done = done


def asked(ollama: FakeOllama) -> list[str]:
    return [request.json["model"] for request in ollama.requests_to("/api/chat")]


def test_a_plain_question_is_one_call_with_nothing_added(gateway: Gateway, ollama: FakeOllama) -> None:
    reply = Reply(gateway, "What is the capital of France?")
    assert (reply.text, asked(ollama)) == ("So says merge:27b.", ["merge:27b"])
    assert ollama.requests_to("/api/chat")[0].json["messages"] == [
        {"role": "user", "content": "What is the capital of France?"}]
    told = reply.trace.told()
    assert (told["strategy"], told["calls"]) == ("direct", 1)
    assert 0.5 < told["answer_confidence"] < 1


def test_a_checked_answer_has_a_critic_and_a_disclaimer(gateway: Gateway, ollama: FakeOllama) -> None:
    reply = Reply(gateway, "Which dose of ibuprofen is usual?")
    assert reply.text == f"So says doctor:7b.\n\n{DOCTOR}"
    assert asked(ollama)[0] == "doctor:7b"
    assert asked(ollama)[1] != "doctor:7b"
    usages = [span for span in reply.trace.spans if span.model]
    assert reply.done.usage is not None
    assert reply.done.usage.prompt_tokens == sum(span.prompt_tokens or 0 for span in usages)
    assert reply.done.usage.completion_tokens == sum(span.completion_tokens or 0 for span in usages)


def test_nobody_else_is_asked_where_one_expert_was_wanted(gateway: Gateway, ollama: FakeOllama) -> None:
    for model in ("lemoe", "medical_consult"):
        assert Reply(gateway, "Which dose of ibuprofen is usual?", model=model).text == "So says doctor:7b."
    assert asked(ollama) == ["doctor:7b", "doctor:7b"]


def test_calls_of_the_client_s_tools_carry_no_disclaimer(gateway: Gateway, ollama: FakeOllama) -> None:
    ollama.script("doctor:7b", [answer("Let me look that up.", tool_calls=(Called("look", {"what": "dose"}),))])
    reply = Reply(gateway, "Which dose of ibuprofen is usual?",
                  tools=({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}},))
    assert reply.text == "Let me look that up."
    assert any(isinstance(chunk, ToolCall) for chunk in reply.chunks)


def test_each_domain_that_took_part_has_its_disclaimer(gateway: Gateway, ollama: FakeOllama) -> None:
    tasks = [{"id": "a", "task": "the dose", "category": "medical_consult", "depends_on": []},
             {"id": "b", "task": "the liability", "category": "legal_advisor", "depends_on": []}]
    ollama.script("plan:4b", [answer(json.dumps({"tasks": tasks}))])
    reply = Reply(gateway, BOTH, stream=True)
    assert reply.trace.told()["strategy"] == "council"
    assert reply.text == f"So says merge:27b.\n\n{DOCTOR}\n\n{LAWYER}"
    assert [span.stage for span in reply.trace.spans if span.model] == ["planner", "workers", "workers", "merger",
                                                                        "critic"]
    assert all(line.startswith("· ") for line in reply.thoughts)


def test_a_riddle_is_thought_through_first(gateway: Gateway, ollama: FakeOllama) -> None:
    reply = Reply(gateway, "Solve this logic riddle: who has the fish?", think=True)
    assert reply.trace.spans[1].stage == "thinking"
    assert reply.thoughts
    assert reply.text == "So says thinker:7b."
    assert "So says thinker:7b." in ollama.requests_to("/api/chat")[1].json["messages"][-1]["content"]


def test_when_nobody_can_answer_it_is_said_without_a_disclaimer(gateway: Gateway, ollama: FakeOllama) -> None:
    for name in MODELS:
        ollama.script(name, [http_error(500)])
    reply = Reply(gateway, "Which dose of ibuprofen is usual?")
    assert "No language model could answer" in reply.text
    assert DOCTOR not in reply.text
    assert [chunk.model for chunk in reply.chunks if isinstance(chunk, Started)] == ["builtin"]


def test_a_client_s_chore_is_one_call_without_a_mode(gateway: Gateway, ollama: FakeOllama) -> None:
    chore = ("### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n### Output:\n"
             'JSON format: { "title": "your concise title here" }\n### Chat History:\n<chat_history>\nUSER: dose of '
             "ibuprofen\n</chat_history>")
    Reply(gateway, chore, model="moe-orchestrator-plan")
    assert len(asked(ollama)) == 1
    assert "numbered" not in json.dumps(ollama.requests_to("/api/chat")[0].json["messages"])


def test_a_mode_s_words_stand_in_the_system_prompt_of_whoever_answers(gateway: Gateway, ollama: FakeOllama) -> None:
    Reply(gateway, "What is the capital of France?", model="moe-orchestrator-concise")
    system, user = ollama.requests_to("/api/chat")[0].json["messages"]
    assert (system["role"], user["content"]) == ("system", "What is the capital of France?")
    assert "at most 120 words" in system["content"]
