"""Answers kept to their mode on the way: what is changed, what is asked for once more, and what is left alone."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import pytest
from msgspec import structs

from moe.config.schema import PipelineConfig
from moe.core import (
    ChatRequest,
    Chunk,
    Completion,
    Done,
    Extract,
    Heartbeat,
    Message,
    Refusal,
    Sampling,
    Started,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
    ToolCallPiece,
    Usage,
)
from moe.errors import BackendError, UpstreamFailure
from moe.pipeline.asking import Asking, Chunks
from moe.pipeline.modes.concise import MOST_WORDS
from moe.pipeline.modes.keeping import keep
from moe.pipeline.modes.known import MODES, Mode
from moe.pipeline.modes.report import SECTIONS, SOURCES, missing_sections
from moe.pipeline.modes.sources import NONE, UNCITED, Source
from moe.pipeline.modes.words import count_words
from moe.trace import Record, Span, Trace

from ..test_toolloop import Line, Scripted, ask, said

BY_NAME = {mode.name: mode for mode in MODES.values()}
LONG = "This is one sentence of eight words, truly. " * 25
REPORT = "# Tea\n\n" + "\n\n".join(f"## {section.names['en']}\n\nWords." for section in SECTIONS[1:-1])
FAILURE = UpstreamFailure("no", upstream_status=500)
NOTE = "\n\nAsk a doctor about it, as this is no advice."
WHO = Started(expert="e1", model="e1:4b")


class Rig:
    """One answer that is there, and models behind it that may be asked for more."""

    def __init__(self, *steps: Iterable[Chunk | BackendError], shows: bool = False, **limits: Any) -> None:
        self.way = Scripted(*map(tuple, steps))
        self.line = Line(self.way)
        self.records: list[Record] = []
        self.trace = Trace("r1", keeps_text=True, on_end=self.records.append)
        self.asking = Asking(self.line.loop, request_id="r1", trace=self.trace, limits=PipelineConfig(**limits),
                             shows=shows)

    def keep(self, name: str, chunks: Iterable[Chunk], request: ChatRequest | None = None, **how: Any) -> list[Chunk]:
        mode: Mode = BY_NAME[name]  # type: ignore[index]
        kept = keep(stream(chunks), mode, request or ask("How is tea made?"), self.asking, self.line.decide(), **how)
        return list(kept)

    def text(self, name: str, *texts: str, finish: Any = "stop", **how: Any) -> str:
        return text_of(self.keep(name, [WHO, *said(*texts, finish=finish)], **how))

    @property
    def span(self) -> Span | None:
        self.trace.end(Done())
        return next((span for span in self.records[0].spans if span.name.startswith("mode ")), None)


def stream(chunks: Iterable[Chunk]) -> Chunks:
    yield from chunks


def text_of(chunks: Iterable[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))


def with_odds(*tokens: str) -> list[Text]:
    return [Text(token, (TokenLogprob(token, -0.5),)) for token in tokens]


def odds_of(chunks: Iterable[Chunk]) -> list[str]:
    return [entry.token for chunk in chunks if isinstance(chunk, Text) for entry in chunk.logprobs]


def once(text: str) -> str:
    return "" if "Ask a doctor" in text else NOTE


# What is left alone


@pytest.mark.parametrize("name", ["standard", "agent"])
def test_two_modes_give_the_same_chunks_back(name: str) -> None:
    rig = Rig()
    chunks = stream([WHO])
    assert keep(chunks, BY_NAME[name], ask(), rig.asking, rig.line.decide()) is chunks  # type: ignore[index]


@pytest.mark.parametrize("request_", [
    ask(format="json"), ask(format={"type": "object"}), ask(completion=Completion(prompt="def f(", suffix=")")),
    ask(completion=Completion(prompt="def f(", raw=True)),
    ask("### Task:\nGenerate a concise, 3-5 word title"),
], ids=["json", "schema", "gap", "raw", "chore"])
@pytest.mark.parametrize("name", ["code", "concise", "research", "report", "plan"])
def test_what_a_program_reads_is_left_alone(name: str, request_: ChatRequest) -> None:
    rig = Rig()
    chunks = stream([WHO])
    assert keep(chunks, BY_NAME[name], request_, rig.asking, rig.line.decide()) is chunks  # type: ignore[index]


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("finish", ["stop", "length", "content_filter"])
def test_a_refusal_passes_as_it_is(name: str, finish: Any) -> None:
    rig = Rig()
    chunks = rig.keep(MODES[name].name, [WHO, Text("Well. "), Refusal("I will not. " * 70), Done(finish=finish)])
    assert [chunk for chunk in chunks if isinstance(chunk, Refusal)] == [Refusal("I will not. " * 70)]
    assert text_of(chunks) == "Well. " + "I will not. " * 70
    assert not rig.way.asked


@pytest.mark.parametrize("name", MODES)
def test_a_filtered_answer_passes_as_it_is(name: str) -> None:
    rig = Rig()
    assert rig.text(MODES[name].name, LONG, finish="content_filter") == LONG
    assert not rig.way.asked


@pytest.mark.parametrize("name", MODES)
def test_that_nobody_can_answer_is_no_answer(name: str) -> None:
    rig = Rig()
    chunks = rig.keep(MODES[name].name, [Started(expert="builtin", model="builtin"), *said("- " + LONG)])
    assert text_of(chunks) == "- " + LONG
    assert not rig.way.asked


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("finish", ["load", "unload"])
def test_where_nothing_was_asked_nothing_is_said(name: str, finish: Any) -> None:
    rig = Rig()
    assert rig.keep(MODES[name].name, [WHO, Done(finish=finish)]) == [WHO, Done(finish=finish)]
    assert rig.span is None


@pytest.mark.parametrize("name", MODES)
def test_all_but_text_is_passed_on_in_its_order_and_done_comes_last(name: str) -> None:
    call, piece = ToolCall("1", "look", "{}"), ToolCallPiece("1", "look", "{")
    done = Done(finish="tool_calls")
    chunks = Rig().keep(MODES[name].name, [Heartbeat(), WHO, Thinking("hm"), piece, call, done])
    assert chunks == [Heartbeat(), WHO, Thinking("hm"), piece, call, done]


@pytest.mark.parametrize(("name", "shown"), [
    ("code", ""), ("concise", "- I look"), ("research", "- I look"), ("report", "- I look"), ("plan", "- I look")])
def test_words_before_a_call_are_not_the_answer_and_stand_before_it(name: str, shown: str) -> None:
    rig = Rig()
    chunks = rig.keep(name, [WHO, Text("- I "), Text("look"), ToolCall("1", "look"), Done(finish="tool_calls")])
    assert text_of(chunks) == shown
    places = [place for place, chunk in enumerate(chunks) if isinstance(chunk, Text)]
    assert not places or max(places) < chunks.index(ToolCall("1", "look"))
    assert not rig.way.asked


@pytest.mark.parametrize("name", MODES)
def test_whoever_speaks_is_closed(name: str) -> None:
    closed = []

    def speak() -> Chunks:
        try:
            yield WHO
            yield from said("one", "two")
        finally:
            closed.append(True)

    rig = Rig()
    chunks = keep(speak(), MODES[name], ask(), rig.asking, rig.line.decide())
    next(chunks)
    chunks.close()
    assert closed == [True]


# What each wants


def test_code_comes_without_the_words_around_it_and_as_it_comes() -> None:
    chunks = Rig().keep("code", [WHO, *said("Sure:\n", "```py\n", "x = 1\n", "y = 2\n", "```\n", "There.")])
    assert text_of(chunks) == "```py\nx = 1\ny = 2\n```"
    assert sum(isinstance(chunk, Text) for chunk in chunks) > 2


def test_code_has_no_fence_where_the_client_has_no_markdown() -> None:
    request = ask("a loop", verb="generate")
    assert Rig().text("code", "Sure:\n```py\nx\n```", request=request) == "x"
    assert Rig().text("code", "Sure:\n```py\nx\n```", request=ask("a loop", verb="chat")) == "```py\nx\n```"


def test_what_has_no_code_says_so_in_the_trace() -> None:
    rig = Rig()
    assert rig.text("code", "Which language?") == "Which language?"
    assert rig.span is not None
    assert (rig.span.stage, rig.span.name, rig.span.reason, rig.span.model) == (
        "merger", "mode code", "there is no code in it", "")


YAML = "services:\n  web:\n    image: nginx"
TOLD = f"Here is the file:\n\n{YAML}\n\nStart it with care."


def test_code_that_no_block_holds_is_asked_for_once() -> None:
    rig = Rig(said("Sure:\n```yaml\n", YAML, "\n```"), shows=True)
    chunks = rig.keep("code", [WHO, *said(*TOLD)])
    assert [chunk.text for chunk in chunks if isinstance(chunk, Thinking)] == [
        "· merger: no block of code, asked for one\n"]
    assert rig.way.asked[0].messages[-2].text == TOLD
    assert text_of(chunks) == f"```yaml\n{YAML}\n```"
    assert rig.span is not None
    assert rig.span.reason == "asked for its code in a block"


@pytest.mark.parametrize("step", [
    [FAILURE], said("-"), said("I'm sorry, but I can't."), said("```yaml\n", YAML), said("```\nls\n```"),
    said("```yaml\nservices:\n  # the rest is as before\n```"),
], ids=["failure", "nothing", "refusal", "cut", "other", "less"])
def test_what_does_not_give_that_code_is_not_taken(step: list[Any]) -> None:
    rig = Rig(step)
    assert rig.text("code", TOLD) == TOLD
    assert rig.span is not None
    assert rig.span.reason.endswith("there is no code in it")


@pytest.mark.parametrize("answer", [
    "Which language?", "x = 1\ny = 2", "I'm sorry, but I can't help with that.\n\nNot with this\nNor with that",
    "Here:\n\ndef f(x):\n    return x\n\nThat was it, I think.", "1. Open the menu.\n2. Choose Save\n3. Leave",
    "| a | b |\n|---|---|\n| 1 | 2 |", "```yaml\n```",
])
def test_where_no_code_is_hidden_nobody_is_asked(answer: str) -> None:
    rig = Rig()
    rig.text("code", answer)
    assert not rig.way.asked


def test_code_goes_on_in_the_block_that_was_begun() -> None:
    turns = (Message("user", (Text("Go"),)), Message("assistant", (Text("```py\ndef f():"),)))
    request = structs.replace(ask(), messages=turns)
    assert Rig().text("code", "\n    return 1\n``", "`\nDone.", request=request) == "\n    return 1\n```"


@pytest.mark.parametrize(("question", "language"), [
    ("How is tea made?", "en"), ("Wie wird der Tee gemacht?", "de"), ("¿Cómo se hace el té?", "es"),
    ("Comment est-ce que le thé est fait dans la Chine ?", "en"), ("Come si fa il tè nella Cina e perché?", "en"),
    ("Como é que se faz o chá em casa? Não sei.", "en"), ("茶是怎么做的？", "en")])
def test_research_without_sources_says_so_in_the_users_language(question: str, language: Any) -> None:
    rig = Rig()
    text = rig.text("research", "Hot [1", "].", request=ask("Who?", question))
    assert text == f"Hot [1].\n\n*{NONE[language]} {UNCITED[language]}*"
    assert rig.span is not None
    assert rig.span.reason == "it had no sources"


@pytest.mark.parametrize(("earlier", "language"), [
    ("Wie wird der Tee gemacht?", "de"), ("¿Cómo se hace el té?", "es"), ("How is the tea made?", "en")])
@pytest.mark.parametrize("newest", ["ok", "weiter", "1", "sigue"])
def test_where_the_newest_text_is_too_short_earlier_ones_tell_the_language(
    earlier: str, language: Any, newest: str
) -> None:
    assert Rig().text("research", "Hot.", request=ask(earlier, newest)) == f"Hot.\n\n*{NONE[language]}*"


def test_research_knows_what_came_with_the_request() -> None:
    request = ask("Source 1: On tea and water, https://tea.example\n\nHow is tea made?")
    listed = "## Sources\n\n1. On tea and water, https://tea.example"
    assert Rig().text("research", "Hot [1].", request=request) == f"Hot [1].\n\n{listed}"
    assert Rig().text("report", f"{REPORT} [1]", request=request) == f"{REPORT} [1]\n\n{listed}"
    question = Message("user", (Text("How is tea made?"), Extract("Tea is hot.")))
    for name, answer in (("research", "Hot [1]."), ("report", f"{REPORT} [1]")):
        assert Rig().text(name, answer, request=structs.replace(request, messages=(question,))) == answer


def test_research_lists_what_it_was_given() -> None:
    text = Rig().text("research", "Hot [1].", sources=(Source("On tea", "https://tea.example"),))
    assert text == "Hot [1].\n\n## Sources\n\n1. [On tea](<https://tea.example>)"


def test_a_list_gets_numbers() -> None:
    rig = Rig()
    assert rig.text("plan", "- Boil\n", "- Pour") == "1. Boil\n2. Pour"
    assert rig.span is not None
    assert rig.span.reason == "its list got numbers"
    assert not rig.way.asked


@pytest.mark.parametrize("name", ["code", "research", "report", "plan"])
def test_an_answer_that_is_as_it_should_be_streams(name: str) -> None:
    """Half of it is seen before the other half is there."""
    answer = {"code": "```py\n" + "x = 1\n" * 20 + "```", "research": "Hot water.\n" * 20, "report": REPORT,
              "plan": "1. Do it.\n" * 20}[name]
    seen: list[str] = []
    half = -1

    def speak() -> Chunks:
        nonlocal half
        yield WHO
        for place, letter in enumerate(answer):
            yield Text(letter)
            if place == len(answer) // 2:
                half = len("".join(seen))
        yield Done()

    rig = Rig()
    for chunk in keep(speak(), BY_NAME[name], ask(), rig.asking, rig.line.decide()):  # type: ignore[index]
        seen += [chunk.text] if isinstance(chunk, Text) else []
    assert half > len(answer) // 2 - 40
    assert not rig.way.asked


# Asked once more


def test_a_long_answer_is_asked_for_once_in_fewer_words() -> None:
    rig = Rig(said("Boil it. ", "Pour it. " * 15), shows=True)
    chunks = rig.keep("concise", [WHO, *said(*LONG.split("a"))])
    assert text_of(chunks) == ("Boil it. " + "Pour it. " * 15).strip()
    assert [chunk.text for chunk in chunks if isinstance(chunk, Thinking)] == [
        f"· merger: 200 words, asked for {MOST_WORDS}\n"]
    (asked,) = rig.way.asked
    assert [message.role for message in asked.messages] == ["system", "user", "assistant", "user"]
    assert BY_NAME["concise"].note in asked.messages[0].text
    assert asked.model == "e1:4b"
    assert "200 words" in asked.messages[-1].text
    assert rig.span is not None
    assert rig.span.reason == f"200 words, asked for {MOST_WORDS}"
    assert [(span.stage, span.model) for span in rig.records[0].spans if span.model] == [("merger", "e1:4b")]


def test_what_is_long_again_is_cut_at_a_sentence() -> None:
    rig = Rig(said("Another sentence that has eight words in it. " * 20))
    text = rig.text("concise", LONG)
    assert text == ("Another sentence that has eight words in it. " * 15).strip()
    assert count_words(text) == MOST_WORDS
    assert len(rig.way.asked) == 1
    assert rig.span is not None
    assert "cut at the end of a sentence (160 words to 120)" in rig.span.reason


@pytest.mark.parametrize("step", [said("longer still. " * 200), said("…"), [FAILURE], said("ok"),
                                  said("I'm sorry, but I can't help with that. " * 5)],
                         ids=["longer", "nothing", "failure", "ok", "refusal"])
def test_what_is_no_help_is_not_taken(step: list[Any]) -> None:
    text = Rig(step).text("concise", LONG)
    assert text == ("This is one sentence of eight words, truly. " * 15).strip()


def test_where_no_call_is_left_it_is_cut_at_once() -> None:
    rig = Rig(said("Short."), max_calls=1)
    rig.trace.add(Span(stage="workers", model="m", started_ms=0, ended_ms=0))
    assert rig.text("concise", LONG) == ("This is one sentence of eight words, truly. " * 15).strip()
    assert not rig.way.asked
    assert rig.span is not None
    assert "nobody could be asked again: 1 call is the most" in rig.span.reason


def test_where_nobody_may_be_asked_nobody_is() -> None:
    rig = Rig(said("Short."))
    sentences = "This is one sentence of eight words, truly. "
    assert rig.text("concise", LONG, may_ask=False) == (sentences * 15).strip()
    assert rig.text("concise", sentences * 15, may_ask=False, follow=once) == (sentences * 13).strip() + NOTE
    assert rig.text("concise", (sentences * 13).strip() + NOTE, may_ask=False, follow=once) == (
        (sentences * 13).strip() + NOTE)
    assert "no section on" in rig.text("report", "# Tea\n\nHot.", may_ask=False)
    assert rig.text("plan", "Tea.", may_ask=False) == "Tea."
    assert not rig.way.asked


def test_a_short_answer_is_given_as_it_is_and_nobody_is_asked() -> None:
    rig = Rig()
    chunks = rig.keep("concise", [WHO, *with_odds("Boil ", "it", "."), Done(finish="length")])
    assert text_of(chunks) == "Boil it."
    assert odds_of(chunks) == ["Boil ", "it", "."]
    assert chunks[-1] == Done(finish="length")
    assert sum(isinstance(chunk, Heartbeat) for chunk in chunks) == 3
    assert rig.span is None


def test_a_report_gets_the_sections_it_has_not() -> None:
    head, _, _ = REPORT.partition("## Analysis")
    rig = Rig(said("## Analysis\n\nWarm.\n\n", "## Conclusion\n\nGood."))
    text = rig.text("report", head.rstrip(), finish="stop")
    assert text.startswith(head.rstrip() + "\n\n## Analysis\n\nWarm.\n\n## Conclusion\n\nGood.\n\n## Sources")
    assert missing_sections(text) == ()
    (asked,) = rig.way.asked
    assert "Analysis, Conclusion" in asked.messages[-1].text
    assert asked.messages[-2].text == head.rstrip()


def test_what_is_added_keeps_to_the_clients_limit() -> None:
    head, _, _ = REPORT.partition("## Analysis")
    done = Done(usage=Usage(completion_tokens=40))
    for limit, left in ((100, 60), (41, 1), (30, 1), (None, None)):
        rig = Rig(said("## Analysis\n\nWarm", finish="length" if limit else "stop"))
        request = ask("Report on tea", sampling=Sampling(max_tokens=limit))
        chunks = rig.keep("report", [WHO, Text(head), done], request)
        assert rig.way.asked[0].sampling.max_tokens == left
        assert chunks[-1] == structs.replace(done, finish="length" if limit else "stop")


def test_where_the_client_said_what_ends_it_nothing_is_added() -> None:
    rig = Rig()
    chunks = rig.keep("report", [WHO, Text("# Tea\n\nHot."), Done(stop_sequence="###")])
    assert "no section on" in text_of(chunks)
    assert text_of(rig.keep("plan", [WHO, Text("Tea."), Done(stop_sequence="###")])) == "Tea."
    assert not rig.way.asked


def test_a_report_that_is_whole_costs_one_call() -> None:
    rig = Rig()
    text = rig.text("report", REPORT)
    assert text == f"{REPORT}\n\n## Sources\n\n*{NONE['en']}*"
    assert not rig.way.asked


@pytest.mark.parametrize("step", [
    [FAILURE], said("I'm sorry, but I can't."), said("# Tea\n\nHot."), said("What else?")])
def test_what_a_report_lacks_in_the_end_is_named(step: list[Any]) -> None:
    rig = Rig(step)
    text = rig.text("report", "# Tea\n\nHot.")
    assert text.startswith("# Tea\n\nHot.\n\n*This")
    assert "This report has no section on: Executive Summary, Background, " in text
    assert SOURCES.names["en"] in text
    assert rig.span is not None
    assert "these sections are missing (Executive Summary, " in rig.span.reason


def test_of_a_whole_report_that_comes_again_only_what_is_missing_is_taken() -> None:
    head, _, rest = REPORT.partition("## Analysis")
    text = Rig(said(f"Sure!\n\n{REPORT}")).text("report", head.rstrip())
    assert text == f"{head.rstrip()}\n\n## Analysis{rest}\n\n## Sources\n\n*{NONE['en']}*"


def test_a_block_left_open_ends_before_the_sections_that_are_added() -> None:
    head, _, rest = REPORT.partition("## Analysis")
    text = Rig(said(f"## Analysis{rest}")).text("report", f"{head}```py\nx = 1")
    assert text == f"{head}```py\nx = 1\n```\n\n## Analysis{rest}\n\n## Sources\n\n*{NONE['en']}*"
    assert missing_sections(text) == ()


def test_to_a_report_whose_second_part_was_cut_nothing_is_noted() -> None:
    head, _, _ = REPORT.partition("## Analysis")
    rig = Rig([Text("## Analysis\n\nHot wa"), Done(finish="length")])
    assert rig.text("report", head.rstrip()) == f"{head.rstrip()}\n\n## Analysis\n\nHot wa"


@pytest.mark.parametrize("text", ["Hello! What shall I report on?", "I'm sorry, but I can't help with that."])
def test_what_is_no_report_is_not_asked_again(text: str) -> None:
    rig = Rig()
    assert "no section on" not in rig.text("report", text)
    assert not rig.way.asked


def test_to_a_report_that_was_cut_nothing_is_added() -> None:
    rig = Rig()
    assert rig.text("report", "# Tea\n\nHot", " wa", finish="length") == "# Tea\n\nHot wa"
    assert not rig.way.asked


@pytest.mark.parametrize("step", [said(""), [FAILURE], said("I'm sorry, but I can't.")])
def test_a_plan_whose_steps_cannot_be_had_is_as_it_was(step: list[Any]) -> None:
    assert Rig(step).text("plan", IN_WORDS) == IN_WORDS


def test_a_question_back_is_not_asked_for_steps() -> None:
    rig = Rig()
    assert rig.text("plan", "Which tea do you mean?\n- green\n- black") == "Which tea do you mean?\n- green\n- black"
    assert not rig.way.asked


def test_who_went_on_with_a_turn_is_asked_again_after_the_whole_of_it() -> None:
    rig = Rig(said("Boil it. " * 20))
    request = ask("How is tea made?")
    begun = structs.replace(request, messages=(*request.messages, Message("assistant", (Text("Well, "),))))
    rig.keep("concise", [WHO, *said(LONG)], begun)
    (asked,) = rig.way.asked
    assert [message.role for message in asked.messages] == ["system", "user", "assistant", "user"]
    assert asked.messages[2].text == f"Well, {LONG}"


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_a_shorter_answer_ends_as_it_ends_itself(finish: Any) -> None:
    chunks = Rig(said("Boil it. " * 20, finish=finish)).keep("concise", [WHO, Text(LONG), Done(finish="length")])
    assert text_of(chunks) == ("Boil it. " * 20).strip()
    assert chunks[-1] == Done(finish=finish)
    chunks = Rig(said("ok")).keep("concise", [WHO, Text(LONG), Done(finish="length")])
    assert chunks[-1] == Done(finish="length")


def test_what_announces_the_shorter_answer_is_dropped() -> None:
    rig = Rig(said("Sure! Here is a shorter version:\n\n", "Boil it. " * 20))
    assert rig.text("concise", LONG) == ("Boil it. " * 20).strip()


IN_WORDS = "You boil the water, then you pour it over the leaves and wait until it has drawn. " * 5


def test_a_plan_without_steps_is_asked_for_them_once() -> None:
    rig = Rig(said("Sure, here are the steps:\n\n* Boil\n* Pour\n\nLet me know if you need more!"))
    assert rig.text("plan", IN_WORDS) == f"{IN_WORDS}\n\n1. Boil\n2. Pour"
    assert len(rig.way.asked) == 1
    rig = Rig(said("-"))
    assert rig.text("plan", IN_WORDS) == IN_WORDS
    assert rig.span is not None
    assert rig.span.reason == "asked for them; there are no steps in it"


@pytest.mark.parametrize("text", [
    "Hello! How can I help?", "You're welcome! Have a great trip.", "I'm sorry, but I can't help with that request.",
    f"{IN_WORDS}Which tea is it?"])
def test_what_is_no_plan_is_not_asked_for_steps(text: str) -> None:
    rig = Rig()
    assert rig.text("plan", text) == text
    assert not rig.way.asked


@pytest.mark.parametrize(("newest", "count"), [("What does it cost?", 0), ("Now plan the way back.", 1)])
def test_on_a_later_turn_steps_are_asked_for_where_a_plan_is(newest: str, count: int) -> None:
    rig = Rig(said("1. Boil"))
    turns = (Message("user", (Text("Plan it."),)), Message("assistant", (Text("1. Go."),)),
             Message("user", (Text(newest),)))
    rig.text("plan", IN_WORDS, request=structs.replace(ask(), messages=turns))
    assert len(rig.way.asked) == count


@pytest.mark.parametrize("last", [(), (Message("user", (Text("Rewrite the end."),)),)])
def test_a_report_on_a_later_turn_is_as_it_was_said(last: tuple[Message, ...]) -> None:
    rig = Rig()
    turns = (Message("user", (Text("Report on tea."),)), Message("assistant", (Text("# Tea"),)), *last)
    text = "## Conclusion\n\nHot [1]."
    assert rig.text("report", text, request=structs.replace(ask(), messages=turns)) == text
    assert not rig.way.asked


def test_who_answered_is_who_is_asked_again() -> None:
    """With the very model; where somebody else stood in, the one who was to, and his stand-ins."""
    rig = Rig(said("Short."))
    rig.keep("concise", [structs.replace(WHO, model="e1:70b"), *said(LONG)])
    assert rig.way.asked[0].model == "e1:70b"
    rig = Rig(said("Short."))
    rig.keep("concise", [Started(expert="other", model="big:70b"), *said(LONG)])
    assert rig.way.asked[0].model == "e1:4b"


def test_the_first_answer_is_over_before_a_second_is_asked_for() -> None:
    """A node may have room for one at a time."""
    rig = Rig(said("Short."))
    over: list[int] = []

    def speak() -> Chunks:
        yield WHO
        yield from said(LONG)
        over.append(len(rig.way.asked))

    text_of(keep(speak(), BY_NAME["concise"], ask(), rig.asking, rig.line.decide()))
    assert (over, len(rig.way.asked)) == ([0], 1)


# Log probabilities


def test_what_is_unchanged_keeps_its_log_probabilities() -> None:
    tokens = ("Hot ", "wa", "ter", " [", "x", "] ", "is ", "poured.")
    chunks = Rig().keep("research", [WHO, *with_odds(*tokens), Done()])
    assert odds_of(chunks) == list(tokens)
    tokens = ("1", ". Do\n", "2. Be")
    assert odds_of(Rig().keep("plan", [WHO, *with_odds(*tokens), Done()])) == list(tokens)


def test_of_changed_text_there_are_none() -> None:
    chunks = Rig(said("Hi.")).keep("concise", [WHO, *with_odds("Hi. " * 130), Done()])
    assert odds_of(chunks) == []
    tokens = ("```py\n", "x\n", "y\n", "```")
    assert odds_of(Rig().keep("code", [WHO, *with_odds(*tokens), Done()])) == list(tokens)
    chunks = Rig().keep("code", [WHO, *with_odds("Sure:\n", *tokens), Done()])
    assert text_of(chunks) == "```py\nx\ny\n```"
    assert odds_of(chunks) == []


def test_a_long_stream_with_odds_takes_time_by_its_length_only() -> None:
    pieces = with_odds(*(["[" * 5 + " `` word "] * 20_000))
    began = time.process_time()
    for name in ("research", "plan", "code", "concise"):
        Rig(said("x")).keep(name, [WHO, *pieces, Done()])
    assert time.process_time() - began < 20


# What follows, and what breaks off


@pytest.mark.parametrize(("name", "said_", "shown"), [
    ("research", "Hot.", f"Hot.\n\n*{NONE['en']}*{NOTE}"),
    ("report", REPORT, f"{REPORT}\n\n## Sources\n\n*{NONE['en']}*{NOTE}"),
    ("plan", "- Boil", f"1. Boil{NOTE}"), ("concise", "Boil it.", f"Boil it.{NOTE}"),
    ("concise", "Ask a doctor.", "Ask a doctor."),
])
def test_what_has_to_follow_stands_at_the_very_end(name: str, said_: str, shown: str) -> None:
    assert Rig().text(name, said_, follow=once) == shown


def test_a_concise_answer_leaves_room_for_it() -> None:
    rig = Rig(said("Another sentence that has eight words in it. " * 14))
    text = rig.text("concise", "This is one sentence of eight words, truly. " * 15, follow=once)
    assert text == ("Another sentence that has eight words in it. " * 13).strip() + NOTE
    assert count_words(text) <= MOST_WORDS
    assert "at most 110 words" in rig.way.asked[0].messages[-1].text
    own = ("This is one sentence of eight words, truly. " * 14) + "Ask a doctor."
    assert Rig().text("concise", own, follow=once) == own


@pytest.mark.parametrize("finish", ["length", "content_filter", "tool_calls"])
def test_nothing_follows_what_is_not_over(finish: Any) -> None:
    for name in ("concise", "research", "report", "plan"):
        assert NOTE not in Rig().text(name, "Boil it.", finish=finish, follow=once)


@pytest.mark.parametrize("name", ["code", "concise", "research", "report", "plan"])
def test_what_was_said_before_it_broke_off_is_seen(name: str) -> None:
    def speak() -> Chunks:
        yield WHO
        yield Text("- Boil")
        raise FAILURE

    seen: list[Chunk] = []
    rig = Rig()
    with pytest.raises(UpstreamFailure):
        for chunk in keep(speak(), BY_NAME[name], ask(), rig.asking, rig.line.decide()):  # type: ignore[index]
            seen.append(chunk)
    assert text_of(seen) == "- Boil"


@pytest.mark.parametrize("name", MODES)
def test_who_fails_before_anything_is_said_leaves_nothing(name: str) -> None:
    def speak() -> Chunks:
        yield Heartbeat()
        raise FAILURE

    rig = Rig()
    chunks = keep(speak(), MODES[name], ask(), rig.asking, rig.line.decide())
    assert next(chunks) == Heartbeat()
    with pytest.raises(UpstreamFailure):
        next(chunks)
