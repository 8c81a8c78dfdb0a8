"""Every domain in both tiers, in every mode and dialect, streamed and whole: who is asked, how often, and what is seen.

The models play what the line has to mend: a thought before each answer, words around code, too many words, marks of no
source, a report without its end, a plan in bullets.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from moe.experts import CHECKED, THINKING
from moe.pipeline.disclaimers import DISCLAIMERS
from moe.pipeline.modes.concise import MOST_WORDS
from moe.pipeline.modes.known import MODES, Mode
from moe.pipeline.modes.report import SECTIONS, missing_sections
from moe.pipeline.modes.sources import NONE, UNCITED
from moe.pipeline.modes.steps import has_steps
from moe.pipeline.modes.words import count_words
from tests.fakes import FakeModel, FakeOllama, answer, fake_ollama
from tests.fakes.script import Step
from tests.fakes.speech import count_tokens, split_words
from tests.fakes.wire import Request
from tests.live import Live, live_server
from tests.three import DIALECTS, Caller, Dialect, Heard

# Each domain with the word that leads there and nowhere else.
DOMAINS = {
    "general": "quokka", "math": "axolotl", "technical_support": "capybara", "code_reviewer": "pangolin",
    "creative_writer": "wombat", "medical_consult": "narwhal", "legal_advisor": "okapi", "translation": "tapir",
    "data_analyst": "numbat", "science": "dugong", "reasoning": "echidna", "vision": "kinkajou",
}
TIERS = (1, 2)
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
THOUGHT, NOTES = "The reader must not see this thought.", "Given: a working note. Wanted: an answer. Steps: look."
SENTENCE = "This is one sentence of eight words, truly. "
CODE = "for each in herd:\n    feed(each)  # `all`\n\n\tend()"
PARTS = [f"## {section.names['en']}\n\nSome words on it." for section in SECTIONS[1:-1]]
SAID = {
    "standard": "It lives  in a burrow.\n\n    four blanks stay", "agent": "It lives in a burrow.",
    "code": f"Sure, here it is:\n\n```python\n{CODE}\n```\n\nAnything else?",
    "concise": "".join(f"In its burrow number {number} the aardvark ate {number * 7} ants. " for number in range(25)),
    "research": "It lives in a burrow [7] and eats ants [2, 3].",
    "report": "# Of animals\n\n" + "\n\n".join(PARTS[:3]), "plan": "Like this:\n\n- Look\n- Wait\n- Go home",
}
SHORTER, THE_REST = SENTENCE * 6, "\n\n".join(PARTS[3:])
VERDICT = '{"why": "", "verdict": "right", "edits": [], "answer": ""}'
DOUBTFUL = ("An axolotl eats 12 worms a day and 3 more each week. If the price of a worm rises by 4% every month and a "
            "keeper has 250 euros, how many months can he feed it, at most?")
UNSURE = "I am not sure, I cannot tell.\n\nANSWER-CONFIDENCE: 0.05"
# What only the line and its models may see.
SECRETS = (THOUGHT, "working note", "think>", "notes>", "<notes", "answer>", "<answer", "verdict", "ANSWER-CONFIDENCE")
# In these modes the models leave something to be asked for once more.
ASKED_AGAIN = ("concise", "report")


class Plays:
    """All models at once, each by what it is asked; `spent` are the tokens of the prompts and of the answers."""

    def __init__(self) -> None:
        self.spent = (0, 0)

    def __call__(self, request: Request) -> Step:
        said = f"<think>{THOUGHT}</think>\n\n{self._speak(request.json)}"
        prompt = count_tokens(*(message["content"] for message in request.json["messages"]))
        self.spent = (self.spent[0] + prompt, self.spent[1] + len(split_words(said)))
        return answer(said)

    def _speak(self, asked: dict[str, Any]) -> str:
        system, last = asked["messages"][0]["content"], asked["messages"][-1]["content"]
        if asked.get("format"):
            return VERDICT
        if "write working notes" in last:
            return NOTES
        if asked["model"].startswith("math-1") and DOUBTFUL in str(asked["messages"]):
            return UNSURE
        if last.startswith("That answer has "):
            return SHORTER
        if last.startswith("These sections are missing"):
            return THE_REST
        return SAID[next((mode.name for mode in MODES.values() if mode.note and mode.note in system), "standard")]


class Stage(NamedTuple):
    tier: int
    server: Live
    ollama: FakeOllama
    plays: Plays
    caller: Caller


@pytest.fixture(scope="module", params=TIERS, ids=lambda tier: f"tier{tier}")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    tier, plays = request.param, Plays()
    experts: list[dict[str, Any]] = [{"id": 0, "label": "fallback", "model_name": "fallback:1b"}]
    for number, (label, word) in enumerate(DOMAINS.items(), 1):
        models = {str(each): f"{label}-{each}:latest" for each in TIERS}
        experts.append({"id": number, "label": label, "keywords": [word], "models": models, "tier": tier,
                        "vision": label == "vision", "system_prompt": f"You are {label}."})
    sees = ("completion", "vision")
    models = [FakeModel(f"{label}-{each}", capabilities=sees if label == "vision" else sees[:1])
              for label in DOMAINS for each in TIERS]
    with fake_ollama([*models, "fallback:1b"]) as ollama:
        for model in models:
            ollama.script(model.name, [plays])
        config = {"expert_runner": {"ollama_url": ollama.url, "retries": 0},
                  "pipeline": {"judge": "general", "escalate_below": 0.95}}
        with live_server(tmp_path_factory.mktemp("matrix"), config=config, experts=experts) as server:
            caller = Caller(server.url)
            yield Stage(tier, server, ollama, plays, caller)
            caller.close()


def question(label: str) -> str:
    return f"Tell me about the {DOMAINS[label]}."


def expect(label: str, tier: int, mode: Mode) -> list[str]:
    """The models that are asked, in their order."""
    asked = [f"{label}-{tier}:latest"]
    if label in THINKING:
        asked.insert(0, f"{label}-2:latest")
    if mode.name in ASKED_AGAIN:
        asked.append(f"{label}-{tier}:latest")
    return [*asked, *(["general-2:latest"] if label in CHECKED else ())]


def check_promise(text: str, mode: Mode, label: str) -> None:
    note = DISCLAIMERS.get(label, {}).get("en", "") if mode.name != "code" else ""
    assert text.count(note or "\0") == bool(note)
    assert text.endswith(note) or mode.name == "research"  # whose sources come last
    said = text.replace(f"\n\n{note}", "") if note else text
    if mode.name in ("standard", "agent"):
        assert said == SAID[mode.name]
    elif mode.name == "code":
        assert said == f"```python\n{CODE}\n```"
    elif mode.name == "concise":
        assert said == SHORTER.strip()
        assert count_words(text) <= MOST_WORDS
    elif mode.name == "research":
        assert said == f"{SAID['research']}\n\n*{NONE['en']} {UNCITED['en']}*"
    elif mode.name == "report":
        assert said.startswith(f"{SAID['report']}\n\n{THE_REST}\n\n## Sources\n\n")
        assert missing_sections(text) == ()
    else:
        assert said == "Like this:\n\n1. Look\n2. Wait\n3. Go home"
        assert has_steps(text)


def check_reply(heard: Heard, *, label: str, stage: Stage, calls: int) -> None:
    assert (heard.status, heard.ends) == (200, 1)
    assert heard.finishes in (["stop"], ["end_turn"])
    assert heard.headers["X-MoE-Expert"] == label
    assert heard.headers["X-MoE-Model"].startswith(f"{label}-{stage.tier}")
    assert (heard.extras["calls"], heard.extras["strategy"]) == (calls, "direct")
    assert heard.usage is not None
    assert heard.usage[0] >= stage.plays.spent[0]
    assert heard.usage[1] >= stage.plays.spent[1]
    assert not [secret for secret in SECRETS if secret in heard.text]


def with_image(text: str, dialect: Dialect) -> dict[str, Any]:
    """The same prompt with a picture beside it."""
    if dialect == "ollama":
        return {"messages": [{"role": "user", "content": text, "images": [PIXEL]}]}
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    part = ({"type": "image", "source": source} if dialect == "anthropic"
            else {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}})
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": text}, part]}]}


@pytest.mark.parametrize("label", DOMAINS)
def test_the_way_to_each_domain_is_certain_and_direct(stage: Stage, label: str) -> None:
    image = label == "vision"
    told = stage.caller.ask(question(label), dialect="ollama", model="moe-orchestrator", stream=False,
                            **(with_image(question(label), "ollama") if image else {}))
    assert told.headers["X-MoE-Stage"] == ("vision" if image else "keyword")
    assert told.headers["X-MoE-Expert"] == label
    assert told.headers["X-MoE-Strategy"] == "direct"


@pytest.mark.parametrize("label", DOMAINS)
@pytest.mark.parametrize("mode", MODES.values(), ids=lambda mode: mode.name)
def test_each_cell(stage: Stage, label: str, mode: Mode) -> None:
    expected = expect(label, stage.tier, mode)
    for dialect, stream in itertools.product(DIALECTS, (True, False)):
        stage.ollama.forget_requests()
        stage.plays.spent = (0, 0)
        body = with_image(question(label), dialect) if label == "vision" else {}
        heard = stage.caller.ask(question(label), dialect=dialect, model=mode.model, stream=stream, **body)
        asked = [request.model for request in stage.ollama.requests_to("/api/chat")]
        assert asked == expected, (dialect, stream, heard.raw)
        check_reply(heard, label=label, stage=stage, calls=len(expected))
        check_promise(heard.text, mode, label)


@pytest.mark.parametrize("mode", MODES.values(), ids=lambda mode: mode.name)
def test_a_second_look_keeps_to_the_mode_too(stage: Stage, mode: Mode) -> None:
    """Tier 1 knows nothing and says so; whatever it said, and how sure it was, is not seen."""
    for dialect, stream in itertools.product(DIALECTS, (True, False)):
        stage.ollama.forget_requests()
        stage.plays.spent = (0, 0)
        heard = stage.caller.ask(DOUBTFUL, dialect=dialect, model=mode.model, stream=stream)
        again = ["math-2:latest"] if mode.name in ASKED_AGAIN else []
        asked = [request.model for request in stage.ollama.requests_to("/api/chat")]
        assert asked == ["math-1:latest", "math-2:latest", *again], (dialect, stream, heard.raw)
        assert (heard.status, heard.ends, len(heard.finishes)) == (200, 1, 1)
        assert (heard.extras["calls"], heard.extras["strategy"]) == (len(asked), "escalate")
        assert heard.usage is not None
        assert heard.usage[1] >= stage.plays.spent[1]
        assert not [secret for secret in (*SECRETS, "not sure") if secret in heard.text]
        assert "CONFIDENCE" not in heard.raw
        check_promise(heard.text, mode, "math")
