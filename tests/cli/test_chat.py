"""The conversation on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.house import CODE, HANG_S, MATHS, NEITHER, House
from tests.cli.tty import CTRL_C, CTRL_D, Tty
from tests.fakes import answer, cut, endless, http_error


@pytest.fixture
def tty(house: House) -> Iterator[Tty]:
    with Tty(env=house.env, cwd=house.folder) as terminal:
        terminal.wait_for("> ")
        yield terminal


def ask(tty: Tty, text: str) -> str:
    """Types a line; what is shown up to the next prompt."""
    tty.type(f"{text}\n")
    tty.wait_for(text)
    return tty.wait_for("> ").removesuffix("> ")


def sent_turns(house: House) -> list[list[tuple[str, str]]]:
    return [[(turn["role"], turn["content"]) for turn in sent.json["messages"]]
            for sent in house.ollama.requests_to("/api/chat")]


def test_each_answer_says_who_gives_it(house: House, tty: Tty) -> None:
    shown = ask(tty, MATHS)
    assert "math · phi4:14b · keyword " in shown
    assert shown.index("math · ") < shown.index(f"[phi4:14b] you said: {MATHS}")
    assert "código · devstral:24b · keyword " in ask(tty, CODE)
    house.ollama.script("phi4:14b", [http_error(500)])
    assert "fallback · gemma3:4b · keyword 50% · in place of math" in ask(tty, "another equation")


def test_the_conversation_is_sent_along_until_a_reset(house: House, tty: Tty) -> None:
    ask(tty, MATHS)
    ask(tty, "And its integral?")
    assert "forgotten" in ask(tty, "/reset")
    ask(tty, "Another derivative.")
    first, second, third = sent_turns(house)
    assert first == [("user", MATHS)]
    assert second == [("user", MATHS), ("assistant", f"[phi4:14b] you said: {MATHS}"), ("user", "And its integral?")]
    assert third == [("user", "Another derivative.")]


def test_an_expert_can_be_pinned_and_let_go(house: House, tty: Tty) -> None:
    tty.type("/expert maths\n")
    tty.wait_for("math answers from now on")
    tty.wait_for("math> ")
    assert "math · phi4:14b · explicit 100%" in ask(tty, CODE)
    tty.type("/expert gemma3:4b\n")
    tty.wait_for("gemma3:4b> ")
    assert "gemma3:4b · raw 100%" in ask(tty, CODE)
    assert "moe: model 'nope' not found" in ask(tty, "/expert nope")
    assert "gemma3:4b · raw 100%" in ask(tty, CODE)
    assert "the router chooses" in ask(tty, "/expert")
    assert "código · devstral:24b · keyword" in ask(tty, CODE)


def test_route_shows_the_decision_and_asks_no_model(house: House, tty: Tty) -> None:
    shown = ask(tty, f"/route {MATHS}")
    assert "math (phi4:14b): stage keyword, confidence " in shown
    assert "*  math" in shown
    assert not house.ollama.requests_to("/api/chat")
    assert "needs a text" in ask(tty, "/route")


def test_an_interrupt_stops_the_answer_and_not_the_program(house: House, tty: Tty) -> None:
    house.ollama.script("phi4:14b", [endless(interval_s=0.02), answer("Fine.")])
    tty.type(f"{MATHS}\n")
    tty.wait_for("on and on")
    tty.type(CTRL_C)
    tty.wait_for("stopped")
    tty.wait_for("> ")
    (sent,) = house.ollama.requests_to("/api/chat")
    sent.wait_until_over(HANG_S)
    assert sent.closed_early_at is not None
    assert "Fine." in ask(tty, "Another equation.")
    question, partly, _ = sent_turns(house)[1]
    assert question == ("user", MATHS)
    assert partly[0] == "assistant"
    assert partly[1].startswith("on and on")


def test_an_interrupt_before_the_first_word_stops_the_waiting(house: House, tty: Tty) -> None:
    house.ollama.script("phi4:14b", [answer("late", first_token_delay_s=HANG_S), answer("Fine.")])
    tty.type(f"{MATHS}\n")
    house.ollama.wait_for_requests(1, path="/api/chat", timeout_s=HANG_S)
    tty.type(CTRL_C)
    tty.wait_for("stopped")
    tty.wait_for("> ")
    assert "Fine." in ask(tty, "An integral.")
    assert sent_turns(house)[1] == [("user", "An integral.")]


def test_an_impatient_interrupt_is_no_more_than_one(house: House, tty: Tty) -> None:
    house.ollama.script("phi4:14b", [endless(interval_s=0.02), answer("Fine.")])
    tty.type(f"{MATHS}\n")
    tty.wait_for("on and on")
    for _ in range(5):
        tty.type(CTRL_C)
        time.sleep(0.01)
    tty.wait_for("> ")
    tty.interrupt("\n> ")
    assert tty.process.poll() is None
    tty.type("An integral.\n")
    tty.wait_for("Fine.")


def test_an_interrupt_at_the_prompt_drops_what_was_typed(house: House, tty: Tty) -> None:
    tty.type("half a promp")
    tty.wait_for("half a promp")
    tty.interrupt("\n> ")
    ask(tty, MATHS)
    assert sent_turns(house) == [[("user", MATHS)]]


def test_a_failed_prompt_is_told_and_forgotten(house: House, tty: Tty) -> None:
    house.ollama.script("phi4:14b", [cut(after=0, chunks=["x"]), cut(after=0, chunks=["x"]), answer("Fine.")])
    house.ollama.script("gemma3:4b", [http_error(500)])
    house.ollama.script("devstral:24b", [http_error(500)])
    ask(tty, "/expert math")
    tty.type(f"{MATHS}\n")
    tty.wait_for("moe: no expert could answer (math: ")
    tty.wait_for("> ")
    house.ollama.script("phi4:14b", [answer("Fine.")])
    tty.type("An integral.\n")
    tty.wait_for("Fine.")
    assert sent_turns(house)[-1] == [("user", "An integral.")]


def test_why_no_model_answers_is_shown_and_not_remembered(house: House, tty: Tty) -> None:
    house.ollama.stop()
    assert "No language model could answer" in ask(tty, MATHS)
    house.ollama.restart()
    while "[phi4:14b]" not in ask(tty, "An integral."):  # the breaker lets a probe through a little later
        continue
    assert sent_turns(house)[-1] == [("user", "An integral.")]


@pytest.mark.parametrize("way_out", [CTRL_D, "/quit\n", "/exit\n"])
def test_there_is_a_way_out(inside: House, way_out: str) -> None:
    with Tty(env=inside.env, cwd=inside.folder) as tty:
        tty.wait_for("> ")
        tty.type(way_out)
        assert tty.wait_for_end() == 0


def test_help_and_unknown_commands(inside: House) -> None:
    with Tty(env=inside.env, cwd=inside.folder) as tty:
        tty.wait_for("> ")
        shown = ask(tty, "/help")
        assert all(command in shown for command in ("/expert", "/route", "/reset", "/quit", "Ctrl-C"))
        assert "there is no command /expret" in ask(tty, "/expret math")
        ask(tty, "")
        assert not inside.ollama.requests_to("/api/chat")
        ask(tty, "/usr/bin is a folder")
        ask(tty, " /help me")
        assert [turns[-1][1] for turns in sent_turns(inside)] == ["/usr/bin is a folder", " /help me"]


def test_the_options_of_the_command_line_hold(inside: House) -> None:
    with Tty("--model", "math", "--system", "Be brief.", env=inside.env, cwd=inside.folder) as tty:
        tty.wait_for("math> ")
        ask(tty, NEITHER)
        ask(tty, "/reset")
        ask(tty, NEITHER)
    assert sent_turns(inside) == [[("system", "Be brief."), ("user", NEITHER)]] * 2


def test_lines_can_be_edited_and_called_back(inside: House) -> None:
    pytest.importorskip("readline")
    with Tty(env={**inside.env, "TERM": "xterm"}, cwd=inside.folder) as tty:
        tty.wait_for("> ")
        ask(tty, NEITHER)
        tty.type("\x1b[A\n")  # the arrow up
        tty.wait_for(NEITHER)
        tty.wait_for("you said:")
        tty.wait_for("> ")
    assert [turns[-1] for turns in sent_turns(inside)] == [("user", NEITHER)] * 2


@pytest.mark.parametrize(("variables", "is_dim"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_words_beside_the_answer_are_dim(inside: House, variables: dict[str, Any], is_dim: bool) -> None:
    with Tty("ask", MATHS, env={**inside.env, "TERM": "xterm", **variables}, cwd=inside.folder) as tty:
        assert tty.wait_for_end() == 0
        assert ("\x1b[2mmath" in tty.raw) is is_dim
        assert "math · phi4:14b" in tty.shown


def test_an_answer_cannot_act_on_the_terminal(inside: House) -> None:
    hostile = "\x1b]0;owned\x07 \x1b[2J \x9b31m \u202e ok\n\ttab"
    inside.ollama.script("phi4:14b", [answer(chunks=[hostile], thinking="\x1b[8mhidden")])
    with Tty("ask", MATHS, env=inside.env, cwd=inside.folder) as tty:
        assert tty.wait_for_end() == 0
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(tty.raw)
    assert "\ufffd]0;owned\ufffd" in tty.raw
    assert "ok\n\ttab" in tty.shown.replace("        ", "\t")


def test_thinking_is_shown_beside_the_answer_and_kept_out_of_it(inside: House) -> None:
    inside.ollama.script("phi4:14b", [answer("2x", thinking="Power rule.")])
    with Tty("ask", MATHS, env=inside.env, cwd=inside.folder) as tty:
        assert tty.wait_for_end() == 0
        assert "Power rule." in tty.shown
    assert inside.moe("ask", MATHS).stdout == "2x\n"
