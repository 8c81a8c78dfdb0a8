"""Every tool against what nobody should send it: nothing but ToolError, always JSON, one line, in time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moe.errors import BadArguments, ToolError, ToolTimeout
from moe.tools.base import LANGUAGES, Setting, Tool
from moe.tools.equations.worker import LIMIT_S, MOST_WAITED, Worker
from moe.tools.known import TOOLS, open_toolbox
from moe.tools.toolbox import Toolbox

from ..statutes import open_laws
from .hostile import GOOD, INJECTED, LARGE, STRANGE, attack, judge, show

EACH = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
MOST_MEGABYTES = 700
SECONDS = 4.0
# What makes texts that a tool might read.
PIECES = st.sampled_from([
    "1", "2,5", "1.234", "0x", "e9", "+", "-", "*", "/", "^", "%", "(", ")", "[", "]", "{", "}", "=", "<", ">", ",",
    ";", ":", "x", "y", "sin", "sqrt", "°", "!", " ", "\n", "of", "von", "de", "km", "/h", "°C", "ft", "in", "GiB",
    "2026-02-29", "31.12.", "March", "heute", "mañana", "15:30", "UTC+2", "Europe/Berlin", "10.0.0.0/8", "::", "/64",
    "$", "..", "[*]", "?@", "'a'", '"', "\\d", "+?", "{2}", "(?:", "a", "IV", "MCM", "mean", "p90", "sha256", "aGVs",
    "§ 242 BGB", "Art. 1", "é", "\u0301", "٣", "\0",
])


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toolbox]:
    with closing(Worker()) as worker, open_laws(tmp_path_factory.mktemp("laws")) as laws:
        worker.warm()
        yield open_toolbox(Setting(solver=worker, laws=laws))


@EACH
def test_what_is_hostile_gets_an_answer_or_an_error_that_says_why(tool: Tool, box: Toolbox) -> None:
    for number, arguments in enumerate(attack(tool)):
        try:
            judge(box, tool.name, arguments, LANGUAGES[number % 3])
        except AssertionError as error:
            pytest.fail(f"{show(arguments)}: {error}")


@pytest.mark.parametrize("text", [*INJECTED, *LARGE, *STRANGE])
def test_an_equation_is_not_hostile_to_its_solver_either(text: str, box: Toolbox) -> None:
    judge(box, "solve_equation", {"equation": text})
    judge(box, "solve_equation", {"equation": f"x = {text}"[:900]})


def test_all_of_it_fits_into_little_memory() -> None:
    """Of the process, not of each call: the interpreter and the libraries are in it."""
    ran = subprocess.run([sys.executable, "-m", "tests.tools.hostile"], capture_output=True, text=True, timeout=300,
                         cwd=Path(__file__).parents[2], env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
    assert ran.returncode == 0, ran.stderr[-2_000:]
    assert int(ran.stdout) < MOST_MEGABYTES


@EACH
def test_unknown_missing_and_wrong_arguments_are_named(tool: Tool, box: Toolbox) -> None:
    needed = [f"$.{name}" for name in tool.schema["required"]]
    with pytest.raises(BadArguments) as caught:
        box.call(tool.name, {"unknown": 1})
    assert [path for path, _ in caught.value.faults] == ["$.unknown", *needed]
    for name in tool.schema["properties"]:
        with pytest.raises(BadArguments) as caught:
            box.call(tool.name, dict(GOOD.get(tool.name, {})) | {name: {"a": 1}})
        assert f"$.{name}" in [path for path, _ in caught.value.faults]


@EACH
def test_what_its_own_schema_allows_never_raises_anything_else(tool: Tool, box: Toolbox) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(arguments=calls(tool), language=st.sampled_from(LANGUAGES))
    def check(arguments: dict[str, Any], language: str) -> None:
        judge(box, tool.name, arguments, language)

    check()


def calls(tool: Tool) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments as its schema has them, some left out, some of a good call."""
    good = GOOD.get(tool.name, {})
    members = {name: values(member) | st.just(good[name]) if name in good else values(member)
               for name, member in tool.schema["properties"].items()}
    needed = {name: member for name, member in members.items() if name in tool.schema["required"]}
    return st.fixed_dictionaries(needed, optional={name: members[name] for name in members.keys() - needed.keys()})


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of(*map(values, schema["anyOf"]))
    low, high = schema.get("minimum"), schema.get("maximum")
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "string": st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=12).map("".join)),
        "integer": st.integers(low, high), "number": st.floats(), "boolean": st.booleans(), "null": st.none(),
    }
    if isinstance(schema.get("type"), list):
        return st.one_of(*(kinds[kind] for kind in schema["type"]))
    if schema.get("type") == "array":
        return st.lists(values(schema.get("items", {})), max_size=20)
    return kinds[schema["type"]] if "type" in schema else st.one_of(*kinds.values())


