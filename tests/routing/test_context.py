"""Conversations: what a turn by itself does not say is taken from those before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from moe.core import ChatRequest, Decision, Image, Message, Text, ToolCall, ToolResult
from moe.embed import load_embedder
from moe.routing import NoModels, Router, build_router
from moe.routing.names import Caller
from moe.routing.stages import LOOK_BACK, Trace
from moe.routing.topics import Turn, changes_topic, follow, measure, weigh
from tests.bench.process import ROOT

from .kit import CHEF, CODER, DOCTOR, EYES, FALLBACK, FewModels, ask, make_config, make_router, show

CODE, COOK = (np.array(shares, dtype=np.float32) for shares in ((0.9, 0.05), (0.05, 0.9)))
LOST = np.array((0.01, 0.01), dtype=np.float32)
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "search", "parameters": {}}}
MODELS = ROOT / "models"


def told(decision: Decision) -> tuple[str, str]:
    return decision.expert.label, decision.stage


def test_one_turn_is_what_it_says() -> None:
    assert follow([Turn(CODE, 0.1)]) == pytest.approx(CODE)


def test_a_turn_that_is_not_believed_keeps_the_topic_and_one_that_is_takes_it() -> None:
    assert follow([Turn(CODE, 1), Turn(COOK, 0.05)]).argmax() == 0
    assert follow([Turn(CODE, 1), Turn(COOK, 0.9)]).argmax() == 1


def test_who_says_that_the_topic_changes_leaves_it_however_short_the_turn() -> None:
    assert follow([Turn(CODE, 1), Turn(COOK, 0.05, is_new=True)]).argmax() == 1


def test_little_that_fits_no_expert_says_nothing_and_much_says_that_none_is_wanted() -> None:
    assert follow([Turn(CODE, 1), Turn(LOST, 0.05)]).max() > 0.8
    assert follow([Turn(CODE, 1), Turn(LOST, 0.95)]).max() < 0.2


def test_a_topic_outlives_several_short_turns() -> None:
    assert follow([Turn(CODE, 1), *[Turn(COOK, 0.1)] * 2, Turn(LOST, 0.1)]).argmax() == 0


@pytest.mark.parametrize("shares", [(0.0, 0.0), (1.0, 0.0), (0.5, 0.5)])
def test_the_shares_stay_probabilities(shares: tuple[float, float]) -> None:
    turns = [Turn(np.array(shares, dtype=np.float32), trust) for trust in (0, 0.3, 1)]
    after = follow(turns)
    assert np.isfinite(after).all() and (after >= 0).all() and after.sum() <= 1 + 1e-6


def test_longer_is_believed_more_and_what_sounds_like_a_follow_up_less() -> None:
    assert weigh("why?", 0.9, 0.5) < weigh("why?", 0.1, 0.5) < weigh("why is the evening sky blue and red?", 0.1, 0.5)


def test_a_short_turn_counts_for_more_when_an_expert_is_sure_of_it() -> None:
    assert weigh("my knee hurts", 0.2, 0.6) < weigh("my knee hurts", 0.2, 0.99)


@pytest.mark.parametrize(("pointing", "other"), [
    ("and the knee?", "now my knee"), ("schreib das um", "schreib ein lied"), ("hazlo más", "haz una"),
])
def test_what_points_back_counts_for_less(pointing: str, other: str) -> None:
    assert weigh(pointing, 0.2, 0.9) < weigh(other, 0.2, 0.9)
    assert measure("なぜ空は青いの") > measure("why sky")


@pytest.mark.parametrize("text", [
    "btw, a recipe?", "andere Frage: soup", "Übrigens, soup", "otra cosa, sopa", "Por cierto: sopa",
])
def test_a_change_of_topic_is_heard_in_three_languages(text: str) -> None:
    assert changes_topic(text) and not changes_topic("was ist der andere, and what is the other one")


def test_the_turns_that_say_most_are_read_and_always_the_newest() -> None:
    talk = ask("write a python function for me", "go on", "ok", "why?", "and?")
    assert Trace(talk, messages=2).texts == ("write a python function for me", "and?")
    long = [f"this turn is long enough to tell what it is about, number {i}" for i in range(4)]
    assert Trace(ask(*long), messages=3).texts == tuple(long[1:])


def test_what_is_long_ago_is_not_read() -> None:
    talk = ask("write a python function for me", *["go on"] * LOOK_BACK)
    assert set(Trace(talk, messages=3).texts) == {"go on"}


def call_tools(*turns: Message, offers: bool = True) -> ChatRequest:
    return ChatRequest(model="lemoe", messages=turns, tools=(TOOL,) if offers else ())


def say(text: str) -> Message:
    return Message("user", (Text(text),))


@pytest.mark.parametrize("by_keywords", [False, True])
def test_a_conversation_with_tools_keeps_the_expert_of_its_first_turn(tmp_path: Path, by_keywords: bool) -> None:
    router = make_router(tmp_path, by_keywords=by_keywords)
    turns = [say("write python code"), Message("assistant", (ToolCall("1", "search"),)),
             Message("tool", (ToolResult("1", "search", "soup"),)), Message("assistant", (Text("Done."),)),
             say("now a soup recipe with oven temperature, please tell me"), say("fever and headache")]
    decisions = [router.decide(call_tools(*turns[:count])) for count in range(1, len(turns) + 1)]
    assert {decision.expert.label for decision in decisions} == {"coder"}
    assert len({decision.confidence for decision in decisions}) == 1


@pytest.mark.parametrize("trace", [Message("assistant", (ToolCall("1", "search"),)),
                                   Message("tool", (ToolResult("1", "search", "ok"),))])
def test_a_call_or_its_result_is_enough_to_keep_the_expert(tmp_path: Path, trace: Message) -> None:
    talk = (say("write python code"), trace, say("a soup recipe"))
    assert make_router(tmp_path).decide(call_tools(*talk, offers=False)).expert.label == "coder"


class Known:
    """Every call was made by `caller`."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def find(self, call: ToolCall, request: ChatRequest) -> Caller | None:
        return self.caller


