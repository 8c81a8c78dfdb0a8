"""Models call our tools, end to end: every dialect, streamed and whole, above an Ollama and an API."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.adversarial.kit import connect, write_request
from tests.fakes import FakeModel, FakeOllama, FakeOpenAI, answer, cut, fake_ollama, fake_openai, hang, http_error
from tests.fakes.reply import Step
from tests.live import Live, live_server

NODE, THINKER, PLAIN, CLOUD, SPARE = "node:4b", "thinker:4b", "plain:4b", "cloud:4b", "spare:4b"
OPENAI, CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/api/chat", "/v1/messages", "/v1/responses"
SUM = "My invoice says 847*23.7 in the end; how shall I explain that to a customer?"
REMARK = "The total is 20073.9."
CALLS_SUM = answer(tool_calls=[("calculate", {"expression": "847*23.7"})], chunks=())
LINE = 'calculate(expression="847*23.7") → 20073.9'
WEATHER = {"name": "weather", "description": "of a city",
           "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}


@pytest.fixture(scope="module")
def node() -> Iterator[FakeOllama]:
    models = [FakeModel(NODE, loaded=True), FakeModel(SPARE, loaded=True),
              FakeModel(THINKER, loaded=True, capabilities=("completion", "tools", "thinking")),
              FakeModel(PLAIN, loaded=True, capabilities=("completion",))]
    with fake_ollama(models) as fake:
        yield fake


@pytest.fixture(scope="module")
def cloud() -> Iterator[FakeOpenAI]:
    with fake_openai([CLOUD]) as fake:
        yield fake


def experts_of(cloud: FakeOpenAI) -> list[dict[str, Any]]:
    return [
        {"id": 0, "label": "fallback", "model_name": SPARE},
        {"id": 1, "label": "node", "model_name": NODE, "system_prompt": "Be brief."},
        {"id": 2, "label": "thinker", "model_name": THINKER},
        {"id": 3, "label": "plain", "model_name": PLAIN},
        {"id": 4, "label": "cloud", "type": "api", "model_name": CLOUD, "api_base": cloud.api_base},
    ]


def config_of(node: FakeOllama, **tools: Any) -> dict[str, Any]:
    runner = {"ollama_url": node.url, "retries": 0, "breaker_failures": 1000, "first_token_timeout_s": 30}
    return {"expert_runner": runner, "tools": {"ground": False, **tools}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, node: FakeOllama, cloud: FakeOpenAI) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("toolloop")
    with live_server(folder, config=config_of(node), experts=experts_of(cloud)) as live:
        yield live


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory, node: FakeOllama, cloud: FakeOpenAI) -> Iterator[Live]:
    """One that offers its tools beside the client's."""
    folder = tmp_path_factory.mktemp("sharing")
    with live_server(folder, config=config_of(node, offer="always"), experts=experts_of(cloud)) as live:
        yield live


@pytest.fixture(autouse=True)
def _well(node: FakeOllama, cloud: FakeOpenAI) -> Iterator[None]:
    yield
    for model in (NODE, THINKER, PLAIN, SPARE):
        node.script(model, [])
    cloud.script(CLOUD, [])
    node.forget_requests()
    cloud.forget_requests()


@dataclass
class Told:
    """What a client got, in neutral words."""

    status: int
    headers: Any
    raw: str
    text: str = ""
    thinking: str = ""
    calls: list[str] = field(default_factory=list)
    finish: str = ""
    tokens: tuple[int, int] = (0, 0)
    tools: Any = None
    error: Any = None


def talk(
    server: Live, path: str = CHAT, text: str = SUM, *, stream: bool = False, tools: bool = False, **more: Any
) -> Told:
    asked: dict[str, Any] = {"model": "node", "stream": stream}
    asked |= {"input": text} if path == RESPONSES else {"messages": [{"role": "user", "content": text}]}
    asked |= {"max_tokens": 500} if path == MESSAGES else {}
    asked |= {"stream_options": {"include_usage": True}} if path == OPENAI and stream else {}
    if tools:
        asked["tools"] = [{
            OPENAI: {"type": "function", "function": WEATHER}, CHAT: {"type": "function", "function": WEATHER},
            MESSAGES: {"name": "weather", "input_schema": WEATHER["parameters"]},
            RESPONSES: {"type": "function", **WEATHER},
        }[path]]
    reply = requests.post(server.url + path, json=asked | more, timeout=30)
    told = Told(reply.status_code, reply.headers, reply.content.decode())
    if reply.status_code != 200:
        return told
    rows = [json.loads(row) for row in _rows(told.raw)] if stream else [reply.json()]
    read = {OPENAI: _read_openai, CHAT: _read_ollama, MESSAGES: _read_anthropic, RESPONSES: _read_response}[path]
    for row in rows:
        read(told, row)
    return told