def test_many_threads_get_the_answers_that_one_gets(box: Toolbox) -> None:
    asked = [(name, dict(arguments)) for name, arguments in GOOD.items()
             if name in box and not name.startswith("legal")]
    right = {name: box.call(name, arguments).result for name, arguments in asked}
    wrong: list[Any] = []
    counts = [0] * 16
    until = time.monotonic() + SECONDS

    def ask(place: int) -> None:
        while time.monotonic() < until:
            name, arguments = asked[(place * 7 + counts[place]) % len(asked)]
            language = LANGUAGES[counts[place] % 3]
            try:
                found = box.call(name, arguments, language=language).result
            except ToolTimeout as error:
                found = right[name] if "busy" in str(error) else error
            except Exception as error:  # noqa: BLE001 - of whatever kind, it is no answer
                found = error
            if found != right[name]:
                wrong.append((name, found))
            counts[place] += 1

    _run([lambda place=place: ask(place) for place in range(16)])
    assert not wrong
    assert min(counts) > len(asked)


def test_the_solver_serves_who_came_first(box: Toolbox) -> None:
    with closing(Worker()) as worker:
        worker.warm()
        served: list[int] = []

        def ask(place: int) -> None:
            time.sleep(place * 0.02)
            worker.solve("factorize", {"number": str(10**20 + 39 + place)})
            served.append(place)

        _run([lambda place=place: ask(place) for place in range(12)])
        assert served == sorted(served)


def test_who_waits_for_others_too_long_is_told_so_and_hurts_nobody() -> None:
    slow = {"number": str((10**24 + 7) * (10**25 + 13))}
    with closing(Worker()) as worker:
        worker.warm()
        told: list[tuple[str, float]] = []

        def ask(number: str, after: float) -> None:
            time.sleep(after)
            begun = time.monotonic()
            try:
                worker.solve("factorize", {"number": number})
                words = "done"
            except ToolTimeout as error:
                words = str(error)
            told.append((words, time.monotonic() - begun))

        _run([lambda: ask(slow["number"], 0), lambda: ask("91", 0.1), lambda: ask("91", 0.2),
              lambda: ask("91", LIMIT_S * (1 - MOST_WAITED) + 0.3)])
        assert sorted(words for words, _ in told)[:3] == ["done", "the solver is busy with other tasks",
                                                         "the solver is busy with other tasks"]
        assert all(spent < LIMIT_S + 0.5 for words, spent in told if words != "done")
        assert worker.solve("factorize", {"number": "91"}) == [["7", "1"], ["13", "1"]]


def _run(jobs: list[Any]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_errors_of_strange_texts_show_what_cannot_be_seen(box: Toolbox) -> None:
    with pytest.raises(ToolError, match=r"\\u001b"):
        box.call("calculate", {"expression": "\x1b[31m1+1"})
    with pytest.raises(ToolError, match=r"\\u202e"):
        box.call("unit_convert", {"value": 1, "from_unit": "\u202ekm", "to_unit": "m"})