CALLED = Message("assistant", (ToolCall("1", "search"), ToolCall("2", "search")))
RESULT = Message("tool", (ToolResult("1", "search", "soup"),))
SHOWN = Message("tool", (ToolResult("1", "search", "see"), Image("aGk=")))


def know(folder: Path, label: str, model: str = "", *, models: FewModels | None = None) -> Router:
    router = make_router(folder, models=models)
    router.heed(Known(Caller(label, model)))
    return router


def test_results_go_to_whoever_called_and_nothing_else_does(tmp_path: Path) -> None:
    router = know(tmp_path, "doctor")
    talk = [say("write python code"), CALLED, RESULT, RESULT]
    decision = router.decide(call_tools(*talk))
    assert (*told(decision), decision.virtual, decision.confidence) == ("doctor", "context", True, 1.0)
    for turns in (talk[:1], talk[:2], [*talk, Message("assistant", (Text("Soup."),)), say("thanks")]):
        assert told(router.decide(call_tools(*turns))) == ("coder", "embedding")
    assert router.decide(msgspec.structs.replace(call_tools(*talk), model="chef")).expert.label == "chef"


@pytest.mark.parametrize(("label", "model", "expert", "stage"), [
    ("gone", "phi4:14b", "coder", "embedding"), ("dev", "phi4:14b", "coder", "embedding"),
    ("phi4:14b", "phi4:14b", "phi4:14b", "context"), ("gone:1b", "gone:1b", "coder", "embedding"),
])
def test_a_caller_that_is_gone_is_not_waited_for(
    tmp_path: Path, label: str, model: str, expert: str, stage: str
) -> None:
    router = know(tmp_path, label, model, models=FewModels("phi4:14b"))
    assert told(router.decide(call_tools(say("write python code"), CALLED, RESULT))) == (expert, stage)


