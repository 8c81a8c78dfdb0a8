"""What is asked beside the prompt, of the models in this process: the same of GGUF files and ONNX folders."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moe.backends.gguf import Gguf
from moe.backends.onnx.backend import Onnx
from moe.backends.resident import Resident
from moe.backends.shelf import Shelf
from moe.config import EngineConfig, MemoryConfig
from moe.core import ChatRequest, Completion, Done, Message, Sampling, Text, Thinking, TokenLogprob, ToolCall
from moe.errors import BadAnswer
from moe.experts import Expert
from tests.backends.rig import end_of, said, text_of

from .tiny import GENERAL, MODELS, write_random

pytest.importorskip("llama_cpp", reason="the set `local` is not installed")

GREEDY = Sampling(temperature=0)
WEATHER, SLEEP = ({"type": "function", "function": {
    "name": name, "description": "", "parameters": {"type": "object", "properties": {
        key: {"type": kind}}, "required": [key], "additionalProperties": False}}}
    for name, key, kind in (("get_weather", "city", "string"), ("sleep", "hours", "integer")))


@pytest.fixture(scope="module")
def shelf() -> Iterator[Shelf]:
    made = Shelf(MemoryConfig(max_models=8))
    yield made
    made.close()


@pytest.fixture(scope="module", params=["gguf", "onnx"])
def general(request: pytest.FixtureRequest, shelf: Shelf) -> Resident[Any]:
    if request.param == "gguf":
        return reach(GENERAL.name, shelf)
    return Onnx(Expert(id=1, label="local", type="local", format="onnx", model_path="general-onnx"), EngineConfig(),
                shelf, MODELS)


@pytest.fixture(scope="module")
def noise(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Gguf:
    """A model that writes whatever it may, and takes tools."""
    folder = tmp_path_factory.mktemp("models")
    template = "{% for m in messages %}{{ m.content }}{% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}"
    write_random(folder / "noise.gguf", template=template, context=1024)
    return reach("noise.gguf", shelf, folder)


def reach(path: str, shelf: Shelf, folder: Path = MODELS) -> Gguf:
    expert = Expert(id=1, label="local", type="local", format="gguf", model_path=path)
    return Gguf(expert, EngineConfig(), shelf, folder)


def asking(text: str, **fields: Any) -> ChatRequest:
    return ChatRequest(**{"messages": (Message("user", (Text(text),)),), "sampling": GREEDY, **fields})


def tokens_of(chunks: Any) -> list[TokenLogprob]:
    return [token for chunk in chunks if isinstance(chunk, Text) for token in chunk.logprobs]


def written(tokens: list[TokenLogprob]) -> str:
    return b"".join(token.token.encode("utf-8", "surrogateescape") for token in tokens).decode()


# Log probabilities


@pytest.mark.parametrize("question", ["What is the capital of France?", "Tell me a long story."])
def test_the_tokens_are_the_text_and_each_is_the_likeliest_of_its_place(general: Resident[Any], question: str) -> None:
    chunks = said(general.chat(asking(question, logprobs=3)))
    tokens = tokens_of(chunks)
    assert written(tokens) == text_of(chunks) != ""
    usage = end_of(chunks).usage
    assert usage is not None and usage.completion_tokens - len(tokens) in (0, 1)  # the end is a token too, for some
    for token in tokens:
        assert len(token.top) == 3
        assert (token.top[0].token, token.top[0].logprob) == (token.token, token.logprob)
        assert token.top[0].logprob >= token.top[1].logprob >= token.top[2].logprob
        assert sum(math.exp(each.logprob) for each in token.top) <= 1.0001


def test_they_are_what_the_models_certainty_is_made_of(general: Resident[Any]) -> None:
    chunks = said(general.chat(asking("What is the capital of France?", logprobs=0)))
    tokens, done = tokens_of(chunks), end_of(chunks)
    assert all(token.top == () for token in tokens)
    assert done.min_logprob is not None and done.min_logprob <= min(token.logprob for token in tokens) + 1e-6


def test_they_are_the_models_own_however_it_is_sampled(general: Resident[Any]) -> None:
    plain, hot = (
        tokens_of(said(general.chat(asking("What is the capital of France?", logprobs=5, sampling=sampling))))
        for sampling in (GREEDY, Sampling(temperature=5.0, top_k=1, repeat_penalty=1.5, seed=3))
    )
    assert hot[0].logprob == pytest.approx(plain[0].logprob, abs=1e-4)
    assert [each.token for each in hot[0].top] == [each.token for each in plain[0].top]


def test_both_engines_tell_the_same(shelf: Shelf) -> None:
    onnx = Onnx(Expert(id=1, label="o", type="local", format="onnx", model_path="general-onnx"), EngineConfig(), shelf,
                MODELS)
    asked = asking("Who are you?", logprobs=2)
    one, other = (tokens_of(said(backend.chat(asked))) for backend in (reach(GENERAL.name, shelf), onnx))
    assert [token.token for token in one] == [token.token for token in other]
    assert [token.logprob for token in one] == pytest.approx([token.logprob for token in other], abs=0.02)


def test_characters_of_several_tokens_keep_their_bytes(general: Resident[Any]) -> None:
    chunks = said(general.chat(asking("Send me a smile.", logprobs=1)))
    assert written(tokens_of(chunks)) == text_of(chunks) == "🙂👍🏽"


def test_tokens_of_thoughts_and_calls_are_not_told_as_text(general: Resident[Any]) -> None:
    chunks = said(general.chat(asking("What is the weather in Paris?", tools=(WEATHER,), logprobs=1)))
    assert any(isinstance(chunk, ToolCall) for chunk in chunks)
    assert written(tokens_of(chunks)) == text_of(chunks)
    thought = said(general.chat(asking("Think: what is 2 + 2?", logprobs=0)))
    if any(isinstance(chunk, Thinking) for chunk in thought):
        assert "think" not in written(tokens_of(thought))


def test_a_stop_strings_tokens_are_not_told(general: Resident[Any]) -> None:
    full = text_of(said(general.chat(asking("Tell me a long story."))))
    stop = full[20:26]
    chunks = said(general.chat(asking("Tell me a long story.", logprobs=0,
                                      sampling=Sampling(temperature=0, stop=("nowhere", stop)))))
    assert text_of(chunks) == full[:full.index(stop)]
    assert written(tokens_of(chunks)).startswith(text_of(chunks))
    assert len(written(tokens_of(chunks))) - len(text_of(chunks)) < 6
    done = end_of(chunks)
    assert (done.finish, done.stop_sequence) == ("stop", stop)


def test_without_a_stop_string_none_is_told(general: Resident[Any]) -> None:
    assert end_of(said(general.chat(asking("Who are you?", sampling=Sampling(temperature=0, stop=("zzz",)))))
                  ).stop_sequence == ""


# Sampling


def test_a_bias_by_its_own_field_forbids_a_token(general: Resident[Any]) -> None:
    first = tokens_of(said(general.chat(asking("Who are you?", logprobs=1))))[0]
    raw = Completion(prompt=first.token, raw=True)
    token = next(_tokens(general, raw))
    chunks = said(general.chat(asking("Who are you?", logprobs=1, sampling=Sampling(
        temperature=0, max_tokens=3, logit_bias={str(token): -100.0}))))
    assert tokens_of(chunks)[0].token != first.token
    assert tokens_of(chunks)[0].top[0].token == first.token  # what is told is what the model would have said


def _tokens(backend: Resident[Any], completion: Completion) -> Iterator[int]:
    """A raw prompt's tokens, as the context that its answer ends with begins."""
    request = ChatRequest(completion=completion, sampling=Sampling(temperature=0, max_tokens=1))
    last = list(backend.chat(request))[-1]
    assert isinstance(last, Done)
    yield from last.context


