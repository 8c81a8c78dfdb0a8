"""Steps carry numbers, and a plan that has them streams."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from moe.pipeline.modes.steps import Plan, has_steps

from .cutting import check_cuts, cuts, texts, whole


@pytest.mark.parametrize("text", [
    "1. Do\n2. Be", "Here is how:\n\n1) Do\n2) Be", "## Step 1: Do\nx\n## Step 2: Be\ny", "### 1. Do\n- a\n### 2. Be",
    "**Step 1:** Do\n**Step 2:** Be", "**1. Do**\n- a", "Schritt 1: Tun\n- a\nSchritt 2: Sein", "Paso 1. Hacer\n- a",
    "Goals:\n- a\n- b\n\n1. Do\n2. Be", "# Phase 1\n- a\n# Phase 2\n- b", "## Woche 1\n- a",
    "- a\n- b\n\n**Paso 1:** c", "(1) Book\n(2) Go", "Étape 1 : Réserver\nÉtape 2 : Partir",
    "第一步：订票\n第二步：出发",
    "**1 – Book**\nIt.", "1.Book\n2.Go", "1 - Book\n2 - Go", "1️⃣ Book\n2️⃣ Go", "① Book", "步骤 1：订票", "一、订票",
    "Шаг 1. Купить", "**1. März:** Go", "4. Go on\n5. Rest", "1. Maintain it", "- [ ] x\n\n1.**Book** it",
])
def test_a_plan_with_numbers_is_left_as_it_is(text: str) -> None:
    assert whole(Plan, text) == text
    assert has_steps(text)
    for seed in range(20):
        check_cuts(Plan, text, seed)


@pytest.mark.parametrize(("text", "shown"), [
    ("- Do\n- Be", "1. Do\n2. Be"),
    ("How:\n\n* Do\n* Be\n\nThat is all.", "How:\n\n1. Do\n2. Be\n\nThat is all."),
    ("- Do\n  - first\n  - then\n- Be", "1. Do\n   - first\n   - then\n2. Be"),
    ("## Before\n- Do\n\n## After\n- Be", "## Before\n1. Do\n\n## After\n1. Be"),
    ("How to make tea?\n\n- Do\n- Be\n\nMore?", "How to make tea?\n\n1. Do\n2. Be\n\nMore?"),
    ("- Do\nit\n- Be\n\nYou need:\n\n- a\n- b", "1. Do\nit\n2. Be\n\nYou need:\n\n- a\n- b"),
    ("Sure:\n\n```markdown\n- Do\n- Be\n```\n", "Sure:\n\n1. Do\n2. Be\n"),
    ("- **Do**: it\n\n  ```py\n  if x:\n      y\n  ```\n- Be",
     "1. **Do**: it\n\n   ```py\n   if x:\n       y\n   ```\n2. Be"),
    ("- Do\n\n```py\nif x:\n    y\n```\n- Be", "1. Do\n\n```py\nif x:\n    y\n```\n2. Be"),
    ("You need:\n\n- a\n- b", "You need:\n\n1. a\n2. b"),
    ("• Do\n• Be", "1. Do\n2. Be"),
    ("\n".join(["- a"] * 9 + ["- b\n  c"]), "\n".join([f"{n}. a" for n in range(1, 10)] + ["10. b\n    c"])),
])
def test_bullets_get_numbers(text: str, shown: str) -> None:
    enforcer = Plan()
    assert enforcer.feed(text) + enforcer.finish() == shown
    assert [finding.kind for finding in enforcer.findings] == ["numbered"]
    assert not has_steps(text)
    assert has_steps(shown)
    for seed in range(20):
        check_cuts(Plan, text, seed)


@pytest.mark.parametrize("text", [
    "Which plan do you mean?", "* * *", "---", "**Bold** words", "-1 is a number", "```\n1. x\n- y\n```", "# 1st place",
    "It takes 3. Then it is over.", "3. Mai 2024 ist der Termin.", "3 - 5 days", "**3.5 km** away",
])
def test_what_has_no_steps_is_left_as_it_is_and_told(text: str) -> None:
    enforcer = Plan()
    assert enforcer.feed(text) + enforcer.finish() == text
    assert [finding.kind for finding in enforcer.findings] == ["no_steps"]


def test_nothing_is_changed_where_more_will_come() -> None:
    assert whole(Plan, "- I will look", is_over=False) == "- I will look"
    assert whole(Plan, "") == ""


def test_it_streams_unless_it_begins_with_bullets() -> None:
    enforcer = Plan()
    assert enforcer.feed("Here is the pl") == "Here is the pl"
    assert enforcer.feed("an:\n\n- A goal\n") == "an:\n\n"
    assert enforcer.feed("\n1") == ""
    assert enforcer.feed(". D") == "- A goal\n\n1. D"
    assert enforcer.feed("o\n-") == "o\n-"


@pytest.mark.parametrize("text", [
    "Which tea do you mean?\n\n- green\n- black", "**Welcher Tee?**\n- grün\n- schwarz",
    "- [ ] Do\n- [x] Be", "Before I plan it, I need a few details:\n- Your budget",
    "I need to know:\n- Where to?\n- When?\n",
])
def test_a_question_back_is_left_as_it_is(text: str) -> None:
    enforcer = Plan()
    assert enforcer.feed(text) + enforcer.finish() == text
    assert enforcer.findings == []


def test_nothing_has_no_steps() -> None:
    assert not has_steps("")


def test_a_plan_in_a_block_of_markdown_is_read() -> None:
    assert whole(Plan, "```markdown\n# Plan\n\n1. Do\n2. Be\n```") == "# Plan\n\n1. Do\n2. Be\n"


@pytest.mark.parametrize(("text", "shown"), [
    ("```markdown\n1. Do\n\n```\nls\n```\n\n2. Be\n```", "1. Do\n\n```\nls\n```\n\n2. Be\n"),
    ("```markdown\n1. Do\n```\n\nThen:\n\n```\nls\n```\n", "1. Do\n\nThen:\n\n```\nls\n```\n"),
])
def test_a_block_within_or_after_one_of_markdown_stays_whole(text: str, shown: str) -> None:
    assert whole(Plan, text) == shown
    for seed in range(20):
        check_cuts(Plan, text, seed)


@settings(max_examples=300)
@given(texts, cuts)
def test_no_cut_matters(text: str, seed: int) -> None:
    check_cuts(Plan, text, seed)


@settings(max_examples=200)
@given(texts)
def test_no_word_is_lost(text: str) -> None:
    shown = whole(Plan, text)
    assert [word for word in text.split() if word.isalpha()] == [word for word in shown.split() if word.isalpha()]
