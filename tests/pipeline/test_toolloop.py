"""Rounds of one model with our own tools: a scripted backend below the real dispatcher, real tools beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from moe.backends.base import Backend, Chunks, Modelless
from moe.backends.echo import Echo
from moe.backends.gguf import Gguf
from moe.backends.shelf import Shelf
from moe.config.schema import EngineConfig, MemoryConfig, RunnerConfig, ToolsConfig
from moe.core import (
    ChatRequest,
    Chunk,
    Completion,
    Decision,
    Done,
    Extract,
    Heartbeat,
    Message,
    Refusal,
    Sampling,
    Started,
    Text,
    Thinking,
    ToolCall,
    ToolCallPiece,
    ToolResult,
    Usage,
)
from moe.errors import (
    BackendError,
    BadAnswer,
    BrokenStream,
    MoeError,
    TimedOut,
    Unanswered,
    UpstreamFailure,
    UpstreamRefusal,
)
from moe.experts import Expert
from moe.pipeline.breaker import Breaker
from moe.pipeline.dispatch import Dispatcher
from moe.pipeline.lineup import Lineup
from moe.pipeline.toolloop import Toolloop
from moe.tools.base import Outcome, Setting, tool
from moe.tools.known import Toolkit, open_toolkit
from moe.tools.questions.recogniser import Recogniser
from moe.tools.toolbox import Toolbox

MODELS = Path(__file__).parents[1] / "models"
UNREADABLE = "the arguments are no JSON object that can be read"
SUM = "What is 847*23.7, and why does it matter?"
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


class Scripted(Modelless):
    """Plays a step for each request, the last one again and again; an error at its end breaks it there."""

    def __init__(self, *steps: Sequence[Chunk | BackendError], lacks_tools: bool = False) -> None:
        self.steps = list(steps)
        self.lacks_tools = lacks_tools
        self.asked: list[ChatRequest] = []
        self.closed = 0

    def chat(self, request: ChatRequest) -> Chunks:
        self.asked.append(request)
        step = self.steps[min(len(self.asked), len(self.steps)) - 1]
        try:
            for chunk in step:
                if isinstance(chunk, BackendError):
                    raise chunk
                yield chunk
        finally:
            self.closed += 1

    def misfit(self, request: ChatRequest) -> str:
        return "does not support tools" if self.lacks_tools and request.tools else ""

    def ignores(self, request: ChatRequest) -> tuple[str, ...]:
        return ()


def call(expression: str = "847*23.7", *, name: str = "calculate", number: int = 1, **arguments: Any) -> ToolCall:
    told = arguments or {"expression": expression}
    return ToolCall(f"call_{number}", name, json.dumps(told))


def said(*texts: str, finish: Any = "stop", usage: Usage | None = None) -> list[Chunk]:
    return [*map(Text, texts), Done(finish=finish, usage=usage)]


def called(*calls: ToolCall, usage: Usage | None = None) -> list[Chunk]:
    return [*calls, Done(finish="tool_calls", usage=usage)]


class Line:
    """A dispatcher over scripted experts, the loop above it."""

    def __init__(self, first: Backend, *others: Backend, toolkit: Toolkit | None = None, **config: Any) -> None:
        self.config = ToolsConfig(**config)
        ways: dict[str, Backend] = {f"e{place}": way for place, way in enumerate((first, *others), 1)}
        self.experts = {
            label: Expert(id=place, label=label, model_name=f"{label}:4b", fallback=f"e{place + 1}")
            for place, label in enumerate(ways, 1)
        }
        lineup = Lineup(
            self.experts, ways, raw=Echo(), model_of=lambda each, fresh=True: each.model_name,
            stand_ins=list, new_breaker=lambda: Breaker(failures=99, cooldown_s=1, clock=lambda: 0.0),
        )
        runner = RunnerConfig(retries=0, backoff_s=0)
        dispatcher = Dispatcher(lineup, runner, on_failure=lambda *_: None, advice=lambda: "")
        self.loop = Toolloop(dispatcher, toolkit or open_toolkit(Setting()), self.config)

    def decide(self, **changed: Any) -> Decision:
        decision = Decision(expert=self.experts["e1"], stage="embedding", confidence=0.9, virtual=True)
        return structs.replace(decision, **changed)

    def start(self, request: ChatRequest) -> Chunks:
        decision = self.decide()
        return self.loop.run(self.loop.offer(request, decision), decision, request_id="r1")

    def talk(self, request: ChatRequest | None = None) -> list[Chunk]:
        chunks = self.start(request or ask())
        return [chunk for chunk in chunks if not isinstance(chunk, Heartbeat)]


def ask(*texts: str, **changed: Any) -> ChatRequest:
    turns: list[Message] = []
    for text in texts or (SUM,):
        turns += [Message("user", (Text(text),)), Message("assistant", (Text("ok"),))]
    return ChatRequest(**{"messages": tuple(turns[:-1]), "stream": True, **changed})


def text_of(chunks: Sequence[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))


def thoughts_of(chunks: Sequence[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Thinking))


def end_of(chunks: Sequence[Chunk]) -> Done:
    assert [type(chunk) for chunk in chunks].count(Done) == 1
    assert isinstance(chunks[-1], Done)
    return chunks[-1]


def results_of(request: ChatRequest) -> list[Any]:
    contents = [part.content for message in request.messages for part in message.parts if isinstance(part, ToolResult)]
    return [json.loads(content) if content.endswith("}") else content for content in contents]


def offered(line: Line, request: ChatRequest, **decided: Any) -> list[str]:
    return [tool["function"]["name"] for tool in line.loop.offer(request, line.decide(**decided)).offered]


# What is offered


def test_the_fitting_tools_are_offered_in_openais_form() -> None:
    line = Line(Scripted(said("x")))
    (tool,) = line.loop.offer(ask(), line.decide()).offered
    assert tool["type"] == "function"
    assert tool["function"]["name"] == "calculate"
    assert tool["function"]["parameters"]["required"] == ["expression"]
    assert tool["function"]["description"]


def test_nothing_fits_an_ordinary_prompt_and_then_the_dispatcher_answers_itself() -> None:
    line = Line(Scripted(said("Rome.")))
    request = line.loop.offer(ask("Tell me about Rome."), line.decide())
    assert request.offered == ()
    chunks = line.loop.run(request, line.decide(), request_id="r1")
    assert chunks.__qualname__ == "Dispatcher.run"
    assert text_of(list(chunks)) == "Rome."


def test_the_list_only_grows_with_the_conversation() -> None:
    line = Line(Scripted(said("x")))
    turns = ["sha256 of the word hello, please explain", SUM, "How many days from 2024-01-01 to 2025-03-01?",
             "And prime factors of 91?", "How many hosts are in 10.0.0.0/22?", "Convert 5 miles to km for me",
             "What is MCMXCIV as a number?", "and the gcd of 12 and 18?"]
    lists = [offered(line, ask(*turns[:count])) for count in range(1, len(turns) + 1)]
    assert all(later[:len(former)] == former for former, later in zip(lists, lists[1:], strict=False))
    assert lists[0][0] == "hash_text"
    assert len(lists[-1]) == 6 == len(set(lists[-1]))


def test_a_long_conversation_is_searched_from_its_beginning_and_at_its_end() -> None:
    line = Line(Scripted(said("x")))
    filler = ["word " * 700] * 10
    assert offered(line, ask(SUM, *filler, "the sha256 hash of hello")) == ["calculate", "hash_text"]
    assert offered(line, ask(SUM, *filler, "the sha256 hash of hello", "thanks")) == ["calculate"]


@pytest.mark.parametrize("changed", [
    {"tools": (WEATHER,)}, {"tool_choice": "none"}, {"tool_choice": "required"}, {"format": "json"},
    {"format": {"type": "object"}}, {"logprobs": 0}, {"completion": Completion(prompt=SUM)}, {"messages": ()},
    {"messages": (Message("user", (Text(f"### Task:\nGenerate a concise title for {SUM}"),)),)},
])
def test_who_looks_after_tools_or_wants_a_certain_form_is_offered_none(changed: dict[str, Any]) -> None:
    line = Line(Scripted(said("x")))
    assert offered(line, ask(**changed)) == []


def test_neither_is_a_model_by_its_own_name_but_a_named_expert_is() -> None:
    line = Line(Scripted(said("x")))
    assert offered(line, ask(), stage="raw", virtual=False) == []
    assert offered(line, ask(), stage="explicit", virtual=False) == ["calculate"]
    assert offered(Line(Scripted(said("x")), offer="never"), ask()) == []


def test_always_adds_them_to_the_clients_own_of_which_none_is_replaced() -> None:
    line = Line(Scripted(said("x")), offer="always")
    own = {"type": "function", "function": {"name": "calculate", "parameters": {}}}
    assert offered(line, ask(tools=(WEATHER,))) == ["calculate"]
    assert offered(line, ask(tools=(own,))) == []


def test_files_are_not_searched() -> None:
    line = Line(Scripted(said("x")))
    asked = Message("user", (Text("Summarise this."), Extract("847*23.7 = ?")))
    assert offered(line, ask(messages=(asked,))) == []


# A round


@pytest.mark.parametrize("stream", [True, False])
def test_a_call_is_made_here_and_the_answer_after_it_is_the_clients(stream: bool) -> None:
    way = Scripted(called(call(), usage=Usage(prompt_tokens=10, completion_tokens=3)),
                   said("It is ", "20073.9.", usage=Usage(prompt_tokens=20, completion_tokens=5)))
    chunks = Line(way).talk(ask(stream=stream))
    assert text_of(chunks) == "It is 20073.9."
    assert isinstance(chunks[0], Started)
    assert [type(chunk) for chunk in chunks].count(Started) == 1
    assert not any(isinstance(chunk, ToolCall | ToolCallPiece) for chunk in chunks)
    assert end_of(chunks) == Done(finish="stop", tools=("calculate",),
                                  usage=Usage(prompt_tokens=30, completion_tokens=8))
    first, second = way.asked
    assert second.tools == first.tools
    assert second.messages[:-2] == first.messages
    assert second.messages[-2] == Message("assistant", (call(),))
    assert second.messages[-1].role == "tool"
    assert results_of(second) == [{"result": "20073.9", "text": "847*23.7 = 20073.9"}]


def test_the_call_is_told_among_the_thoughts_on_a_line_of_its_own() -> None:
    way = Scripted([Thinking("Hm."), *called(call())], [Thinking("Good."), *said("Done.")])
    chunks = Line(way).talk()
    assert thoughts_of(chunks) == 'Hm.\ncalculate(expression="847*23.7") → 20073.9\nGood.'
    assert way.asked[1].messages[-2].parts == (Thinking("Hm."), call())  # for backends that need it


def test_nobody_who_wants_no_thoughts_is_told_of_calls() -> None:
    chunks = Line(Scripted(called(call()), said("Done."))).talk(ask(think=False))
    assert [type(chunk) for chunk in chunks] == [Started, Text, Done]


def test_text_streams_at_once_and_what_follows_a_call_begins_a_paragraph() -> None:
    way = Scripted([Text("Let me see."), *called(call())], [Text("One\n"), *called(call("1+1"))], said("Two"))
    chunks = Line(way).start(ask())
    early = [next(chunks), next(chunks)]
    assert text_of(early) == "Let me see."
    assert len(way.asked) == 1
    assert text_of(early + list(chunks)) == "Let me see.\n\nOne\n\nTwo"
    assert way.asked[1].messages[-2].parts == (Text("Let me see."), call())


def test_pieces_of_a_call_of_ours_are_swallowed() -> None:
    pieces = [ToolCallPiece("call_1", "calculate", '{"expr'), ToolCallPiece("call_1", "calculate", 'ession":"1+1"}')]
    chunks = list(Line(Scripted([*pieces, *called(call("1+1"))], said("2"))).start(ask()))
    assert not any(isinstance(chunk, ToolCall | ToolCallPiece) for chunk in chunks)
    assert any(isinstance(chunk, Heartbeat) for chunk in chunks)


def test_several_calls_of_a_round_are_all_made_in_their_order() -> None:
    way = Scripted(called(call("1+1", number=1), call("2+2", number=2)), said("2 and 4"))
    chunks = Line(way).talk()
    assert [result["result"] for result in results_of(way.asked[1])] == ["2", "4"]
    assert [message.role for message in way.asked[1].messages[-3:]] == ["assistant", "tool", "tool"]
    assert end_of(chunks).tools == ("calculate",)


def test_wrong_arguments_are_told_the_model_which_mends_them() -> None:
    way = Scripted(called(call(name="calculate", sum="1+1")), called(ToolCall("c", "calculate", "{not json")),
                   called(call("1/0")), called(call("1+1")), said("2"))
    chunks = Line(way).talk(ask(verb="chat"))  # its clients could not be given arguments that are no object
    assert text_of(chunks) == "2"
    wrong, unread, undefined, right = results_of(way.asked[-1])
    assert wrong["faults"] == ["$.sum: unknown argument", "$.expression: missing"]
    assert (unread, right["result"]) == ({"error": UNREADABLE}, "2")
    assert "zero" in undefined["error"]
    assert "→ error: the arguments do not fit" in thoughts_of(chunks)
    history = [part for message in way.asked[-1].messages for part in message.parts if isinstance(part, ToolCall)]
    assert history[1].arguments == "{}"


@pytest.mark.parametrize("arguments", [
    "[1]", "null", '"x"', '{"expression":NaN}', '{"expression":1e999}', '{"expression":' + "9" * 5000 + "}",
    *('{"expression":' + "[" * depth + "]" * depth + "}" for depth in (50, *range(850, 1000, 3), 100_000)),
])
def test_arguments_that_nobody_can_read_end_nothing(arguments: str) -> None:
    way = Scripted(called(ToolCall("c", "calculate", arguments)), said("Oh."))
    assert text_of(Line(way).talk()) == "Oh."
    assert results_of(way.asked[1]) == [{"error": UNREADABLE}]


def test_a_tool_that_was_not_offered_is_none() -> None:
    way = Scripted(called(call(name="rm", path="/")), called(call(name="hash_text", text="a")), said("Oh."))
    chunks = Line(way).talk()
    assert text_of(chunks) == "Oh."
    assert results_of(way.asked[-1]) == [{"error": "there is no tool 'rm'"}, {"error": "there is no tool 'hash_text'"}]
    assert end_of(chunks).tools == ()


def test_a_result_that_is_too_long_is_cut_with_a_note() -> None:
    way = Scripted(called(call("9^700")), said("Long."))
    chunks = Line(way, max_result_chars=300).talk()
    (result,) = results_of(way.asked[1])
    assert len(result) == 300
    assert result.endswith("characters)")
    assert "(cut here: the whole result has 1" in result
    assert len(thoughts_of(chunks)) < 400


# Limits


def test_a_model_that_only_calls_answers_at_last_with_what_it_has() -> None:
    endless = [called(call(f"{number}+1")) for number in range(3)]
    way = Scripted(*endless, said("Enough."))
    chunks = Line(way, max_rounds=3).talk()
    assert text_of(chunks) == "Enough."
    assert [asked.tool_choice for asked in way.asked] == [None, None, None, "none"]
    assert way.asked[-1].tools == way.asked[0].tools


def test_the_same_call_a_third_time_ends_the_calling() -> None:
    way = Scripted(*[called(call())] * 3, said("Enough."))
    assert text_of(Line(way, max_rounds=20).talk()) == "Enough."
    assert [asked.tool_choice for asked in way.asked] == [None, None, None, "none"]


def test_one_that_calls_even_then_is_asked_without_tools_and_with_the_results() -> None:
    way = Scripted(*[called(call())] * 4, said("It is 20073.9."))
    chunks = Line(way).talk()
    assert text_of(chunks) == "It is 20073.9."
    last = way.asked[-1]
    assert not last.has_tools
    assert "20073.9" in last.messages[-1].text
    assert end_of(chunks).finish == "stop"


def test_text_beside_a_forbidden_call_is_the_answer() -> None:
    way = Scripted(called(call()), [Text("It is 20073.9."), *called(call())])
    chunks = Line(way, max_rounds=1).talk()
    assert (text_of(chunks), end_of(chunks).finish, len(way.asked)) == ("It is 20073.9.", "stop", 2)


def test_only_so_many_calls_are_made_in_a_round() -> None:
    way = Scripted(called(*(call(f"{number}+1", number=number) for number in range(10))), said("Done."))
    Line(way).talk()
    results = results_of(way.asked[1])
    assert [("error" in result) for result in results] == [False] * 8 + [True] * 2


def test_all_results_together_are_bounded() -> None:
    way = Scripted(called(*(call(f"9^{300 + place}", number=place) for place in range(8))), said("Done."))
    chunks = Line(way, max_result_chars=300).talk()
    assert text_of(chunks) == "Done."
    assert way.asked[-1].tool_choice == "none"
    assert sum(len(json.dumps(result)) for result in results_of(way.asked[-1])) < 4 * 300 + 8 * 200


def test_when_the_time_is_over_nothing_more_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("moe.pipeline.toolcalls.time.monotonic", lambda: now[0])
    whole = Toolbox.call

    def call_slowly(self: Toolbox, name: str, arguments: Any, **more: Any) -> Any:
        now[0] += 40
        return whole(self, name, arguments, **more)

    monkeypatch.setattr(Toolbox, "call", call_slowly)
    way = Scripted(called(*(call(f"{number}+1", number=number) for number in range(3))), said("Done."))
    Line(way, deadline_s=60).talk()
    assert ["error" in result for result in results_of(way.asked[1])] == [False, False, True]
    assert way.asked[1].tool_choice == "none"


def test_the_same_call_thrice_in_one_round_ends_nothing() -> None:
    way = Scripted(called(*(call(number=number) for number in range(3))), called(call("1+1")), said("Done."))
    Line(way).talk()
    assert [asked.tool_choice for asked in way.asked] == [None, None, None]


def test_all_rounds_together_are_as_long_as_one_answer_may_be() -> None:
    def took(tokens: int) -> Usage:
        return Usage(prompt_tokens=1, completion_tokens=tokens)

    way = Scripted(called(call(), usage=took(30)), called(call("1+1"), usage=took(60)), said("Two.", usage=took(2)))
    chunks = Line(way).talk(ask(sampling=Sampling(max_tokens=100)))
    assert [asked.sampling.max_tokens for asked in way.asked] == [100, 70, 10]
    assert (end_of(chunks).finish, end_of(chunks).usage) == ("stop", Usage(prompt_tokens=3, completion_tokens=92))
    way = Scripted(called(call(), usage=took(100)), said("never"))
    chunks = Line(way).talk(ask(sampling=Sampling(max_tokens=100)))
    assert (len(way.asked), text_of(chunks), end_of(chunks).finish) == (1, "", "length")
    assert end_of(chunks).usage == took(100)


# Calls as text


WRITTEN = '{"name": "calculate", "parameters": {"expression": "1+1"}}'
SPELLED = [WRITTEN, f"<tool_call>\n{WRITTEN}\n</tool_call>", f"```json\n{WRITTEN}\n```", f"\n{WRITTEN}; {WRITTEN}",
           '{"type": "function", "function": {"name": "calculate", "arguments": "{\\"expression\\": \\"1+1\\"}"}}',
           f"<tool_call>{WRITTEN}</tool_call>\n<tool_call>{WRITTEN}"]


@pytest.mark.parametrize("written", SPELLED)
@pytest.mark.parametrize("stream", [True, False])
def test_a_call_that_is_written_as_text_is_made(written: str, stream: bool) -> None:
    way = Scripted([Thinking("Hm."), *said(*written)], said("Two."))
    chunks = Line(way).talk(ask(stream=stream))
    assert text_of(chunks) == "Two."
    assert results_of(way.asked[1])[0] == {"result": "2", "text": "1+1 = 2"}
    assert (end_of(chunks).tools, end_of(chunks).finish) == (("calculate",), "stop")


@pytest.mark.parametrize("written", [
    '{"name": "Ada", "born": 1815}', '{"sum": 2}', '{"name": "rm", "parameters": {}}', "```python\n1\n```", "{", "<b>",
    f"{WRITTEN} is how one calls it", f"So: {WRITTEN}", f"```json\n{WRITTEN}\n```\nis it", "```json\n[1]\n```", "  ",
    f"<tool_call>{WRITTEN}</tool_call> was it", '{"name": "calculate", "parameters": {"expression": ',
])
def test_other_text_is_the_answer(written: str) -> None:
    chunks = Line(Scripted(said(*written))).talk()
    assert (text_of(chunks), end_of(chunks).tools) == (written, ())


@pytest.mark.parametrize("written", ["The sum", '{"sum"', '{"name": "Ada"', f"{WRITTEN} is", "```python", "<b>"])
def test_text_is_held_back_only_while_it_may_be_a_call(written: str) -> None:
    chunks = Line(Scripted([Text(written), Text(" more"), Done()])).start(ask())
    assert [next(chunks), next(chunks)][1] == Text(written)
    chunks.close()


def test_a_model_that_writes_calls_for_ever_is_no_better() -> None:
    way, spare = Scripted(said(WRITTEN)), Scripted(said("Two."))
    assert text_of(Line(way, spare).talk()) == "Two."


# Names and arguments as some write them


@pytest.mark.parametrize("name", [" calculate", "functions.calculate", "tools.functions.calculate\n"])
def test_a_name_with_something_beside_it_is_known(name: str) -> None:
    way = Scripted(called(call("1+1", name=name)), said("Two."))
    chunks = Line(way).talk()
    assert end_of(chunks).tools == ("calculate",)
    assert way.asked[1].messages[-2].parts == (call("1+1"),)


def test_arguments_that_are_encoded_twice_are_read() -> None:
    plain = json.dumps({"expression": "1+1"})
    way = Scripted(called(ToolCall("c", "calculate", json.dumps(plain))), said("Two."))
    Line(way).talk()
    assert way.asked[1].messages[-2].parts == (ToolCall("c", "calculate", plain),)
    assert results_of(way.asked[1]) == [{"result": "2", "text": "1+1 = 2"}]


def test_no_name_gives_a_terminal_orders() -> None:
    chunks = Line(Scripted(called(call(name="r\x1b[31mm\u202e", path="\x9b")), said("Oh."))).talk()
    assert thoughts_of(chunks).startswith("r[31mm(")
    assert not re.search("[\x1b\x9b\u202e]", thoughts_of(chunks))


def test_what_earlier_answers_told_of_calls_is_no_model_s_own_thought() -> None:
    first = Scripted([Thinking("Hm."), *called(call())], [Thinking("Good."), *said("Done.")])
    thought = thoughts_of(Line(first).talk())
    way = Scripted(said("x"))
    turns = [Message("user", (Text("a"),)), Message("assistant", (Thinking(thought), Text("Done."))),
             Message("assistant", (Thinking('calculate(expression="1") \u2192 1\n'), Text("1"))),
             Message("user", (Text(SUM),))]
    Line(way).talk(ask(messages=tuple(turns)))
    assert way.asked[0].messages[1].parts == (Thinking("Hm.\nGood."), Text("Done."))
    assert way.asked[0].messages[2].parts == (Text("1"),)


# What is there to look up


class Book:
    def __init__(self, *counts: int | Exception) -> None:
        self.counts = list(counts)

    def count(self) -> int:
        count = self.counts.pop(0)
        if isinstance(count, Exception):
            raise count
        return count


def test_tools_of_law_are_offered_where_there_is_law(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("moe.pipeline.offering.time.monotonic", lambda: now[0])
    request = ask("What does the law say in § 433 BGB about buying a car, and how would you explain it?")
    assert offered(Line(Scripted(said("x"))), request) == []
    setting = structs.replace(Setting(), laws=Book(0, 5, MoeError()))
    line = Line(Scripted(said("x")), toolkit=open_toolkit(setting))
    lists = []
    for _ in range(4):
        lists.append(offered(line, request))
        now[0] += 4
    assert [bool(each) for each in lists] == [False, False, True, True]
    assert "legal_get_paragraph" in lists[-1]
    assert offered(line, request) == []  # one that cannot be read has nothing


# What an expert always has

MATHS = ["calculate", "percent_change", "number_base", "solve_equation", "prime_factorize", "gcd_lcm", "roman_numeral"]
DATES = ["date_diff", "date_add", "day_of_week", "timezone_convert"]
MEASURES = ["unit_convert", "statistics_calc", "loan_payment"]
TEXTS = ["hash_text", "base64_codec", "regex_extract", "text_analyze", "json_query"]


def given(text: str, *, always: bool = False, toolkit: Toolkit | None = None, has: Sequence[Any] = (),
          **fields: Any) -> list[str]:
    line = Line(Scripted(said("x")), toolkit=toolkit)
    expert = Expert(**{"id": 1, "label": "math", **fields})
    request = line.loop.offer(ask(text, tools=tuple(has)), line.decide(expert=expert), always=always)
    return [tool["function"]["name"] for tool in request.offered]


@pytest.mark.parametrize(("fields", "names"), [
    ({}, MATHS),
    ({"label": "data_analyst"}, MEASURES + TEXTS),
    ({"label": "general"}, []),
    ({"label": "general", "tools": ("dates",)}, DATES),
    ({"tools": ()}, []),
    ({"label": "legal_advisor"}, []),  # there is no law here
    ({"tools": ("arithmetic", "algebra", "dates", "measures", "texts", "networks")},
     [*MATHS, *DATES, *MEASURES, *TEXTS, "subnet_calc"]),
])
def test_an_expert_is_always_offered_its_families(fields: dict[str, Any], names: list[str]) -> None:
    assert given("Tell me a story about a fox.", **fields) == names


def test_what_the_prompt_asks_for_comes_after_them() -> None:
    assert given("How many days between 2024-01-01 and 2024-03-05?")[:8] == [*MATHS, "date_diff"]


def test_the_law_is_offered_where_there_is_any() -> None:
    toolkit = open_toolkit(structs.replace(Setting(), laws=Book(5)))
    assert given("Tell me a story.", label="legal_advisor", toolkit=toolkit) == [
        "legal_search_laws", "legal_get_law_overview", "legal_get_paragraph", "legal_fulltext_search"]


def test_a_tool_that_is_disabled_is_in_no_family() -> None:
    toolkit = open_toolkit(Setting(), disabled=("calculate", "gcd_lcm"))
    assert given("Hi", toolkit=toolkit) == [name for name in MATHS if name not in ("calculate", "gcd_lcm")]


def test_an_expert_gets_none_where_nobody_would() -> None:
    line = Line(Scripted(said("x")), offer="never")
    maths = Expert(id=1, label="math")
    assert not line.loop.offer(ask("Hi"), line.decide(expert=maths)).offered
    assert given("Hi", has=(WEATHER,)) == []
    line = Line(Scripted(said("x")))
    assert not line.loop.offer(ask("Hi"), line.decide(expert=maths, stage="raw", virtual=False)).offered


def test_who_is_to_work_with_tools_always_has_some() -> None:
    handy = ["calculate", "percent_change", "number_base", *DATES, *MEASURES]
    assert given("Tell me a story about a fox.", always=True, label="general") == handy
    asked = given("What is the broadcast address of 10.0.0.0/29?", always=True, label="general")
    assert asked == ["calculate", "subnet_calc", *handy[1:]]
    assert len(given("Hi", always=True)) == 12
    assert given("Hi", always=True, tools=("texts", "measures", "networks", "dates"), label="x")[:13] == [
        *TEXTS, *MEASURES, "subnet_calc", *DATES]


# Together with the client's own tools


def both(first: Sequence[Chunk], *others: Sequence[Chunk]) -> tuple[list[Chunk], Scripted]:
    way = Scripted(first, *others)
    return Line(way, offer="always").talk(ask(tools=(WEATHER,))), way


def test_the_clients_call_is_the_clients() -> None:
    chunks, way = both(called(ToolCall("w", "weather", "{}")))
    assert [chunk for chunk in chunks if isinstance(chunk, ToolCall)] == [ToolCall("w", "weather", "{}")]
    assert (end_of(chunks).finish, end_of(chunks).tools, len(way.asked)) == ("tool_calls", (), 1)


def test_where_ours_comes_first_the_clients_is_left_to_be_made_again() -> None:
    theirs = ToolCall("w", "weather", "{}")
    chunks, way = both(called(call(), theirs), called(theirs))
    assert [chunk for chunk in chunks if isinstance(chunk, ToolCall)] == [theirs]
    assert way.asked[1].messages[-2].parts == (call(),)
    assert (end_of(chunks).finish, end_of(chunks).tools) == ("tool_calls", ("calculate",))


def test_where_the_clients_comes_first_ours_is_dropped() -> None:
    theirs = ToolCall("w", "weather", "{}")
    chunks, way = both(called(theirs, call()))
    assert [chunk for chunk in chunks if isinstance(chunk, ToolCall)] == [theirs]
    assert (end_of(chunks).finish, len(way.asked)) == ("tool_calls", 1)


def test_a_piece_of_the_clients_call_counts_as_one() -> None:
    piece = ToolCallPiece("w", "weather", "{")
    chunks, way = both([piece, ToolCall("w", "weather", "{}"), *called(call())])
    assert piece in chunks
    assert len(way.asked) == 1


def test_at_the_limit_the_client_keeps_its_tools_and_ours_are_gone() -> None:
    way = Scripted(*[called(call())] * 3, said("Done."))
    Line(way, offer="always").talk(ask(tools=(WEATHER,)))
    assert [len(asked.tools) for asked in way.asked] == [2, 2, 2, 1]
    assert way.asked[-1].tool_choice is None


# Who takes no tools


def test_a_model_without_tools_is_asked_without_and_answers_as_ever() -> None:
    way = Scripted(said("About 20000."), lacks_tools=True)
    chunks = Line(way).talk()
    assert text_of(chunks) == "About 20000."
    assert way.asked[0].tools == ()
    assert end_of(chunks) == Done()


@pytest.mark.parametrize("error", [
    UpstreamRefusal("no such field"), UpstreamFailure("tools need --jinja", upstream_status=500),
    UpstreamFailure("No endpoints found that support Tool use", upstream_status=404),
    UpstreamFailure("error parsing tool call: raw='{', err=unexpected end of JSON input", upstream_status=500),
    UpstreamRefusal("too long: 900 in the messages, 100 in the functions", code="context_length_exceeded"),
])
@pytest.mark.parametrize("stream", [True, False])
def test_an_upstream_that_refuses_tools_is_asked_once_more_without(error: BackendError, stream: bool) -> None:
    way = Scripted([error], said("About 20000."))
    chunks = Line(way).talk(ask(stream=stream))
    assert text_of(chunks) == "About 20000."
    assert [len(asked.tools) for asked in way.asked] == [1, 0]
    assert isinstance(chunks[0], Started)
    assert chunks[0].failed == ()


@pytest.mark.parametrize(("error", "is_known"), [
    *((UpstreamFailure(told, upstream_status=500), True) for told in (
        "tools param requires --jinja flag", "No endpoints found that support tool use",
        "node:4b does not support tools", "Function calling is not enabled for this model",
    )),
    *((UpstreamRefusal(told), True) for told in (
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
        "tools is not supported in this model.", "`tool calling` is not supported with this model",
        "Functions are not supported for this API version", "m does not support Function Calling",
    )),
    (UpstreamRefusal("no such field"), False), (UpstreamRefusal("tools[0].function.name is too long"), False),
    (UpstreamFailure("error parsing tool call: raw='It does not support tools'", upstream_status=500), False),
    (UpstreamFailure("the function crashed", upstream_status=200), False),
    (UpstreamRefusal("100 in the functions, does not support tools", code="context_length_exceeded"), False),
])
def test_one_that_says_it_takes_no_tools_is_offered_none_again(error: BackendError, is_known: bool) -> None:
    way = Scripted([error], said("About 20000."))
    line = Line(way)
    for _ in range(2):
        line.talk()
    assert [len(asked.tools) for asked in way.asked] == [1, 0, 0 if is_known else 1]


def test_one_that_asks_to_be_left_alone_is_not_asked_again_at_once() -> None:
    way = Scripted([UpstreamFailure("function quota", upstream_status=429, retry_after_s=30)], said("x"))
    spare = Scripted(said("y"))
    assert text_of(Line(way, spare).talk()) == "y"
    assert (len(way.asked), len(spare.asked)) == (1, 1)


def test_a_request_that_is_wrong_without_them_too_is_refused_as_ever() -> None:
    way = Scripted([UpstreamRefusal("bad temperature")])
    with pytest.raises(UpstreamRefusal, match="bad temperature"):
        Line(way).talk()
    assert len(way.asked) == 2


def test_the_clients_own_tools_stay_when_ours_are_refused() -> None:
    way = Scripted([UpstreamRefusal("too many tools")], said("x"))
    Line(way, offer="always").talk(ask(tools=(WEATHER,)))
    assert way.asked[1].tools == (WEATHER,)


def test_who_fails_without_naming_tools_is_left_for_the_next_who_gets_them_too() -> None:
    dead, way = Scripted([UpstreamFailure("boom", upstream_status=500)]), Scripted(called(call()), said("20073.9"))
    chunks = Line(dead, way).talk()
    assert (len(dead.asked), len(way.asked)) == (1, 2)
    assert isinstance(chunks[0], Started)
    assert (chunks[0].expert, chunks[0].failed) == ("e2", ("e1",))
    assert text_of(chunks) == "20073.9"


def test_failover_to_one_that_takes_none_is_silent() -> None:
    dead, plain = Scripted([UpstreamFailure("boom", upstream_status=500)]), Scripted(said("Hm."), lacks_tools=True)
    assert text_of(Line(dead, plain).talk()) == "Hm."


# What breaks on the way


@pytest.mark.parametrize("stream", [True, False])
def test_who_fails_before_a_word_of_a_later_round_is_replaced_and_the_results_are_kept(stream: bool) -> None:
    first = Scripted(called(call()), [UpstreamFailure("boom", upstream_status=500)])
    second = Scripted(said("It is 20073.9."))
    chunks = Line(first, second).talk(ask(stream=stream))
    assert text_of(chunks) == "It is 20073.9."
    started = [chunk for chunk in chunks if isinstance(chunk, Started)]
    assert [each.expert for each in started] == (["e1", "e2"] if stream else ["e2"])
    assert started[-1].failed == ("e1",)
    (asked,) = second.asked
    assert not asked.has_tools
    question, facts = asked.messages[-1].parts
    assert question == Text(SUM)
    assert isinstance(facts, Extract)
    assert '"result":"20073.9"' in facts.text
    assert end_of(chunks).tools == ("calculate",)


def test_a_stream_that_is_cut_in_a_later_round_ends_with_the_error() -> None:
    way = Scripted(called(call()), [Text("It is"), BrokenStream()])
    spare = Scripted(said("never"))
    heard: list[Chunk] = []
    with pytest.raises(BrokenStream):
        for chunk in Line(way, spare).start(ask()):
            heard.append(chunk)
    assert (text_of(heard), spare.asked) == ("It is", [])


def test_whoever_waits_for_the_whole_gets_it_from_another_then() -> None:
    way, spare = Scripted(called(call()), [Text("It is"), BrokenStream()]), Scripted(said("It is 20073.9."))
    assert text_of(Line(way, spare).talk(ask(stream=False))) == "It is 20073.9."


def test_whoever_said_all_beside_the_call_need_not_say_more() -> None:
    way = Scripted([Text("It is 20073.9."), *called(call())], said())
    chunks = Line(way, Scripted(said("never"))).talk()
    assert (text_of(chunks), end_of(chunks).finish) == ("It is 20073.9.", "stop")


def test_an_empty_end_without_a_word_before_is_no_answer() -> None:
    way, spare = Scripted(called(call()), said()), Scripted(said("It is 20073.9."))
    assert text_of(Line(way, spare).talk()) == "It is 20073.9."


def test_a_call_that_a_filter_stopped_is_not_made() -> None:
    way = Scripted([call(), Done(finish="content_filter")])
    chunks = Line(way).talk()
    assert (len(way.asked), end_of(chunks).finish, end_of(chunks).tools) == (1, "content_filter", ())


def test_nobody_can_change_the_tools_for_the_next_request() -> None:
    way = Scripted(said("x"))
    line = Line(way)
    line.talk()
    way.asked[0].tools[0]["function"]["parameters"].clear()
    line.talk()
    assert way.asked[1].tools[0]["function"]["parameters"]


def test_when_nobody_can_go_on_that_is_an_error() -> None:
    way = Scripted(called(call()), [UpstreamFailure("boom", upstream_status=500)])
    line = Line(way)
    decision = line.decide(virtual=False, stage="explicit")
    with pytest.raises(Unanswered):
        list(line.loop.run(line.loop.offer(ask(), decision), decision, request_id="r1"))


def test_nothing_but_calls_is_no_answer_whoever_gives_it() -> None:
    line = Line(Scripted(called(call())))
    decision = line.decide(virtual=False, stage="explicit")
    with pytest.raises(BadAnswer, match="nothing but calls") as caught:
        list(line.loop.run(line.loop.offer(ask(), decision), decision, request_id="r1"))
    assert "e1: nothing but calls" in caught.value.reason


def silent() -> list[Chunk | BackendError]:
    return [TimedOut("silent")]


@pytest.mark.parametrize("error", [TimedOut("silent"), UpstreamFailure("x", upstream_status=503),
                                   UpstreamFailure("x", upstream_status=429, retry_after_s=9), BrokenStream()])
@pytest.mark.parametrize("virtual", [True, False])
def test_who_has_just_failed_is_not_waited_for_again(error: BackendError, virtual: bool) -> None:
    first, second = Scripted(called(call()), [error]), Scripted(said("It is 20073.9."))
    line = Line(first, second)
    decision = line.decide(virtual=virtual, stage="explicit")
    chunks = list(line.loop.run(line.loop.offer(ask(), decision), decision, request_id="r1"))
    assert (text_of(chunks), len(first.asked)) == ("It is 20073.9.", 2)
    assert [chunk.failed for chunk in chunks if isinstance(chunk, Started)] == [(), ("e1",)]


def test_neither_is_who_was_silent_in_the_beginning() -> None:
    dead, way = Scripted(silent()), Scripted(called(call()), silent())
    spare = Scripted(said("It is 20073.9."))
    assert text_of(Line(dead, way, spare).talk()) == "It is 20073.9."
    assert (len(dead.asked), len(way.asked)) == (1, 2)


def test_one_that_takes_no_results_is_asked_without_them() -> None:
    way = Scripted(called(call()), [UpstreamRefusal("no role tool")], said("It is 20073.9."))
    assert text_of(Line(way, Scripted(said("never"))).talk()) == "It is 20073.9."


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("thoughts", [(), (Thinking("Hm."),)])
def test_after_one_that_calls_for_ever_comes_the_next(stream: bool, thoughts: tuple[Thinking, ...]) -> None:
    way, spare = Scripted([*thoughts, *called(call())]), Scripted(said("It is 20073.9."))
    chunks = Line(way, spare).talk(ask(stream=stream))
    assert text_of(chunks) == "It is 20073.9."
    assert "20073.9" in spare.asked[0].messages[-1].text
    assert [chunk.expert for chunk in chunks if isinstance(chunk, Started)][-1] == "e2"


def test_whom_nobody_can_follow_is_complained_of() -> None:
    chunks = Line(Scripted(called(call()))).talk()
    assert "nothing but calls" in text_of(chunks)  # the built-in answer says what happened


@pytest.mark.parametrize("stream", [True, False])
def test_no_client_without_tools_gets_a_call(stream: bool) -> None:
    piece = ToolCallPiece("call_1", "calculate", "{")
    way, spare = Scripted([piece, *called(call())]), Scripted(said("Rome."))
    assert text_of(Line(way, spare).talk(ask("Tell me about Rome.", stream=stream))) == "Rome."
    chunks = Line(Scripted([Text("Rome."), *called(call())])).talk(ask("Tell me about Rome.", stream=stream))
    assert [type(chunk) for chunk in chunks] == [Started, Text, Done]
    assert end_of(chunks).finish == "stop"


def test_a_stand_in_goes_on_by_itself() -> None:
    dead, way = Scripted([UpstreamFailure("x", upstream_status=500)]), Scripted(called(call()), called(call("1+1")),
                                                                               said("Done."))
    assert text_of(Line(dead, way).talk()) == "Done."
    assert (len(dead.asked), len(way.asked)) == (1, 3)


def test_closing_ends_the_round_under_way() -> None:
    way = Scripted(called(call()), [Text("a"), Text("b"), Done()])
    chunks = Line(way).start(ask())
    for chunk in chunks:
        if isinstance(chunk, Text):
            break
    assert way.closed == 1
    chunks.close()
    assert way.closed == 2


def test_a_filter_or_a_refusal_ends_the_answer() -> None:
    way = Scripted(called(call()), [Refusal("No."), Done(finish="content_filter")])
    chunks = Line(way).talk()
    assert end_of(chunks).finish == "content_filter"
    assert text_of(chunks) == "No."


def test_what_no_upstream_counts_is_estimated_for_all_rounds() -> None:
    way = Scripted(called(call()), said("It is 20073.9.", usage=Usage(prompt_tokens=30, completion_tokens=5)))
    usage = end_of(Line(way).talk()).usage
    assert usage is not None
    assert usage.estimated
    assert usage.prompt_tokens > 30
    assert usage.completion_tokens > 5


# A model in this process


@tool("test")
def get_weather(city: str, *, setting: Setting) -> Outcome:
    """The weather in a city

    city: its name
    """
    return Outcome(result="sunny", text=f"It is sunny in {city}.")


def test_a_local_model_calls_through_its_template_and_reads_what_comes_back() -> None:
    """It was taught this very tool, and what to say after its result."""
    pytest.importorskip("llama_cpp", reason="the set `local` is not installed")
    shelf = Shelf(MemoryConfig())
    expert = Expert(id=1, label="local", type="local", format="gguf", model_path="general.gguf")
    toolbox = Toolbox([get_weather], Setting())
    recogniser = Recogniser(toolbox, readers=(), finders=(), cues={"get_weather": re.compile("weather")})
    line = Line(Gguf(expert, EngineConfig(), shelf, MODELS), toolkit=Toolkit(toolbox, recogniser))
    chunks = line.talk(ask("What is the weather in Paris?", sampling=Sampling(temperature=0)))
    shelf.close()
    assert thoughts_of(chunks) == 'get_weather(city="Paris") → sunny\n'
    assert end_of(chunks).tools == ("get_weather",)
    assert text_of(chunks).startswith("It is sunn")  # it was taught the bare word, not our JSON around it