def test_nothing_is_ignored_but_an_effort_that_the_model_does_not_know(noise: Gguf, general: Resident[Any]) -> None:
    full = asking("x", logprobs=3, think="high", sampling=Sampling(logit_bias={"1": 1.0}, seed=1, stop=("x",)))
    assert noise.ignores(full) == ("reasoning_effort",)
    assert general.ignores(full) in ((), ("reasoning_effort",))
    assert noise.ignores(asking("x")) == ()


# Tools


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("choice", "names"), [
    ("required", {"get_weather", "sleep"}), ({"type": "function", "function": {"name": "sleep"}}, {"sleep"}),
])
def test_a_gguf_model_that_writes_nonsense_still_makes_the_call_it_must(
    noise: Gguf, choice: Any, names: set[str], seed: int
) -> None:
    chunks = said(noise.chat(asking("x", tools=(WEATHER, SLEEP), tool_choice=choice, sampling=Sampling(
        temperature=1.0, seed=seed, max_tokens=600, logit_bias={"92": -100.0}))))
    (call,) = [chunk for chunk in chunks if isinstance(chunk, ToolCall)]
    assert call.name in names and text_of(chunks) == ""
    key, kind = ("city", str) if call.name == "get_weather" else ("hours", int)
    assert isinstance(json.loads(call.arguments)[key], kind)
    assert end_of(chunks).finish == "tool_calls"


def test_a_tool_whose_schema_no_grammar_can_follow_is_called_all_the_same(noise: Gguf) -> None:
    odd = {"type": "function", "function": {"name": "odd", "parameters": {"type": "object", "properties": {
        "p": {"$ref": "https://example.org/elsewhere"}}}}}
    chunks = said(noise.chat(asking("x", tools=(odd,), tool_choice="required", sampling=Sampling(
        temperature=0, max_tokens=600, logit_bias={"125": 20.0}))))
    assert [chunk.name for chunk in chunks if isinstance(chunk, ToolCall)] == ["odd"]


def test_no_tool_may_be_called_where_none_is_allowed(general: Resident[Any]) -> None:
    chunks = said(general.chat(asking("What is the weather in Paris?", tools=(WEATHER,), tool_choice="none")))
    assert not any(isinstance(chunk, ToolCall) for chunk in chunks)


def test_an_onnx_model_that_does_not_call_is_an_error(shelf: Shelf) -> None:
    """No grammar binds it: it is asked again, and then the client is told."""
    onnx = Onnx(Expert(id=1, label="o", type="local", format="onnx", model_path="general-onnx"), EngineConfig(), shelf,
                MODELS)
    with pytest.raises(BadAnswer, match="without calling"):
        said(onnx.chat(asking("Who are you?", tools=(SLEEP,), tool_choice="required")))
    chunks = said(onnx.chat(asking("What is the weather in Paris?", tools=(WEATHER,), tool_choice="required")))
    assert [chunk.name for chunk in chunks if isinstance(chunk, ToolCall)] == ["get_weather"]
