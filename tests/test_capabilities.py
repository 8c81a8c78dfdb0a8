"""Who gets what not every model can: tools, pictures, gaps to fill; and who must not get it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.fakes import FakeModel, FakeOllama, answer, fake_ollama, fake_openai, http_error, reset
from tests.fakes.probe import WEATHER
from tests.live import Live, live_server, write_config
from tests.talk import Dialect, Told, talk

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PLAIN, ABLE, SEEING = ("completion",), ("completion", "tools"), ("completion", "vision")
MATH = {"id": 1, "label": "math", "model_name": "plain:4b", "keywords": ["integral", "matrix"]}
CODE = {"id": 2, "label": "code", "model_name": "able:4b", "keywords": ["python", "compiler"], "tier": 2,
        "system_prompt": "You write code."}
EYES = {"id": 3, "label": "eyes", "model_name": "seeing:4b", "vision": True}
FALLBACK = {"id": 0, "label": "fallback", "model_name": "plain:4b", "system_prompt": "You are the fallback."}
DIALECTS: list[Dialect] = ["openai", "ollama"]
dialects = pytest.mark.parametrize("dialect", DIALECTS)


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    models = [FakeModel("plain:4b", capabilities=PLAIN), FakeModel("able:4b", capabilities=ABLE),
              FakeModel("seeing:4b", capabilities=SEEING)]
    with fake_ollama(models) as fake:
        yield fake


@contextlib.contextmanager
def serve(folder: Path, ollama: FakeOllama, *experts: dict[str, Any], **runner: Any) -> Iterator[Live]:
    config = {"expert_runner": {"ollama_url": ollama.url, "retries": 0, "connect_timeout_s": 1, **runner}}
    with live_server(folder, config=config, experts=experts) as live:
        for node in live.gateway.catalog.all_nodes():
            node.refresh(wait=True)
        yield live


def picture(dialect: Dialect, text: str = "What is this?") -> dict[str, Any]:
    if dialect == "ollama":
        return {"messages": [{"role": "user", "content": text, "images": [PNG]}]}
    link = {"url": f"data:image/png;base64,{PNG}"}
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": link}]
    return {"messages": [{"role": "user", "content": parts}]}


def chats(ollama: FakeOllama) -> list[str]:
    return [r.json["model"] for r in ollama.requests if r.path in ("/api/chat", "/api/generate")]


# Tools


@dialects
@pytest.mark.parametrize("stream", [False, True])
def test_tools_go_on_to_an_expert_that_can(
    tmp_path: Path, ollama: FakeOllama, dialect: Dialect, stream: bool
) -> None:
    with serve(tmp_path, ollama, MATH, CODE, FALLBACK) as server:
        told = talk(server.url, "solve this integral", dialect=dialect, stream=stream, tools=[WEATHER])
    assert (told.status, told.expert, told.fallback) == (200, "code", "math")
    assert chats(ollama) == ["able:4b"]


def test_an_expert_of_the_same_tier_goes_first_and_one_that_is_only_called_by_name_never(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    ollama.models.add(FakeModel("other:4b", capabilities=ABLE))
    hidden = {"id": 4, "label": "hidden", "model_name": "able:4b", "routable": False}
    peer = {"id": 5, "label": "peer", "model_name": "other:4b"}
    with serve(tmp_path, ollama, MATH, hidden, CODE, peer, FALLBACK) as server:
        assert talk(server.url, "solve this integral", tools=[WEATHER]).expert == "peer"
        ollama.script("other:4b", [http_error(500)])
        assert talk(server.url, "solve this integral", tools=[WEATHER]).expert == "code"


def test_a_model_that_no_expert_has_takes_the_tools_in_the_end(tmp_path: Path, ollama: FakeOllama) -> None:
    with serve(tmp_path, ollama, MATH, FALLBACK) as server:
        told = talk(server.url, "solve this integral", tools=[WEATHER])
    assert (told.expert, told.fallback) == ("able:4b", "math")


@dialects
def test_where_nobody_can_the_client_is_told_which_field_it_is(
    tmp_path: Path, ollama: FakeOllama, dialect: Dialect
) -> None:
    ollama.models.remove("able:4b")
    with serve(tmp_path, ollama, MATH, FALLBACK) as server:
        told = talk(server.url, "solve this integral", dialect=dialect, tools=[WEATHER])
    assert (told.status, told.error) == (400, '"plain:4b" does not support tools')
    if dialect == "openai":
        assert '"param":"tools"' in told.raw
    assert not chats(ollama)


@dialects
@pytest.mark.parametrize("model", ["math", "plain:4b"])
def test_who_names_an_expert_or_a_model_that_cannot_is_told_so(
    tmp_path: Path, ollama: FakeOllama, dialect: Dialect, model: str
) -> None:
    with serve(tmp_path, ollama, MATH, CODE, FALLBACK) as server:
        for body in ({"tools": [WEATHER]}, picture(dialect)):
            told = talk(server.url, dialect=dialect, model=model, **body)
            assert told.status == 400 and told.error.startswith('"plain:4b" does not support ')
    assert not chats(ollama)


def test_a_named_expert_with_a_fallback_of_its_own_hands_the_tools_on(tmp_path: Path, ollama: FakeOllama) -> None:
    with serve(tmp_path, ollama, {**MATH, "fallback": "code"}, CODE, FALLBACK) as server:
        told = talk(server.url, model="math", tools=[WEATHER])
    assert (told.expert, told.fallback) == ("code", "math")


def test_tools_that_were_to_stay_at_home_never_go_to_an_api(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.models.remove("able:4b")
    with fake_openai(["gpt-4o"]) as cloud:
        api = {"id": 6, "label": "cloud", "type": "api", "model_name": "gpt-4o", "api_base": cloud.api_base}
        with serve(tmp_path, ollama, MATH, api, FALLBACK) as server:
            assert talk(server.url, "solve this integral", tools=[WEATHER]).status == 400
            assert not cloud.requests_for("gpt-4o")
            experts = [MATH, {**api, "allow_cloud": True}, FALLBACK]
            config = {"expert_runner": {"ollama_url": ollama.url, "retries": 0}}
            write_config(tmp_path, config=config, experts=experts)
            assert server.service.reload()
            assert talk(server.url, "solve this integral", stream=False, tools=[WEATHER]).expert == "cloud"


def test_who_can_but_is_down_is_no_fault_of_the_request(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.script("able:4b", [http_error(500)])
    with serve(tmp_path, ollama, MATH, CODE, FALLBACK) as server:
        told = talk(server.url, "solve this integral", tools=[WEATHER])
    assert told.status == 503


# Conversations with tools stay where they began


def _talk_of(dialect: Dialect, *, later: str) -> list[list[dict[str, Any]]]:
    """The messages of each request of one conversation in which tools are called three times."""
    arguments: Any = '{"city": "Bonn"}' if dialect == "openai" else {"city": "Bonn"}
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Fix this python compiler error."}]
    asked = [list(messages)]
    for number in range(3):
        call = {"id": f"call_{number}", "type": "function", "function": {"name": "weather", "arguments": arguments}}
        result = {"role": "tool", "tool_call_id": f"call_{number}", "tool_name": "weather",
                  "content": "the integral of the matrix"}
        messages += [{"role": "assistant", "content": "", "tool_calls": [call]}, result]
        asked.append(list(messages))
    messages.append({"role": "user", "content": later})
    asked.append(list(messages))
    return asked


@dialects
@pytest.mark.parametrize("later", ["Now the integral of this matrix!", "### Task:\nGenerate a concise, 3-5 word title"])
def test_each_request_of_a_conversation_with_tools_goes_to_the_expert_of_its_first_message(
    tmp_path: Path, ollama: FakeOllama, dialect: Dialect, later: str
) -> None:
    able = {**MATH, "model_name": "able:4b"}
    with serve(tmp_path, ollama, able, CODE, FALLBACK) as server:
        for messages in _talk_of(dialect, later=later):
            assert server.service.reload()
            for tools in ([WEATHER], []):
                if tools or len(messages) > 1:
                    assert talk(server.url, dialect=dialect, messages=messages, tools=tools).expert == "code"


def test_in_anthropics_dialect_too_and_with_a_first_message_that_says_nothing(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    able = {**MATH, "model_name": "able:4b"}
    with serve(tmp_path, ollama, able, CODE, {**FALLBACK, "model_name": "able:4b"}) as server:
        for opening, expert in ("Fix this python compiler error.", "code"), (" ", "fallback"):
            messages: list[dict[str, Any]] = [{"role": "user", "content": opening}]
            for number in range(3):
                assert server.service.reload()
                body = {"model": "claude-x", "max_tokens": 50, "messages": messages, "tools": [
                    {"name": "weather", "input_schema": {"type": "object", "properties": {}}}]}
                reply = requests.post(f"{server.url}/v1/messages", json=body, timeout=20)
                assert (reply.status_code, reply.headers["X-MoE-Expert"]) == (200, expert), reply.text
                called = {"type": "tool_use", "id": f"toolu_{number}", "name": "weather", "input": {}}
                result = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "an integral"}
                said = {"type": "text", "text": "Now the integral of the matrix."}
                messages += [{"role": "assistant", "content": [called]}, {"role": "user", "content": [result, said]}]


def test_a_picture_that_comes_later_leads_elsewhere_only_if_it_cannot_be_seen(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    *_, messages = _talk_of("ollama", later="What is wrong in this picture?")
    messages[-1]["images"] = [PNG]
    with serve(tmp_path, ollama, CODE, EYES, FALLBACK) as server:
        assert talk(server.url, messages=messages).expert == "eyes"
    ollama.models.add(FakeModel("able:4b", capabilities=(*ABLE, "vision")))
    with serve(tmp_path / "again", ollama, CODE, EYES, FALLBACK) as server:
        assert talk(server.url, messages=messages).expert == "code"


# Pictures


@dialects
@pytest.mark.parametrize("stream", [False, True])
def test_a_picture_goes_to_the_expert_that_sees(
    tmp_path: Path, ollama: FakeOllama, dialect: Dialect, stream: bool
) -> None:
    with serve(tmp_path, ollama, MATH, EYES, FALLBACK) as server:
        for _ in range(3):
            told = talk(server.url, dialect=dialect, stream=stream, **picture(dialect, "the integral of this matrix"))
            assert (told.status, told.expert, told.headers["X-MoE-Stage"]) == (200, "eyes", "vision")


@dialects
def test_one_that_nobody_sees_is_refused(tmp_path: Path, ollama: FakeOllama, dialect: Dialect) -> None:
    ollama.models.remove("seeing:4b")
    with serve(tmp_path, ollama, MATH, FALLBACK) as server:
        told = talk(server.url, dialect=dialect, **picture(dialect))
    assert (told.status, told.error) == (400, '"plain:4b" does not support images')
    assert not chats(ollama)


def test_an_expert_whose_model_is_known_to_see_may_have_it(tmp_path: Path, ollama: FakeOllama) -> None:
    artist = {"id": 4, "label": "artist", "model_name": "seeing:4b", "keywords": ["painting"]}
    with serve(tmp_path, ollama, MATH, artist, FALLBACK) as server:
        assert talk(server.url, **picture("ollama", "a painting")).expert == "artist"
        assert talk(server.url, **picture("ollama", "an integral")).expert == "artist"
        assert talk(server.url, **picture("ollama"), model="seeing:4b").expert == "seeing:4b"


def test_a_model_of_which_nothing_is_known_gets_none_unless_it_is_named_or_said_to_see(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    for name in ("plain:4b", "able:4b", "seeing:4b"):
        ollama.models.add(FakeModel(name, capabilities=()))
    with serve(tmp_path, ollama, MATH, FALLBACK) as server:
        assert talk(server.url, **picture("ollama")).status == 400
        assert not chats(ollama)


def test_an_eye_that_fails_is_a_failure_and_not_the_clients_fault(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.script("seeing:4b", [reset()])
    with serve(tmp_path, ollama, MATH, EYES, FALLBACK) as server:
        told = talk(server.url, **picture("ollama"))
    assert told.status == 503 and "eyes: " in told.error


def test_without_any_model_a_picture_gets_an_error_and_no_advice_as_answer(tmp_path: Path) -> None:
    with live_server(tmp_path, experts=[{"id": 0, "label": "fallback", "model_name": "auto"}]) as server:
        assert talk(server.url, **picture("ollama")).status == 503


# A model called by its own name


@dialects
@pytest.mark.parametrize("stream", [False, True])
def test_a_model_called_by_its_own_name_answers_itself_or_not_at_all(
    tmp_path: Path, ollama: FakeOllama, dialect: Dialect, stream: bool
) -> None:
    ollama.script("able:4b", [http_error(500)])
    with serve(tmp_path, ollama, CODE, FALLBACK) as server:
        told = talk(server.url, dialect=dialect, stream=stream, model="able:4b")
        assert told.status == 503
        assert told.error == "no expert could answer (able:4b: upstream status 500)"
        assert talk(server.url, dialect=dialect, stream=stream, model="code").expert == "fallback"
    assert chats(ollama) == ["able:4b", "able:4b", "plain:4b"]


def test_a_broken_file_called_by_its_name_is_an_error_and_the_server_stays_well(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    with live_server(tmp_path, experts=[{"id": 0, "label": "fallback", "type": "echo"}]) as server:
        for dialect in DIALECTS:
            told = talk(server.url, dialect=dialect, model="broken")
            assert told.status == 503 and "broken: " in told.error
        assert talk(server.url, model="fallback").is_good


# Housekeeping

TITLE = ("### Task:\nGenerate a concise, 3-5 word title with an emoji that sums up the chat.\n"
         "### Chat History:\n<chat_history>\nUSER: solve this integral\nASSISTANT: 2\n</chat_history>")


@dialects
@pytest.mark.parametrize("model", ["", "math"])
def test_housekeeping_goes_to_what_is_loaded_and_has_no_experts_prompt(
    tmp_path: Path, ollama: FakeOllama, dialect: Dialect, model: str
) -> None:
    ollama.models.add(FakeModel("able:4b", capabilities=ABLE, loaded=True))
    experts = ({**MATH, "system_prompt": "Reckon."}, CODE, FALLBACK)
    with serve(tmp_path, ollama, *experts) as server:
        told = talk(server.url, TITLE, dialect=dialect, model=model)
        assert told.headers["X-MoE-Model"] == ("plain:4b" if model else "able:4b")
    *_, sent = (r.json for r in ollama.requests if r.path == "/api/chat")
    assert [message["role"] for message in sent["messages"]] == ["user"]


def test_it_works_with_nothing_loaded_and_still_without_a_prompt(tmp_path: Path, ollama: FakeOllama) -> None:
    with serve(tmp_path, ollama, MATH, FALLBACK) as server:
        assert talk(server.url, TITLE).expert == "fallback"
        *_, sent = (r.json for r in ollama.requests if r.path == "/api/chat")
        assert [message["role"] for message in sent["messages"]] == ["user"]
        assert talk(server.url, "hello").expert == "fallback"
        *_, sent = (r.json for r in ollama.requests if r.path == "/api/chat")
        assert [message["role"] for message in sent["messages"]] == ["system", "user"]


def test_it_goes_on_to_another_when_the_loaded_model_fails(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.models.add(FakeModel("able:4b", capabilities=ABLE, loaded=True))
    ollama.script("able:4b", [http_error(500)])
    with serve(tmp_path, ollama, MATH, FALLBACK) as server:
        assert talk(server.url, TITLE).is_good


def complete(server: Live, **body: Any) -> Told:
    return talk(server.url, "def add(a, b):", dialect="generate", stream=False, **body)


def test_a_gap_is_filled_by_a_loaded_model_that_can(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.models.add(FakeModel("big:70b", capabilities=ABLE, size=40_000_000_000, loaded=True))
    ollama.models.add(FakeModel("filler:1b", capabilities=(*ABLE, "insert"), loaded=True))
    ollama.script("filler:1b", [answer("return a + b")])
    with serve(tmp_path, ollama, CODE, FALLBACK) as server:
        told = complete(server, suffix="\n")
        assert (told.is_good, told.expert, told.text) == (True, "filler:1b", "return a + b")
        assert complete(server, raw=True).expert == "big:70b"
        ollama.models.remove("filler:1b")


def test_a_gap_is_filled_by_one_that_must_be_loaded_first_if_no_other_can(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.models.add(FakeModel("big:70b", capabilities=ABLE, loaded=True))
    ollama.models.add(FakeModel("filler:1b", capabilities=(*ABLE, "insert")))
    with serve(tmp_path, ollama, CODE, FALLBACK) as server:
        assert complete(server, suffix="\n").expert == "filler:1b"


def test_a_gap_that_nobody_can_fill_is_refused_by_its_name(tmp_path: Path, ollama: FakeOllama) -> None:
    with serve(tmp_path, ollama, CODE, FALLBACK) as server:
        told = complete(server, suffix="\n")
    assert told.status == 400 and told.error.endswith("does not support insert")


# Lists and footers


@pytest.mark.parametrize(("listed", "kept"), [
    ("virtual", ["lemoe"]), ("experts", ["lemoe", "math", "fallback"]),
    ("raw", ["lemoe", "math", "fallback", "plain:4b", "able:4b", "seeing:4b"]),
])
def test_the_lists_are_as_long_as_the_config_wants_them_and_the_rest_still_answers(
    tmp_path: Path, ollama: FakeOllama, listed: str, kept: list[str]
) -> None:
    config = {"expert_runner": {"ollama_url": ollama.url}, "models": {"list": listed}}
    experts = ({**MATH, "description": "Sums,\n and   proofs."}, FALLBACK)
    with live_server(tmp_path, config=config, experts=experts) as server:
        for node in server.gateway.catalog.all_nodes():
            node.refresh(wait=True)
        ids = [entry["id"] for entry in requests.get(f"{server.url}/v1/models", timeout=10).json()["data"]]
        tags = [entry["name"].removesuffix(":latest")
                for entry in requests.get(f"{server.url}/api/tags", timeout=10).json()["models"]]
        assert [name for name in ids if name in kept] == kept
        assert [name for name in tags if name in kept] == kept
        if listed != "raw":
            assert not {"plain:4b", "able:4b", "seeing:4b"} & {*ids, *tags}
        assert talk(server.url, model="able:4b").is_good
        cards = [card for card in server.gateway.cards() if card.kind in ("virtual", "expert")]
        assert all(card.description and "\n" not in card.description for card in cards)


FOOTER = "\n\n— answered by math (plain:4b)"


@pytest.mark.parametrize("stream", [False, True])
@dialects
def test_the_footer_names_who_answered_and_is_never_shown_to_a_model(
    tmp_path: Path, ollama: FakeOllama, dialect: Dialect, stream: bool
) -> None:
    ollama.script("plain:4b", [answer("It is 2.")])
    config = {"expert_runner": {"ollama_url": ollama.url}, "response": {"footer": True}}
    with live_server(tmp_path, config=config, experts=[MATH, FALLBACK]) as server:
        told = talk(server.url, "solve this integral", dialect=dialect, stream=stream)
        assert told.text == f"It is 2.{FOOTER}"
        messages = [{"role": "user", "content": "solve this integral"}, {"role": "assistant", "content": told.text},
                    {"role": "user", "content": "and this integral"}]
        talk(server.url, dialect=dialect, stream=stream, messages=messages)
        *_, sent = (r.json for r in ollama.requests if r.path == "/api/chat")
        assert sent["messages"][1]["content"] == "It is 2."
        named = talk(server.url, dialect=dialect, stream=stream, model="plain:4b")
        assert named.text.endswith("— answered by plain:4b")


def test_what_a_program_reads_has_no_footer(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.script("plain:4b", [answer("{}")])
    ollama.script("able:4b", [answer("It is 2.")])
    config = {"expert_runner": {"ollama_url": ollama.url}, "response": {"footer": True}}
    with live_server(tmp_path, config=config, experts=[MATH, FALLBACK]) as server:
        for told in (talk(server.url, format="json"), talk(server.url, TITLE), complete(server, raw=True),
                     talk(server.url, tools=[WEATHER], model="able:4b"),
                     talk(server.url, options={"num_predict": 1}, model="able:4b")):
            assert told.status == 200 and "answered by" not in told.text