def _rows(raw: str) -> list[str]:
    found = [line.removeprefix("data: ") for line in raw.splitlines() if line.startswith(("data: ", "{"))]
    return [row for row in found if row != "[DONE]"]


def _read_openai(told: Told, row: Any) -> None:
    told.error = row.get("error", told.error)
    told.tools = row.get("x_moe", {}).get("tools", told.tools)
    if row.get("usage"):
        told.tokens = (row["usage"]["prompt_tokens"], row["usage"]["completion_tokens"])
    for choice in row.get("choices", ()):
        said = choice.get("delta", choice.get("message", {}))
        told.text += said.get("content") or ""
        told.thinking += said.get("reasoning_content") or ""
        told.calls += [name for call in said.get("tool_calls", ()) if (name := call["function"].get("name"))]
        told.finish = choice["finish_reason"] or told.finish


def _read_ollama(told: Told, row: Any) -> None:
    told.error = row.get("error", told.error)
    told.tools = row.get("x_moe", {}).get("tools", told.tools)
    said = row.get("message", {})
    told.text += said.get("content", "")
    told.thinking += said.get("thinking", "")
    told.calls += [call["function"]["name"] for call in said.get("tool_calls", ())]
    if row.get("done"):
        told.finish, told.tokens = row["done_reason"], (row["prompt_eval_count"], row["eval_count"])


def _read_anthropic(told: Told, row: Any) -> None:
    told.error = row.get("error", told.error)
    told.tools = row.get("x_moe", {}).get("tools", told.tools)
    blocks = [*row.get("content", ()), row.get("content_block", {}), row.get("delta", {})]
    for block in blocks:
        told.text += block.get("text", "")
        told.thinking += block.get("thinking", "")
        told.calls += [block["name"]] if block.get("type") == "tool_use" else []
        told.finish = block.get("stop_reason") or told.finish
    told.finish = row.get("stop_reason") or told.finish
    usage = row.get("usage") or {}
    told.tokens = (usage.get("input_tokens", 0), usage.get("output_tokens", 0)) if usage else told.tokens


def _read_response(told: Told, row: Any) -> None:
    if row.get("type") == "error":
        told.error = row
    whole = row if row.get("object") == "response" else row.get("response", {})
    if whole.get("status") not in ("completed", "incomplete"):
        return
    told.tools = whole.get("x_moe", {}).get("tools")
    told.finish, usage = whole["status"], whole["usage"]
    told.tokens = (usage["input_tokens"], usage["output_tokens"])
    for item in whole["output"]:
        told.text += "".join(part.get("text", "") for part in item.get("content") or ())
        told.thinking += "".join(part["text"] for part in item.get("summary") or ())
        told.calls += [item["name"]] if item["type"] == "function_call" else []


def rounds(upstream: FakeOllama | FakeOpenAI, model: str = NODE) -> list[Any]:
    chats = ("/api/chat", "/chat/completions")
    return [request.json for request in upstream.requests_for(model) if request.path.endswith(chats)]


def without_progress(told: Told) -> str:
    """All that was sent but the line of progress, and who it was that helped."""
    return told.raw.replace(json.dumps(LINE, ensure_ascii=False)[1:-1], "").replace('"tools":["calculate"]', "")


WAYS = [(path, stream) for path in (OPENAI, CHAT, MESSAGES, RESPONSES) for stream in (False, True)]
ways = pytest.mark.parametrize(("path", "stream"), WAYS)
STOPS = {OPENAI: "stop", CHAT: "stop", MESSAGES: "end_turn", RESPONSES: "completed"}


