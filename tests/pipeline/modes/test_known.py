"""The seven modes, by their names."""

from __future__ import annotations

import typing

import pytest
from hypothesis import given, settings

from moe.config.rules import ORCHESTRATORS
from moe.pipeline.modes.known import MODES, Mode, ModeName, enforce, find_mode, make_enforcer
from moe.pipeline.modes.sources import NONE, UNCITED, Source

from .cutting import check_cuts, cuts, texts

BY_NAME = {mode.name: mode for mode in MODES.values()}


def test_there_are_seven_under_their_names() -> None:
    assert list(MODES) == ["moe-orchestrator", *(f"moe-orchestrator-{name}" for name in
                           ("code", "concise", "research", "report", "agent", "plan"))]
    assert set(BY_NAME) == set(typing.get_args(ModeName))
    assert all(mode.model == name for name, mode in MODES.items())
    assert tuple(MODES) == ORCHESTRATORS


@pytest.mark.parametrize(("asked", "name"), [
    ("moe-orchestrator", "standard"), ("moe-orchestrator:latest", "standard"), ("MoE-Orchestrator-Code", "code"),
    (" moe-orchestrator-plan ", "plan"),
    ("library/moe-orchestrator-plan", "plan"), ("moe-orchestrator-code:7b", None), ("lemoe", None), ("", None),
    ("moe-orchestrator-", None),
])
def test_a_mode_is_found_by_its_model(asked: str, name: str | None) -> None:
    found = find_mode(asked)
    assert (found.name if found else None) == name


def test_only_concise_waits_for_the_end_and_only_agent_always_has_tools() -> None:
    assert {mode.name for mode in MODES.values() if not mode.is_streamed} == {"concise"}
    assert {mode.name for mode in MODES.values() if mode.offers_tools} == {"agent"}


def test_each_but_the_standard_has_a_short_note() -> None:
    assert BY_NAME["standard"].note == ""
    for mode in MODES.values():
        assert mode.name == "standard" or 80 < len(mode.note) < 600
        assert mode.name == "standard" or "user's language" in mode.note


@pytest.mark.parametrize("name", ["standard", "agent"])
def test_two_modes_change_nothing(name: ModeName) -> None:
    text = "Sure [7].\n\n- a\n\n```\nx\n```\n" + "word " * 200
    assert enforce(text, BY_NAME[name]) == text


def test_each_enforcer_has_what_it_needs() -> None:
    assert enforce("Hi.\n```py\nx\n```", BY_NAME["code"]) == "```py\nx\n```"
    assert enforce("Hi.\n```py\nx\n```", BY_NAME["code"], is_fenced=False) == "x"
    assert enforce("Hi [1].", BY_NAME["research"], language="es") == f"Hi [1].\n\n*{NONE['es']} {UNCITED['es']}*"
    assert enforce("Hi [1].", BY_NAME["research"], sources=(Source("T"),)) == "Hi [1].\n\n## Sources\n\n1. T"
    assert enforce("- Hi", BY_NAME["plan"]) == "1. Hi"
    assert enforce("Hi. " * 130, BY_NAME["concise"]) == ("Hi. " * 120).strip()
    assert "fehlen die Abschnitte" in enforce("# Hi\n\nDu.", BY_NAME["report"], language="de")


@pytest.mark.parametrize("mode", MODES.values(), ids=lambda mode: mode.name)
@settings(max_examples=100)
@given(text=texts, seed=cuts)
def test_no_cut_matters_to_any(mode: Mode, text: str, seed: int) -> None:
    check_cuts(lambda: make_enforcer(mode, sources=(Source("T", "https://a.b"),)), text, seed)


@pytest.mark.parametrize("mode", MODES.values(), ids=lambda mode: mode.name)
def test_a_long_answer_takes_time_by_its_length_only(mode: Mode) -> None:
    """A thousand hostile lines in pieces of a letter; where the time grew with the square, this would take minutes."""
    enforcer = make_enforcer(mode)
    for letter in ("- [[[[ `` ~~ ** [1, 2, 3 \t\t\t > > 1. # \n" * 1000) + "`" * 5000 + " " * 5000 + "[" * 5000:
        enforcer.feed(letter)
    enforcer.finish()
