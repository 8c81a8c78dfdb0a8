"""Plans as models write them: what is read whatever stands around it, and what is refused with a word about why."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.backends.llama.grammar import write_grammar
from moe.errors import BackendError
from moe.pipeline.council.plan import MOST_TASKS, BadPlan, Plan, Task, levels, read_plan, schema
from moe.pipeline.form import Form
from moe.tools.base import Setting
from moe.tools.known import open_toolbox

CATEGORIES = ("math", "legal_advisor", "general")
TOOLBOX = open_toolbox(Setting())
SUM = {"id": "1", "task": "Work out 2+2.", "category": "math"}
LAW = {"id": "2", "task": "Is it lawful?", "category": "legal_advisor", "depends_on": ["1"]}
BOTH = (Task("1", "Work out 2+2.", "math"), Task("2", "Is it lawful?", "legal_advisor", depends_on=("1",)))


def read(written: Any) -> Plan:
    return read_plan(written if isinstance(written, str) else json.dumps(written), CATEGORIES, TOOLBOX)


def refuse(written: Any) -> str:
    """What the model is told."""
    with pytest.raises(BadPlan) as caught:
        read(written)
    return caught.value.fault


def with_tool(**changed: Any) -> dict[str, Any]:
    return {"tasks": [SUM | {"tool": "calculate", "args": {"expression": "2+2"}} | changed]}


# What is read


@pytest.mark.parametrize("written", [
    json.dumps({"tasks": [SUM, LAW]}),
    "```json\n" + json.dumps({"tasks": [SUM, LAW]}, indent=2) + "\n```",
    "Here is the plan [as asked]:\n" + json.dumps({"tasks": [SUM, LAW]}) + "\nI hope {that} helps.",
    json.dumps([SUM, LAW]),
    "<think>Maybe {\"tasks\": []} or " + json.dumps([SUM]) + "</think>\n" + json.dumps({"tasks": [SUM, LAW]}),
    "Draft: " + json.dumps([SUM]) + " and finally: " + json.dumps({"tasks": [SUM, LAW]}),
    json.dumps({"tasks": [SUM | {"id": 1}, LAW | {"id": 2, "depends_on": 1}]}),
    json.dumps({"tasks": [{**SUM, "id": None, "tool": None, "args": None, "search": None, "depends_on": None}, LAW]}),
    json.dumps({"tasks": [SUM | {"tool": "none", "args": [], "search": ""}, LAW | {"depends_on": ["1", "1", None]}]}),
    json.dumps({"tasks": [SUM | {"category": " Math"}, LAW | {"category": "Legal-Advisor", "why": "because"}]}),
], ids=["plain", "fenced", "prose", "bare list", "thought", "draft", "numbers", "nulls", "empty words", "case"])
def test_a_plan_is_read_whatever_stands_around_it(written: str) -> None:
    assert read(written).tasks == BOTH


@pytest.mark.parametrize("cut", [
    json.dumps({"tasks": [SUM, LAW]})[:-2], json.dumps({"tasks": [SUM, LAW]})[:-30], json.dumps([SUM, LAW])[:-1],
    json.dumps({"why": "two", "tasks": [SUM, LAW, SUM]})[:-50],
    json.dumps({"tasks": [SUM, LAW]}).replace(", {", ",, {"),
    "Draft: " + json.dumps(SUM) + "\n" + json.dumps({"tasks": [SUM, LAW]})[:-20],
])
def test_what_breaks_off_is_no_plan_of_what_is_left(cut: str) -> None:
    assert "breaks off" in refuse(cut)


@pytest.mark.parametrize("after", [
    ' So the first is {"task": "Do all of it.", "category": "general"}.', " [1] and {2}", ' {"task": "Do',
])
def test_a_whole_plan_wins_over_what_follows_it(after: str) -> None:
    assert read(json.dumps({"tasks": [SUM, LAW]}) + after).tasks == BOTH


def test_one_task_alone_is_a_plan() -> None:
    assert read(SUM).tasks == read({"tasks": SUM}).tasks == BOTH[:1]


@pytest.mark.parametrize("args", [
    {"expression": "2+2"}, [{"name": "expression", "value": "2+2"}], '{"expression": "2+2"}',
    {"expression": "2+2", "other": None},
])
def test_arguments_are_read_in_each_way_to_write_them(args: Any) -> None:
    (task,) = read(with_tool(args=args)).tasks
    assert (task.tool, task.args) == ("calculate", {"expression": "2+2"})
    assert TOOLBOX.call(task.tool, task.args).result == "4"


def test_a_number_may_be_given_as_text_as_the_schema_asks_for() -> None:
    (task,) = read(with_tool(tool="Prime_Factorize", args=[{"name": "n", "value": "360"}])).tasks
    assert TOOLBOX.call(task.tool, task.args).text.startswith("360")


def test_what_is_to_be_looked_up_is_kept() -> None:
    assert read({"tasks": [SUM | {"search": "x" * 999}]}).tasks[0].search == "x" * 300


# What is refused


@pytest.mark.parametrize(("written", "told"), [
    ("I would ask the lawyer first.", "not JSON"),
    ("", "not JSON"),
    ('{"tasks": [{"id": "1", "task": "cut', "not JSON"),
    ({"answer": 4}, "no JSON object with"),
    ({"tasks": []}, "no tasks"),
    ({"tasks": None}, "no tasks"),
    ({"tasks": [SUM | {"id": str(place), "task": f"t{place}"} for place in range(50)]}, "50 tasks, and 4 are the most"),
    ({"tasks": ["do it"]}, "task 1: it is no object"),
    ({"tasks": [SUM | {"task": " \n"}]}, "task 1: \"task\" must say"),
    ({"tasks": [SUM | {"task": ["a"]}]}, "must say in words"),
    ({"tasks": [SUM, LAW | {"category": "cooking"}]}, "task 2: there is no category 'cooking', only: math, legal"),
    ({"tasks": [SUM | {"category": None}]}, "there is no category ''"),
    (with_tool(tool="teleport"), "there is no tool 'teleport'"),
    (with_tool(args={}), "$.expression: missing"),
    (with_tool(args={"expression": "1", "mood": "good"}), "$.mood: unknown argument"),
    (with_tool(args=["2+2"]), "\"args\" must be a list of"),
    (with_tool(args="2+2"), "\"args\" must be a list of"),
    (with_tool(tool="prime_factorize", args={"n": "many"}), "the arguments do not fit prime_factorize"),
    ({"tasks": [SUM | {"depends_on": ["1"]}]}, "task 1 depends on itself"),
    ({"tasks": [SUM | {"depends_on": ["7"]}]}, "there is no task with that id"),
    ({"tasks": [SUM | {"depends_on": [["2"]]}, LAW]}, "must be a list of ids"),
    ({"tasks": [SUM | {"depends_on": ["2"]}, LAW]}, "in a circle"),
    ({"tasks": [SUM, LAW | {"id": "1", "depends_on": []}]}, "two tasks have the id '1'"),
    ({"tasks": [SUM, SUM | {"id": "2", "task": "work out  2+2."}]}, "tasks 1 and 2 are the same"),
    ({"tasks": [SUM | {"id": {"a": 1}}]}, "\"id\" must be a text"),
    ({"tasks": [SUM | {"id": "x" * 41}]}, "\"id\" must be a text"),
    ({"tasks": [SUM | {"task": "x" * 4001}]}, "more than 4000 characters"),
])
def test_what_is_no_plan_is_refused_with_a_fault_that_can_be_mended(written: Any, told: str) -> None:
    assert told in refuse(written)


def test_a_bad_plan_is_a_fault_of_the_backend_whose_reason_quotes_nothing() -> None:
    with pytest.raises(BackendError) as caught:
        read({"tasks": [SUM | {"category": "secret"}]})
    assert caught.value.reason == "its plan cannot be used"


@pytest.mark.parametrize("written", [
    "[" * 1_000_000, '{"tasks":' * 5_000, "{" * 90_000, "x" * 10_000_000, '{"tasks":[' + "[" * 50_000,
    '{"a":"' * 16_000, '{"tasks":[{"id":' + "9" * 90_000 + "}]}", "[1]," * 20_000,
    json.dumps(with_tool(tool="json_query", args={"json_str": "[" * 30_000, "path": "$"})) + "[" * 9_000,
])
def test_what_is_huge_or_deep_ends_soon(written: str) -> None:
    began = time.perf_counter()
    try:
        read(written)
    except BadPlan as error:
        assert len(error.fault) < 1000
    assert time.perf_counter() - began < 2


def test_deep_arguments_are_a_fault() -> None:
    deep = "[" * 400 + "]" * 400
    written = json.dumps(with_tool()).replace('"2+2"', deep)
    assert "do not fit calculate" in refuse(written)


def test_half_of_a_pair_of_surrogates_can_be_sent_on() -> None:
    (task,) = read('{"tasks":[{"id":"\\ud800","task":"a\\ud83d b\\u0000","category":"math","search":"\\udc00"}]}').tasks
    assert (task.id, task.task, task.search) == ("?", "a? b", "?")
    json.dumps([task.id, task.task, task.search], ensure_ascii=False).encode()


_LEAVES = (st.none() | st.booleans() | st.integers() | st.text(max_size=9)
           | st.sampled_from(["1", "math", "calculate", "none"]))


@given(st.text() | st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(
        st.sampled_from(["tasks", "id", "task", "category", "depends_on", "tool", "args", "search"]), inner),
))
def test_whatever_comes_is_a_plan_or_a_fault(written: Any) -> None:
    try:
        plan = read(written)
    except BadPlan:
        return
    assert 1 <= len(plan.tasks) <= MOST_TASKS
    assert sum(map(len, levels(plan))) == len(plan.tasks)
    assert all(task.task and task.category in CATEGORIES for task in plan.tasks)


# The order


def test_tasks_are_done_by_what_they_wait_for() -> None:
    tasks = (Task("d", "4", "math", depends_on=("b", "c")), Task("b", "2", "math", depends_on=("a",)),
             Task("a", "1", "math"), Task("c", "3", "math"))
    assert [[task.id for task in level] for level in levels(Plan(tasks))] == [["a", "c"], ["b"], ["d"]]


def test_a_circle_has_no_order() -> None:
    tasks = (Task("a", "1", "math", depends_on=("b",)), Task("b", "2", "math", depends_on=("a",)))
    with pytest.raises(BadPlan, match="in a circle"):
        levels(Plan(tasks))


# The schema

_EVERYWHERE = {"type", "properties", "required", "additionalProperties", "items", "enum"}


def parts(form: Any) -> list[dict[str, Any]]:
    """Every schema within a schema."""
    inner = [*form.get("properties", {}).values(), *([form["items"]] if "items" in form else [])]
    return [form, *(found for each in inner for found in parts(each))]


@pytest.mark.parametrize("tools", [(), ("calculate", "date_diff")])
def test_the_schema_has_only_words_that_strict_engines_take(tools: tuple[str, ...]) -> None:
    for part in parts(schema(CATEGORIES, tools)):
        assert set(part) <= _EVERYWHERE
        if part["type"] == "object":
            assert part["required"] == list(part["properties"])
            assert part["additionalProperties"] is False
        assert "" not in part.get("enum", ())


@pytest.mark.parametrize("is_bounded", [False, True])
def test_a_plan_that_fits_the_schema_is_read(is_bounded: bool) -> None:
    form = Form(schema(CATEGORIES, ("calculate",), is_bounded=is_bounded))
    form.check_itself()
    pair = {"name": "expression", "value": "2+2"}
    tasks = [{**SUM, "depends_on": [], "tool": "calculate", "args": [pair], "search": ""},
             {**LAW, "tool": "none", "args": [], "search": ""}]
    text = json.dumps({"tasks": tasks})
    assert form.judge(text) is None
    assert [task.tool for task in read(text).tasks] == ["calculate", ""]
    five = [tasks[0] | {"id": str(place)} for place in range(5)]
    assert (form.judge(json.dumps({"tasks": five})) is not None) is is_bounded


def test_without_tools_there_is_no_word_for_any() -> None:
    assert "tool" not in json.dumps(schema(CATEGORIES))


def test_a_grammar_can_be_made_of_it() -> None:
    grammar = write_grammar(schema(CATEGORIES, ("calculate",), is_bounded=True))
    assert "legal_advisor" in grammar
    assert "{0,3}" in grammar