@ways
@pytest.mark.parametrize("upstream", ["node", "cloud"])
def test_the_client_gets_the_answer_and_nothing_of_the_call(
    server: Live, node: FakeOllama, cloud: FakeOpenAI, path: str, stream: bool, upstream: str
) -> None:
    fake: FakeOllama | FakeOpenAI = node if upstream == "node" else cloud
    model = NODE if upstream == "node" else CLOUD
    fake.script(model, [CALLS_SUM, answer(REMARK)])
    told = talk(server, path, stream=stream, model=upstream)
    assert (told.status, told.error) == (200, None)
    assert (told.text, told.calls, told.finish) == (REMARK, [], STOPS[path])
    first, second = rounds(fake, model)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["calculate"]
    assert second["tools"] == first["tools"]
    *before, call, result = second["messages"]
    assert before == first["messages"]
    assert call["tool_calls"][0]["function"]["name"] == "calculate"
    assert (result["role"], json.loads(result["content"])["result"]) == ("tool", "20073.9")
    assert result["tool_call_id"] == call["tool_calls"][0]["id"]
    assert not re.search(r"calculate|(?<!max_)(?<!parallel_)tool_call|tool_use|function|847\*", without_progress(told))
    assert told.tools == ["calculate"]
    assert told.tokens[0] > 2 * len(SUM.split()) - 2
    assert told.headers["X-MoE-Expert"] == upstream


