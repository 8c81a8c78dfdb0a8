"""Whether a call that a model made came to something is told by the call itself, not read out of its result."""

from __future__ import annotations

import pytest

from moe.config.schema import ToolsConfig
from moe.core import Done, ToolCall
from moe.pipeline.noting import note_call
from moe.pipeline.toolcalls import MOST_A_ROUND, Calls, Made
from moe.tools.base import Setting
from moe.tools.known import open_toolbox
from moe.trace import Record, Trace


def calls(*offered: str) -> Calls:
    made = Calls(open_toolbox(Setting()), ToolsConfig(), offered)
    made.begin_round()
    return made


@pytest.mark.parametrize(("name", "arguments", "is_good"), [
    ("calculate", '{"expression": "847*23.7"}', True),
    ("calculate", '"{\\"expression\\": \\"1+1\\"}"', True),
    ("calculate", '{"expression": "1/0"}', False),
    ("calculate", '{"formula": "1+1"}', False),
    ("calculate", "[1]", False),
    ("convert_units", '{"value": 1}', False),
    ("made_up", "{}", False),
])
def test_a_call_says_whether_it_came_to_something(name: str, arguments: str, is_good: bool) -> None:
    made = calls("calculate").make(ToolCall("1", name, arguments), 0)
    assert made.is_good == is_good
    assert ("error" in made.content) != is_good


def test_a_call_that_is_one_too_many_came_to_nothing() -> None:
    one = ToolCall("1", "calculate", '{"expression": "1+1"}')
    box = calls("calculate")
    assert [box.make(one, place).is_good for place in (0, MOST_A_ROUND - 1, MOST_A_ROUND)] == [True, True, False]


@pytest.mark.parametrize(("content", "is_good", "outcome"), [
    ('{"error": "as the caption of the picture says"}', True, "done"), ('{"error":"rate"}', True, "done"),
    ("no such city", False, "failed"), ("", False, "failed"),
])
def test_a_trace_goes_by_the_call_and_not_by_how_its_result_begins(
    content: str, is_good: bool, outcome: str
) -> None:
    records: list[Record] = []
    trace = Trace(on_end=records.append)
    call = ToolCall("1", "calculate", "{}")
    note_call(trace, Made(call, content, "calculate() → …", is_good=is_good), began_ms=0.0, is_ours=True)
    trace.end(Done())
    (span,) = records[0].spans
    assert (span.stage, span.name, span.outcome) == ("mcp", "calculate", outcome)
