"""Tasks done by experts and tools at the same time: in which order, within which limits, and what is left of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from moe.core import Heartbeat
from moe.pipeline.council.finding import Finding
from moe.pipeline.council.plan import Plan, Task
from moe.pipeline.council.workers import Workers
from tests.fakes import FakeModel, FakeOllama, answer, endless, error_line, fake_ollama, hang, http_error
from tests.pipeline.council.rig import (
    EXPERTS,
    FALLBACK,
    GENERAL,
    LAW,
    MATH,
    Rig,
    are_gone,
    ask,
    ask_with_image,
    chats_of,
    chats_with,
    prompt_of,
    rig_of,
    threads,
    was_cut,
)

SUM = Task("1", "Work out 847*23.7", "math", tool="calculate", args={"expression": "847*23.7"})
MONEY = Task("1", "How much is it?", "math")
LAWFUL = Task("2", "Is it lawful?", "legal_advisor")
VISION: dict[str, Any] = {"id": 4, "label": "vision", "model_name": "see:27b", "vision": True}
UNSURE = "I am not sure, I might be wrong, perhaps it is unclear, it is hard to say, maybe, I guess."


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    models = ("plan:3b", "judge:70b", "math:14b", "law:8b", "code:32b", "big:70b",
              FakeModel("see:27b", capabilities=("completion", "vision")))
    with fake_ollama(models) as fake:
        yield fake


@pytest.fixture
def rig(ollama: FakeOllama) -> Iterator[Rig]:
    with rig_of(ollama) as made:
        yield made


def outcomes(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.outcome for finding in findings]


# In time


def test_tasks_that_do_not_wait_for_each_other_are_done_at_the_same_time(rig: Rig, ollama: FakeOllama) -> None:
    ollama.script("math:14b", [answer("Twelve.", delay_s=0.3)])
    ollama.script("law:8b", [answer("It is.", delay_s=0.3)])
    findings = rig.work(Plan((MONEY, LAWFUL)))
    first, second = sorted(ollama.requests_to("/api/chat"), key=lambda each: each.arrived_at)
    assert first.finished_at is not None and second.arrived_at < first.finished_at
    assert [(each.task.id, each.expert, each.model, each.text) for each in findings] == [
        ("1", "math", "math:14b", "Twelve."), ("2", "legal_advisor", "law:8b", "It is.")]
    assert are_gone()


def test_what_depends_on_another_waits_for_it_and_is_told_what_it_found(rig: Rig, ollama: FakeOllama) -> None:
    code = "```py\nif x:\n\treturn 12  \n```\r\n"
    ollama.script("math:14b", [answer(chunks=[code], delay_s=0.2)])
    lawful = Task("2", "Is it lawful?", "legal_advisor", depends_on=("1",))
    findings = rig.work(Plan((lawful, MONEY)))
    first, second = ollama.requests_to("/api/chat")
    assert (first.model, second.model) == ("math:14b", "law:8b") and second.arrived_at > (first.finished_at or 0)
    assert f'<result part="How much is it?">\n{code}\n</result>' in prompt_of(ollama, "law:8b")
    assert [finding.task.id for finding in findings] == ["2", "1"]


def test_of_four_tasks_two_run_at_once_where_that_is_the_most(ollama: FakeOllama) -> None:
    for model in ("math:14b", "law:8b", "code:32b", "judge:70b"):
        ollama.script(model, [answer("Done.", delay_s=0.15)])
    tasks = (MONEY, LAWFUL, Task("3", "Read it", "code_reviewer"), Task("4", "Greet", "general"))
    with rig_of(ollama, parallel=2) as rig:
        assert outcomes(rig.work(Plan(tasks))) == ["done"] * 4
    spans = [(each.arrived_at, each.finished_at or 0) for each in ollama.requests_to("/api/chat")]
    most = max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans)
    assert most == 2


def test_heartbeats_come_while_an_expert_thinks(rig: Rig, ollama: FakeOllama) -> None:
    ollama.script("math:14b", [answer("Twelve.", delay_s=0.7)])
    last, silences, beats = time.monotonic(), [], 0
    for chunk in Workers(ask(), rig.asking(), rig.staff, rig.toolbox).run(Plan((MONEY,))):
        silences.append(time.monotonic() - last)
        last, beats = time.monotonic(), beats + isinstance(chunk, Heartbeat)
    assert max(silences) < 0.3 and beats >= 2


def test_who_is_too_slow_is_not_waited_for(ollama: FakeOllama) -> None:
    ollama.script("math:14b", [endless(interval_s=0.05)])
    with rig_of(ollama, deadline_s=1) as rig:
        began = time.monotonic()
        slow, quick = rig.work(Plan((MONEY, LAWFUL)))
        assert 0.4 < time.monotonic() - began < 0.95
    assert (slow.outcome, slow.reason, quick.outcome) == ("late", "took too long", "done")
    assert was_cut(chats_with(ollama, "math:14b")[0])


def test_the_time_that_a_level_may_take_leaves_some_for_those_after_it(ollama: FakeOllama) -> None:
    ollama.script("math:14b", [hang()])
    with rig_of(ollama, deadline_s=1.5) as rig:
        findings = rig.work(Plan((MONEY, Task("2", "Is it lawful?", "legal_advisor", depends_on=("1",)))))
    assert outcomes(findings) == ["late", "done"]
    assert "which could not be found" in prompt_of(ollama, "law:8b")


def test_whoever_leaves_ends_every_call_and_every_thread(rig: Rig, ollama: FakeOllama) -> None:
    ollama.script("math:14b", [endless(interval_s=0.05)])
    ollama.script("law:8b", [hang()])
    chunks = Workers(ask(), rig.asking(), rig.staff, rig.toolbox).run(Plan((MONEY, LAWFUL)))
    while len(ollama.requests_to("/api/chat")) < 2:
        next(chunks)
    assert len(threads()) == 2
    began = time.monotonic()
    chunks.close()
    assert are_gone(0.5) and time.monotonic() - began < 0.5
    assert all(map(was_cut, ollama.requests_to("/api/chat")))
    rig.trace.leave()
    assert [span.outcome for span in rig.spans("workers")] == ["cut", "cut"]


def test_what_waits_for_its_turn_is_never_begun_once_nobody_waits(ollama: FakeOllama) -> None:
    ollama.script("math:14b", [endless(interval_s=0.05)])
    with rig_of(ollama, parallel=1) as rig:
        chunks = Workers(ask(), rig.asking(), rig.staff, rig.toolbox).run(Plan((MONEY, LAWFUL)))
        while not ollama.requests_to("/api/chat"):
            next(chunks)
        began = time.monotonic()
        chunks.close()
        assert time.monotonic() - began < 0.5
    assert chats_of(ollama) == ["math:14b"]


# Failures


@pytest.mark.parametrize("step", [http_error(500), error_line(after=1), answer(""), http_error(400)])
def test_a_dead_expert_costs_only_its_own_part(rig: Rig, ollama: FakeOllama, step: Any) -> None:
    ollama.script("math:14b", [step])
    dead, other = rig.work(Plan((MONEY, LAWFUL)))
    assert (dead.outcome, dead.text, other.outcome) == ("failed", "", "done")
    assert dead.reason and len(dead.reason) < 150 and "\n" not in dead.reason


def test_whoever_stands_in_for_an_expert_is_named(ollama: FakeOllama) -> None:
    ollama.script("math:14b", [http_error(500)])
    ollama.script("judge:70b", [answer("Twelve.")])
    with rig_of(ollama, FALLBACK, GENERAL, MATH | {"fallback": "general"}) as rig:
        (finding,) = rig.work(Plan((MONEY,)))
    assert (finding.outcome, finding.expert, finding.model, finding.text) == ("done", "general", "judge:70b", "Twelve.")


def test_a_part_that_nobody_is_there_for_is_missing(rig: Rig) -> None:
    (finding,) = rig.work(Plan((Task("1", "Sing", "opera"),)))
    assert (finding.outcome, finding.reason) == ("failed", "nobody is there for it")


def test_a_fault_of_ours_is_not_taken_for_one_of_a_models(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig.staff, "has_two", lambda expert: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rig.work(Plan((MONEY, LAWFUL)))
    assert are_gone()


# Tools


def test_a_tool_answers_without_any_model(rig: Rig, ollama: FakeOllama) -> None:
    (finding,) = rig.work(Plan((SUM,)))
    assert finding.is_exact and finding.tools == ("calculate",) and finding.confidence == 1.0
    assert "20073.9" in finding.text.replace(",", "")
    assert not ollama.requests_to("/api/chat")
    rig.trace.leave()
    assert [(span.name, span.outcome, span.model) for span in rig.spans("mcp")] == [("calculate", "done", "")]
    assert rig.record.calls == 0


def test_where_a_tool_cannot_tell_its_expert_does(rig: Rig, ollama: FakeOllama) -> None:
    ollama.script("math:14b", [answer("Nobody knows.")])
    (finding,) = rig.work(Plan((Task("1", "Divide", "math", tool="calculate", args={"expression": "1/0"}),)))
    assert not finding.is_exact and finding.text == "Nobody knows."
    rig.trace.leave()
    assert [span.outcome for span in rig.spans("mcp")] == ["failed"]


def test_an_expert_is_told_what_a_tool_found(rig: Rig, ollama: FakeOllama) -> None:
    rig.work(Plan((SUM, Task("2", "Is it lawful?", "legal_advisor", depends_on=("1",)))))
    assert "20073.9" in prompt_of(ollama, "law:8b").replace(",", "")


def test_a_search_is_noted_and_its_task_goes_to_its_expert(rig: Rig, ollama: FakeOllama) -> None:
    (finding,) = rig.work(Plan((Task("1", "What is new?", "general", search="news"),)))
    assert finding.is_there
    rig.trace.leave()
    assert [(span.outcome, span.reason) for span in rig.spans("research")] == [
        ("skipped", "there is no web search here")]


# What each is asked


def test_each_expert_gets_the_conversation_and_its_own_part(rig: Rig, ollama: FakeOllama) -> None:
    rig.work(Plan((MONEY, LAWFUL)), ask("How much is it, and is it lawful?", notes=("Be brief.",)))
    prompt = prompt_of(ollama, "law:8b")
    assert prompt.startswith("How much is it, and is it lawful?")
    assert prompt.endswith("<part>\nIs it lawful?\n</part>") and "Answer only this part" in prompt
    sent = chats_with(ollama, "law:8b")[0].json
    assert all("Be brief." not in turn["content"] for turn in sent["messages"])


def test_an_image_is_for_those_who_see(ollama: FakeOllama) -> None:
    ollama.script("see:27b", [answer("A knife.")])
    look = Task("1", "Describe it", "vision")
    with rig_of(ollama, *EXPERTS, VISION) as rig:
        findings = rig.work(Plan((look, Task("2", "Is it lawful?", "legal_advisor", depends_on=("1",)))),
                            ask_with_image())
    assert outcomes(findings) == ["done", "done"]
    assert chats_with(ollama, "see:27b")[0].json["messages"][-1]["images"] == ["aGk="]
    assert all("images" not in turn for turn in chats_with(ollama, "law:8b")[0].json["messages"])
    assert "A knife." in prompt_of(ollama, "law:8b")


def test_an_expert_that_thinks_first_is_given_what_was_thought(ollama: FakeOllama) -> None:
    ollama.script("math:14b", [answer("Given: nothing."), answer("Twelve.")])
    with rig_of(ollama, FALLBACK, GENERAL, MATH | {"thinking": True}) as rig:
        (finding,) = rig.work(Plan((MONEY,)))
        rig.trace.leave()
        assert [span.stage for span in rig.record.spans if span.model] == ["thinking", "workers"]
    assert finding.text == "Twelve." and "Given: nothing." in prompt_of(ollama, "math:14b")


# Doubt


TWO: dict[str, Any] = {"id": 1, "label": "math", "models": {"1": "math:14b", "2": "big:70b"}, "tools": ()}


def test_a_doubtful_answer_is_asked_for_again_at_the_second_tier(ollama: FakeOllama) -> None:
    ollama.script("math:14b", [answer(f"{UNSURE} The result is 13.")])
    ollama.script("big:70b", [answer("It is twelve euros, as the list of prices says. The result is 12.")])
    with rig_of(ollama, FALLBACK, GENERAL, TWO, LAW) as rig:
        finding, _ = rig.work(Plan((MONEY, LAWFUL)))
        assert rig.observed == [("math:14b", "math", False)]
        rig.trace.leave()
        rated = {span.model: span.confidence for span in rig.spans("workers")}
    assert (finding.model, finding.text) == (
        "big:70b", "It is twelve euros, as the list of prices says. The result is 12.")
    assert finding.confidence == pytest.approx(rated["big:70b"], abs=1e-3)
    assert (rated["math:14b"] or 0) < 0.65 < (rated["big:70b"] or 0)


def test_the_better_one_of_two_is_kept(ollama: FakeOllama) -> None:
    ollama.script("math:14b", [answer(f"{UNSURE} But twelve.")])
    ollama.script("big:70b", [answer("I'm sorry, but I can't help with that.")])
    with rig_of(ollama, FALLBACK, GENERAL, TWO) as rig:
        (finding,) = rig.work(Plan((MONEY,)))
    assert chats_of(ollama) == ["math:14b", "big:70b"] and finding.model == "math:14b"


def test_a_second_tier_that_fails_costs_nothing(ollama: FakeOllama) -> None:
    ollama.script("math:14b", [answer(UNSURE)])
    ollama.script("big:70b", [http_error(500)])
    with rig_of(ollama, FALLBACK, GENERAL, TWO) as rig:
        (finding,) = rig.work(Plan((MONEY,)))
    assert (finding.outcome, finding.text) == ("done", UNSURE)


# The budget


@pytest.mark.parametrize(("checks", "most", "asked"), [(False, 3, 2), (False, 4, 3), (True, 4, 2), (True, 5, 3)])
def test_the_calls_of_merger_and_critic_are_kept_from_second_opinions(
    ollama: FakeOllama, checks: bool, most: int, asked: int
) -> None:
    ollama.script("math:14b", [answer(UNSURE)])
    with rig_of(ollama, FALLBACK, GENERAL, TWO, LAW | {"critic": checks}, max_calls=most) as rig:
        assert outcomes(rig.work(Plan((MONEY, LAWFUL)))) == ["done", "done"]
    assert len(chats_of(ollama)) == asked


def test_every_part_is_answered_before_one_is_merged_and_what_is_too_many_is_skipped(ollama: FakeOllama) -> None:
    with rig_of(ollama, max_calls=2, parallel=1) as rig:
        findings = rig.work(Plan((MONEY, LAWFUL, Task("3", "Read it", "code_reviewer"))))
    assert outcomes(findings) == ["done", "done", "skipped"]
    assert findings[2].reason == "2 calls are the most for one request"


def test_no_call_is_made_once_the_tokens_are_spent(ollama: FakeOllama) -> None:
    with rig_of(ollama, max_tokens=5, parallel=1) as rig:
        findings = rig.work(Plan((MONEY, LAWFUL)))
    assert outcomes(findings) == ["done", "skipped"] and len(chats_of(ollama)) == 1


def test_calls_at_the_same_moment_do_not_overdraw_the_budget(ollama: FakeOllama) -> None:
    for _ in range(5):
        ollama.forget_requests()
        with rig_of(ollama, max_calls=3) as rig:
            tasks = (MONEY, LAWFUL, Task("3", "Read it", "code_reviewer"), Task("4", "Greet", "general"))
            assert sorted(outcomes(rig.work(Plan(tasks)))) == ["done", "done", "done", "skipped"]
        assert len(chats_of(ollama)) == 3


