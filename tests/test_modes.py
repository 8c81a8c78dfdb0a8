"""The output modes as their clients see them: a live server, a scripted Ollama, three dialects, streamed and whole."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from moe.pipeline.disclaimers import DISCLAIMERS
from moe.pipeline.modes.concise import MOST_WORDS
from moe.pipeline.modes.known import MODES
from moe.pipeline.modes.report import SECTIONS, missing_sections
from moe.pipeline.modes.sources import NONE, UNCITED
from moe.pipeline.modes.words import count_words
from tests.fakes import FakeModel, FakeOllama, answer, fake_ollama, http_error
from tests.live import Live, live_server
from tests.three import DIALECTS, Caller, Dialect, Heard

MODEL, HANDY = "cook:4b", "handy:4b"
EXPERTS = (
    {"id": 0, "label": "fallback", "model_name": MODEL},
    {"id": 1, "label": "cook", "model_name": MODEL, "keywords": ["tea", "té"], "system_prompt": "Cook."},
    {"id": 3, "label": "medical_consult", "model_name": MODEL, "keywords": ["fever"]},
    {"id": 2, "label": "handy", "model_name": HANDY, "keywords": ["weekday"]},
)
LONG = "This is one sentence of eight words, truly. " * 25
SHORT = ("Boil the water. Pour it over the leaves, wait for three minutes, and take them out again. Drink it while it "
         "is hot, with some milk or honey, but without any sugar.")
REPORT = "# Tea\n\n" + "\n\n".join(f"## {section.names['en']}\n\nWords." for section in SECTIONS[1:-1])
CODE = "for cup in cups:\n    pour(cup)  # `hot`\n\n\tend()"
Ask = Callable[..., Heard]
WAYS = list(itertools.product(DIALECTS, (True, False)))


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama([FakeModel(MODEL, capabilities=("completion",)),
                      FakeModel(HANDY, capabilities=("completion", "tools"))]) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama) -> Iterator[Live]:
    runner = {"ollama_url": ollama.url, "retries": 0, "breaker_failures": 1000}
    with live_server(tmp_path_factory.mktemp("modes"), config={"expert_runner": runner}, experts=EXPERTS) as live:
        yield live


@pytest.fixture(autouse=True)
def _well(ollama: FakeOllama) -> Iterator[None]:
    ollama.forget_requests()
    yield
    for model in (MODEL, HANDY):
        ollama.script(model, [])


@pytest.fixture(params=WAYS, ids=[f"{dialect}-{'stream' if stream else 'whole'}" for dialect, stream in WAYS])
def ask(server: Live, request: pytest.FixtureRequest) -> Iterator[Ask]:
    dialect, stream = request.param
    caller = Caller(server.url)

    def ask(mode: str, text: str = "How is tea made?", **body: Any) -> Heard:
        model = "moe-orchestrator" + ("" if mode == "standard" else f"-{mode}")
        heard = caller.ask(text, dialect=dialect, model=model, stream=stream, **body)
        assert (heard.status, heard.ends, len(heard.finishes)) == (200, 1, 1), heard.raw
        return heard

    yield ask
    caller.close()


def chats(ollama: FakeOllama) -> list[dict[str, Any]]:
    return [request.json for request in ollama.requests_to("/api/chat")]


def trace(server: Live, heard: Heard) -> dict[str, Any]:
    name = heard.headers["X-Request-Id"]
    told: dict[str, Any] = requests.get(f"{server.url}/v1/requests/{name}", timeout=30).json()
    return told


def test_standard_is_what_the_expert_says(ask: Ask, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer(LONG)])
    heard = ask("standard")
    assert heard.text == LONG
    assert heard.extras["calls"] == 1
    assert len(chats(ollama)) == 1
    assert chats(ollama)[0]["messages"] == [{"role": "system", "content": "Cook."},
                                            {"role": "user", "content": "How is tea made?"}]


@pytest.mark.parametrize("mode", ["code", "concise", "research", "report", "plan"])
def test_the_expert_is_told_the_mode_beside_its_own_prompt(ask: Ask, ollama: FakeOllama, mode: str) -> None:
    ask(mode)
    system = chats(ollama)[0]["messages"][0]
    assert (system["role"], system["content"]) == ("system", f"Cook.\n\n{MODES[f'moe-orchestrator-{mode}'].note}")


def test_code_with_words_around_it_is_only_code(ask: Ask, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer(f"Sure! Here you are:\n\n```python\n{CODE}\n```\n\nPour it **hot**.")])
    heard = ask("code")
    assert heard.text == f"```python\n{CODE}\n```"
    assert heard.extras["calls"] == len(chats(ollama)) == 1


def test_where_markdown_is_not_shown_code_is_bare(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer(f"Sure:\n```python\n{CODE}\n```\nHot.")])
    asked = {"model": "moe-orchestrator-code", "prompt": "How is tea made?", "stream": False}
    assert requests.post(f"{server.url}/api/generate", json=asked, timeout=30).json()["response"] == CODE


def test_a_long_answer_is_asked_for_once_in_fewer_words(ask: Ask, server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer(LONG), answer(f"Here is a shorter version:\n\n{SHORT}")])
    heard = ask("concise")
    assert heard.text == SHORT
    assert "sentence" not in heard.raw
    first, second = chats(ollama)
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "user"]
    assert second["messages"][2]["content"] == LONG
    assert heard.extras["calls"] == 2
    assert heard.usage is not None
    assert heard.usage[1] >= count_words(LONG)
    spans = trace(server, heard)["spans"]
    assert [(span["stage"], span["model"]) for span in spans if span["model"]] == [
        ("workers", MODEL), ("merger", MODEL)]
    assert [span["reason"] for span in spans if span["name"] == "mode concise"] == ["200 words, asked for 120"]


def test_what_is_long_again_is_cut_at_a_sentence(ask: Ask, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer(LONG), answer("Another sentence that has eight words in it. " * 20)])
    heard = ask("concise")
    assert heard.text == ("Another sentence that has eight words in it. " * 15).strip()
    assert count_words(heard.text) == MOST_WORDS
    assert len(chats(ollama)) == 2


def test_where_asking_again_fails_it_is_cut(ask: Ask, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer(LONG), http_error(500)])
    heard = ask("concise")
    assert heard.text == ("This is one sentence of eight words, truly. " * 15).strip()


def test_what_a_critic_makes_of_it_is_concise_too(ask: Ask, ollama: FakeOllama) -> None:
    things = ("water", "tea", "soup", "juice", "sleep", "shade", "cold cloths", "light food", "broth", "milk", "honey",
              "quiet", "fresh air", "soft blankets", "a good book", "patience")
    better = " ".join(f"You should have some {thing}, as the body asks for it." for thing in things)
    verdict = {"why": "it misleads", "verdict": "wrong", "edits": [], "answer": better}
    ollama.script(MODEL, [answer(better.replace("should", "must never")[:300])])
    ollama.script(HANDY, [answer(json.dumps(verdict))])
    text = ask("concise", "What helps against a fever?").text
    assert count_words(text) <= MOST_WORDS
    assert text.startswith("You should have some water, as the body asks for it. You should have some tea")
    assert text.endswith(DISCLAIMERS["medical_consult"]["en"])
    assert len(chats(ollama)) == 2


def test_a_short_answer_costs_one_call(ask: Ask, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer("Boil it.  \n\n- Pour")])
    assert ask("concise").text == "Boil it.  \n\n- Pour"
    assert len(chats(ollama)) == 1


@pytest.mark.parametrize(("question", "language"), [
    ("How is the tea made?", "en"), ("Wie wird der Tea gemacht?", "de"), ("¿Cómo se hace el té?", "es")])
def test_research_without_sources_says_so(ask: Ask, ollama: FakeOllama, question: str, language: Any) -> None:
    ollama.script(MODEL, [answer("Water boils at 100 °C [1]. It is hot [2, 3].")])
    assert ask("research", question).text == (
        f"Water boils at 100 °C [1]. It is hot [2, 3].\n\n*{NONE[language]} {UNCITED[language]}*")
    assert len(chats(ollama)) == 1


def test_a_report_has_its_sections(ask: Ask, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer(REPORT)])
    heard = ask("report")
    assert heard.text == f"{REPORT}\n\n## Sources\n\n*{NONE['en']}*"
    assert len(chats(ollama)) == 1


def test_what_a_report_lacks_is_asked_for_once(ask: Ask, ollama: FakeOllama) -> None:
    before = REPORT.partition("\n\n## Analysis")[0]
    ollama.script(MODEL, [answer(before), answer("## Analysis\n\nWarm.\n\n## Conclusion\n\nGood.")])
    heard = ask("report")
    assert heard.text.startswith(f"{before}\n\n## Analysis\n\nWarm.\n\n## Conclusion\n\nGood.\n\n## Sources\n\n")
    assert missing_sections(heard.text) == ()
    assert heard.extras["calls"] == len(chats(ollama)) == 2


def test_what_it_lacks_in_the_end_is_named(ask: Ask, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer("# Tea\n\nHot."), answer("I cannot.")])
    heard = ask("report")
    assert heard.text.startswith("# Tea\n\nHot.\n\n*This report has no section on: Executive Summary, ")
    assert len(chats(ollama)) == 2


def test_a_plan_is_numbered(ask: Ask, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer("So:\n\n- Boil\n  - water\n- Pour")])
    assert ask("plan").text == "So:\n\n1. Boil\n   - water\n2. Pour"
    assert len(chats(ollama)) == 1


def test_an_agent_calls_tools_and_its_answer_is_left_alone(ask: Ask, ollama: FakeOllama) -> None:
    heard = ask("agent", "Which weekday suits the neighbours best?")
    assert heard.text.startswith(f"[{HANDY}] ")
    assert chats(ollama)[0]["tools"]
    assert MODES["moe-orchestrator-agent"].note in chats(ollama)[0]["messages"][0]["content"]


@pytest.mark.parametrize("mode", ["code", "concise", "research", "report", "plan"])
def test_a_form_that_the_client_wants_goes_before_the_mode(server: Live, ollama: FakeOllama, mode: str) -> None:
    words = '{"answer": "' + "word " * 130 + '"}'
    ollama.script(MODEL, [answer(words)])
    for stream in (True, False):
        caller = Caller(server.url)
        heard = caller.ask("How is tea made?", dialect="ollama", model=f"moe-orchestrator-{mode}", stream=stream,
                           format="json")
        caller.close()
        assert heard.text == words
        assert "system" not in [m["role"] for m in chats(ollama)[-1]["messages"] if "Cook." not in m["content"]]


@pytest.mark.parametrize("mode", ["code", "concise", "research", "report", "plan"])
def test_a_clients_chores_are_none_of_a_modes(ask: Ask, ollama: FakeOllama, mode: str) -> None:
    """Open WebUI asks the model of the chat for a title too."""
    title = '{"title": "Tea"}'
    for model in (MODEL, HANDY):  # whichever is in memory
        ollama.script(model, [answer(title)])
    chore = "### Task:\nGenerate a concise, 3-5 word title with an emoji.\n<chat_history>\nUSER: tea\n</chat_history>"
    assert ask(mode, chore).text == title
    (asked,) = chats(ollama)
    assert MODES[f"moe-orchestrator-{mode}"].note not in str(asked["messages"])


@pytest.mark.parametrize("mode", MODES)
def test_that_nobody_can_answer_is_said_whole(tmp_path: Path, mode: str) -> None:
    with live_server(tmp_path) as live:
        for dialect in DIALECTS:
            caller = Caller(live.url)
            heard = caller.ask("How is tea made?", dialect=dialect, model=mode, stream=False)
            plain = caller.ask("How is tea made?", dialect=dialect, model="lemoe", stream=False)
            caller.close()
            assert heard.status == 200
            assert heard.text == plain.text


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("mode", ["standard", "code", "research", "report", "agent", "plan"])
def test_all_modes_but_concise_stream(server: Live, ollama: FakeOllama, mode: str, dialect: Dialect) -> None:
    """The first piece is there long before the last is spoken."""
    said = {"code": f"```python\n{CODE}\n{CODE}\n```", "report": REPORT, "plan": "1. Boil\n" * 12}
    ollama.script(MODEL, [answer(said.get(mode, "word " * 40), chunk_delay_s=0.01)])
    caller = Caller(server.url)
    model = "moe-orchestrator" + ("" if mode == "standard" else f"-{mode}")
    heard = caller.ask("How is tea made?", dialect=dialect, model=model, stream=True)
    caller.close()
    assert len(heard.pieces) > 5
    told = trace(server, heard)
    assert told["first_ms"] < told["elapsed_ms"] / 2