@pytest.mark.parametrize("turns", [
    (say("write python code"), CALLED, SHOWN),
    (say("write python code"), CALLED, RESULT, Message("user", (Image("aGk="),))),
    (say("write python code"), CALLED, SHOWN, CALLED, RESULT),
    (say("hi"), Message("assistant", (Text("Hi."),)), say("write python code"), CALLED, SHOWN, show("and here")),
    (say("write python code"), CALLED, RESULT, Message("assistant", (Image("aGk="),))),
    (Message("system", (Image("aGk="),)), say("write python code"), CALLED, RESULT),
    (Message("system", (Image("aGk="),)), say("write python code")),
    (say("write python code"), Message("assistant", (Image("aGk="),))),
])
def test_a_picture_in_the_running_turn_goes_to_an_expert_that_sees(tmp_path: Path, turns: tuple[Message, ...]) -> None:
    for offers in (True, False):
        talk = call_tools(*turns, offers=offers)
        assert told(make_router(tmp_path).decide(talk)) == ("eyes", "vision")
        assert told(know(tmp_path, "doctor").decide(talk)) == ("eyes", "vision")
        asleep = FewModels(asleep=["eyes"])
        assert make_router(tmp_path, models=asleep).decide(talk).expert.label in ("coder", "fallback")


def test_a_tools_picture_stays_with_whoever_called_and_sees(tmp_path: Path) -> None:
    talk = call_tools(say("write python code"), CALLED, SHOWN)
    second = msgspec.structs.replace(EYES, id=5, label="more eyes")
    router = make_router(tmp_path, FALLBACK, CODER, EYES, second)
    router.heed(Known(Caller("more eyes", "")))
    assert told(router.decide(talk)) == ("more eyes", "context")
    seeing = msgspec.structs.replace(CODER, vision=True)
    assert told(make_router(tmp_path, FALLBACK, EYES, seeing).decide(talk)) == ("coder", "embedding")


def test_a_tools_picture_of_an_earlier_turn_pins_nothing(tmp_path: Path) -> None:
    talk = (say("write python code"), CALLED, SHOWN, Message("assistant", (Text("Done."),)), say("now a test"))
    assert told(make_router(tmp_path).decide(call_tools(*talk))) == ("coder", "embedding")


def test_a_picture_keeps_its_expert_in_later_turns_if_it_is_there(tmp_path: Path) -> None:
    later = say("which oven temperature does the soup recipe need?")
    talk = ChatRequest(messages=(show(), Message("assistant", (Text("A cat."),)), later))
    assert told(make_router(tmp_path).decide(talk)) == ("eyes", "vision")
    asleep = make_router(tmp_path, models=FewModels(asleep=["eyes"]))
    assert told(asleep.decide(talk))[0] == "chef"


def test_a_picture_that_the_assistant_shows_pins_nothing(tmp_path: Path) -> None:
    talk = ChatRequest(messages=(say("hi"), Message("assistant", (Image("aGk="),)), say("a soup recipe")))
    assert told(make_router(tmp_path).decide(talk))[0] == "chef"


@pytest.mark.skipif(not (MODELS / "encoder" / "current").is_file(), reason="set-up has made no encoder")
def test_real_follow_ups_stay_and_real_changes_leave(tmp_path: Path) -> None:
    """With three experts whose topics are also among the conversations; no scorer is fitted here."""
    names = {"code_reviewer": CODER, "medical_consult": DOCTOR}
    team = [msgspec.structs.replace(expert, label=label) for label, expert in names.items()]
    router = build_router(make_config(FALLBACK, *team, CHEF), models=NoModels(), embedder=load_embedder(None, MODELS),
                          cache_folder=tmp_path)
    rows = [msgspec.json.decode(line) for file in sorted((ROOT / "tests" / "data" / "talks").glob("*.jsonl"))
            for line in file.read_bytes().splitlines()]
    own = [row for row in rows if row["kind"] == "follow-up" and row["label"] in names]
    assert len(own) > 20

    def rate(*, is_alone: bool) -> float:
        asked = [[turn["content"] for turn in row["messages"] if turn["role"] == "user"] for row in own]
        labels = [router.decide(ask(*(texts[-1:] if is_alone else texts))).expert.label for texts in asked]
        return sum(label == row["label"] for label, row in zip(labels, own, strict=True)) / len(own)

    assert rate(is_alone=False) >= rate(is_alone=True) + 0.1