@ways
def test_progress_is_thinking_where_the_dialect_shows_any(
    server: Live, node: FakeOllama, path: str, stream: bool
) -> None:
    node.script(NODE, [CALLS_SUM, answer(REMARK)])
    told = talk(server, path, stream=stream)
    assert told.thinking.strip() == ("" if path == MESSAGES else LINE)  # there nobody thinks who was not asked to


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_shown_there_too_when_thinking_is_asked_for(server: Live, node: FakeOllama, stream: bool) -> None:
    node.script(THINKER, [CALLS_SUM, answer(REMARK)])
    asked = {"model": "thinker", "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}
    told = talk(server, MESSAGES, stream=stream, **asked)
    assert (told.text, told.thinking) == (REMARK, f"{LINE}\n")


@pytest.mark.parametrize(("path", "off"), [(CHAT, {"think": False}), (OPENAI, {"reasoning_effort": "none"})])
@pytest.mark.parametrize("stream", [False, True])
def test_who_wants_no_thinking_sees_none(
    server: Live, node: FakeOllama, path: str, stream: bool, off: dict[str, Any]
) -> None:
    node.script(THINKER, [CALLS_SUM, answer(REMARK)])
    told = talk(server, path, stream=stream, model="thinker", **off)
    assert (told.text, told.thinking, told.calls) == (REMARK, "", [])


def test_text_streams_before_the_answer_is_over(server: Live, node: FakeOllama) -> None:
    node.script(NODE, [CALLS_SUM, answer(chunks=["The ", "end."], chunk_delay_s=0.5)])
    asked = {"model": "node", "messages": [{"role": "user", "content": SUM}]}
    with requests.post(server.url + CHAT, json=asked, stream=True, timeout=30) as reply:
        times = [(time.monotonic(), json.loads(line)) for line in reply.iter_lines()]
    first = next(when for when, row in times if row["message"]["content"])
    assert times[-1][0] - first > 0.4


@ways
def test_the_clients_own_tools_are_let_be(server: Live, node: FakeOllama, path: str, stream: bool) -> None:
    node.script(NODE, [answer(tool_calls=[("weather", {"city": "Rome"})], chunks=())])
    told = talk(server, path, stream=stream, tools=True)
    assert told.calls == ["weather"]
    (only,) = rounds(node)
    assert [tool["function"]["name"] for tool in only["tools"]] == ["weather"]


@ways
def test_both_kinds_can_be_called_and_only_the_clients_are_shown(
    sharing: Live, node: FakeOllama, path: str, stream: bool
) -> None:
    node.script(NODE, [answer(tool_calls=[("calculate", {"expression": "847*23.7"}), ("weather", {})], chunks=()),
                       answer(tool_calls=[("weather", {"city": "Rome"})], chunks=())])
    told = talk(sharing, path, stream=stream, tools=True)
    assert told.calls == ["weather"]
    first, second = rounds(node)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["weather", "calculate"]
    assert [call["function"]["name"] for call in second["messages"][-2]["tool_calls"]] == ["calculate"]
    assert "calculate" not in without_progress(told)


def test_a_result_of_the_clients_tool_goes_back_to_the_same_model(sharing: Live, node: FakeOllama) -> None:
    node.script(NODE, [CALLS_SUM, answer(tool_calls=[("weather", {"city": "Rome"})], chunks=()), answer(REMARK)])
    told = talk(sharing, OPENAI, tools=True)
    call = json.loads(told.raw)["choices"][0]["message"]["tool_calls"][0]
    turns = [{"role": "user", "content": SUM}, {"role": "assistant", "content": None, "tool_calls": [call]},
             {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}]
    assert talk(sharing, OPENAI, tools=True, messages=turns).text == REMARK


def test_a_model_without_tools_answers_without_them(server: Live, node: FakeOllama) -> None:
    node.script(PLAIN, [answer(REMARK)])
    assert talk(server, model="plain").text == REMARK
    assert "tools" not in rounds(node, PLAIN)[0]


def test_a_model_by_its_own_name_is_offered_nothing(server: Live, node: FakeOllama) -> None:
    node.script(NODE, [answer(REMARK)])
    assert talk(server, model=NODE).text == REMARK
    assert "tools" not in rounds(node)[0]


@pytest.mark.parametrize("refusal", [
    http_error(400, message="registry.ollama.ai/library/node does not support tools"),
    http_error(500, message="tools param requires --jinja flag"),
])
@pytest.mark.parametrize("upstream", ["node", "cloud"])
def test_an_upstream_that_refuses_tools_answers_without_them_from_then_on(
    tmp_path: Path, node: FakeOllama, cloud: FakeOpenAI, refusal: Step, upstream: str
) -> None:
    fake: FakeOllama | FakeOpenAI = node if upstream == "node" else cloud
    model = NODE if upstream == "node" else CLOUD
    fake.script(model, [refusal, answer(REMARK)])
    with live_server(tmp_path, config=config_of(node), experts=experts_of(cloud)) as live:
        for _ in range(2):
            told = talk(live, OPENAI, stream=True, model=upstream)
            assert (told.text, told.headers["X-MoE-Expert"]) == (REMARK, upstream)
    assert ["tools" in asked for asked in rounds(fake, model)] == [True, False, False]


@pytest.mark.parametrize("stream", [False, True])
def test_who_breaks_down_between_rounds_is_replaced(server: Live, node: FakeOllama, stream: bool) -> None:
    node.script(NODE, [CALLS_SUM, http_error(500)])
    node.script(SPARE, [answer(REMARK)])
    told = talk(server, stream=stream)
    assert (told.status, told.text, told.error) == (200, REMARK, None)
    (asked,) = rounds(node, SPARE)
    assert "tools" not in asked
    assert "20073.9" in asked["messages"][-1]["content"]


def test_a_stream_cut_in_a_later_round_ends_with_an_error_in_it(server: Live, node: FakeOllama) -> None:
    node.script(NODE, [CALLS_SUM, cut(after=1, text="The total is high.")])
    told = talk(server, stream=True)
    assert told.status == 200
    assert told.error
    assert told.text == "The "


def test_whoever_does_not_stream_gets_a_whole_answer_then(server: Live, node: FakeOllama) -> None:
    node.script(NODE, [CALLS_SUM, cut(after=1, text="The total is high.")])
    node.script(SPARE, [answer(REMARK)])
    told = talk(server)
    assert (told.text, told.headers["X-MoE-Expert"], told.headers["X-MoE-Fallback"]) == (REMARK, "fallback", "node")


def test_an_endless_caller_answers_in_the_end(server: Live, node: FakeOllama) -> None:
    calls = [answer(tool_calls=[("calculate", {"expression": f"{number}+1"})], chunks=()) for number in range(5)]
    node.script(NODE, [*calls, answer(REMARK)])
    assert talk(server).text == REMARK
    assert ["tools" in asked for asked in rounds(node)] == [True] * 5 + [False]


def test_each_of_several_answers_has_its_own_rounds(server: Live, node: FakeOllama) -> None:
    node.script(NODE, [CALLS_SUM, answer("One."), CALLS_SUM, answer("Two.")])
    told = json.loads(talk(server, OPENAI, n=2).raw)
    assert [choice["message"]["content"] for choice in told["choices"]] == ["One.", "Two."]
    assert [choice["finish_reason"] for choice in told["choices"]] == ["stop", "stop"]


def test_when_the_client_leaves_the_model_is_stopped(server: Live, node: FakeOllama) -> None:
    node.script(NODE, [CALLS_SUM, hang()])
    body = json.dumps({"model": "node", "messages": [{"role": "user", "content": SUM}]}).encode()
    with connect(server) as sock:
        sock.sendall(write_request("POST", CHAT, body, host=f"127.0.0.1:{server.port}"))
        node.wait_for_requests(2, path=CHAT)
    until = time.monotonic() + 10
    while (request := node.requests_to(CHAT)[1]).closed_early_at is None and time.monotonic() < until:
        time.sleep(0.05)
    assert request.closed_early_at is not None


def test_they_can_be_switched_off(tmp_path: Path, node: FakeOllama, cloud: FakeOpenAI) -> None:
    node.script(NODE, [answer(REMARK)])
    with live_server(tmp_path, config=config_of(node, offer="never"), experts=experts_of(cloud)) as server:
        assert talk(server).text == REMARK
    assert "tools" not in rounds(node)[0]


@pytest.mark.parametrize("path", [OPENAI, CHAT, MESSAGES, RESPONSES])
def test_a_stream_that_somebody_else_ends_says_so_at_its_end(server: Live, node: FakeOllama, path: str) -> None:
    node.script(NODE, [CALLS_SUM, http_error(503)])
    node.script(SPARE, [answer(REMARK)])
    told = talk(server, path, stream=True)
    assert (told.text, told.headers["X-MoE-Expert"]) == (REMARK, "node")
    found = re.search(r'"x_moe":(\{[^{}]*\})', told.raw)
    assert found is not None
    extras = json.loads(found[1])
    assert (extras["expert"], extras["model"], extras["fallback"]) == ("fallback", SPARE, "node")


def test_the_footer_names_who_answered(tmp_path: Path, node: FakeOllama, cloud: FakeOpenAI) -> None:
    node.script(NODE, [CALLS_SUM, http_error(503)])
    node.script(SPARE, [answer(REMARK)])
    config = config_of(node) | {"response": {"footer": True}}
    with live_server(tmp_path, config=config, experts=experts_of(cloud)) as server:
        assert talk(server, stream=True).text == f"{REMARK}\n\n\u2014 answered by fallback ({SPARE})"


@pytest.mark.parametrize("path", [MESSAGES, RESPONSES])
def test_a_later_block_begins_without_an_empty_line(server: Live, node: FakeOllama, path: str) -> None:
    calls = answer("Let me see.", tool_calls=[("calculate", {"expression": "847*23.7"})])
    node.script(THINKER, [calls, answer(REMARK)])
    more = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048} if path == MESSAGES else {}
    told = talk(server, path, stream=True, model="thinker", **more)
    assert told.text == f"Let me see.{REMARK}"


@pytest.mark.parametrize("stream", [False, True])
def test_one_block_keeps_its_paragraphs(server: Live, node: FakeOllama, stream: bool) -> None:
    calls = answer("Let me see.", tool_calls=[("calculate", {"expression": "847*23.7"})])
    node.script(NODE, [calls, answer(REMARK)])
    assert talk(server, MESSAGES, stream=stream).text == f"Let me see.\n\n{REMARK}"


@ways
def test_who_brought_no_tools_gets_no_call(server: Live, node: FakeOllama, path: str, stream: bool) -> None:
    node.script(NODE, [CALLS_SUM])
    node.script(SPARE, [answer("Rome.")])
    told = talk(server, path, "Tell me about Rome.", stream=stream)
    assert (told.text, told.calls, told.headers["X-MoE-Expert"]) == ("Rome.", [], "fallback")
