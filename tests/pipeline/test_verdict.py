"""What a critic says is read in whatever form it comes, and an answer is never worse for it."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from moe.pipeline.form import Form
from moe.pipeline.verdict import MOST_EDITS, SCHEMA, Edit, Verdict, follow, read_verdict

ANSWER = (
    "Adults may take up to 6000 mg of paracetamol per day.\n"
    "Leave four hours between two doses, and take it with a glass of water.\n\n"
    "Call 112 if somebody has taken far too much."
)
BETTER = (
    "Adults may take up to 4000 mg of paracetamol per day, and less with a damaged liver.\n"
    "Leave at least four hours between two doses.\n\n"
    "Call 112 if somebody has taken far too much."
)
GERMAN = (
    "Die Kündigungsfrist für Mieter beträgt drei Monate, und sie gilt auch dann, wenn im Vertrag etwas anderes steht. "
    "Der Vermieter muss nicht zustimmen."
)
CODE = (
    "Use this to tell how many days are left:\n\n"
    "```python\n"
    "def left(end, now):\n"
    "\tif end < now:\n"
    "\t    return 0  \n"
    "\treturn (end - now).days\n"
    "```\n\n"
    "It counts from the first day, and the last one is not counted by it."
)


def write(**fields: Any) -> str:
    return json.dumps({"why": "", "verdict": "edit", "edits": [], "answer": ""} | fields)


def edit(find: str, replace: str) -> dict[str, str]:
    return {"find": find, "replace": replace, "why": ""}


def revise(answer: str, *edits: tuple[str, str]) -> tuple[str, str]:
    revision = follow(Verdict(word="edit", edits=tuple(Edit(*pair) for pair in edits)), answer)
    return revision.text, revision.reason


def replace(answer: str, better: str, *, why: str = "") -> tuple[str, str]:
    revision = follow(Verdict(word="wrong", answer=better, why=why), answer)
    return revision.text, revision.reason


# -- reading


def test_what_is_asked_for_is_what_the_schema_says() -> None:
    Form(SCHEMA).check_itself()
    assert Form(SCHEMA).judge(write(verdict="wrong", answer="x")) is None
    assert Form(SCHEMA).judge(write(verdict="perhaps")) is not None


@pytest.mark.parametrize("said", [
    write(verdict="right", why="All good."),
    f"```json\n{write(verdict='right')}\n```",
    f"Here is what I think of it:\n\n{write(verdict='right')}\n\nI hope that helps {{really}}!",
    f"<think>\nIt may be {write(verdict='wrong', answer='x')} … no.\n</think>\n{write(verdict='right')}",
    '{"verdict": "RIGHT"}', '{"Verdict": " Correct. "}', '{"verdict": "CONFIRMED", "edits": null, "answer": null}',
    'The form is {"verdict": "wrong", "answer": "…"} and this is mine: {"verdict": "right"}',
    "{{{ {\"verdict\": \"right\"}", '{"verdict": "right", "why": "line one\nline two\twith a tab"}',
])
def test_a_verdict_is_found_whatever_stands_around_it(said: str) -> None:
    verdict = read_verdict(said)
    assert verdict is not None
    assert verdict.word == "right"


@pytest.mark.parametrize("said", [
    "", "CONFIRMED", "The answer is right.", "{}", "[]", '{"verdict": 1}', '{"verdict": "maybe"}', '{"verdict": null}',
    '{"verdict": "right"', '["verdict", "right"]', "null", '{"judgement": "right"}', "{" * 5000, "[" * 100_000,
    '{"a":' * 50_000,
])
def test_what_is_none_is_none(said: str) -> None:
    assert read_verdict(said) is None


def test_edits_are_read_as_far_as_they_are_any() -> None:
    said = write(edits=[edit("a", "b"), {"find": "c"}, {"find": "", "replace": "x"}, "d", None,
                        {"find": 1, "replace": "y"}, {"find": "e", "replace": ""}, {"find": "f", "replace": None}])
    verdict = read_verdict(said)
    assert verdict is not None
    assert verdict.edits == (Edit("a", "b"), Edit("e", ""))
    single = read_verdict(json.dumps({"verdict": "edit", "edits": edit("a", "b")}))
    assert single is not None
    assert single.edits == (Edit("a", "b"),)


def test_there_are_only_so_many_edits() -> None:
    verdict = read_verdict(write(edits=[edit(str(place), "x") for place in range(1000)]))
    assert verdict is not None
    assert len(verdict.edits) == MOST_EDITS


def test_half_a_character_reaches_no_wire() -> None:
    verdict = read_verdict('{"verdict": "wrong", "answer": "cut \\ud83d", "why": "\\udc00"}')
    assert verdict == Verdict(word="wrong")


@pytest.mark.parametrize("said", ["{" * 200_000, '{"x": ' * 30_000, '{"verdict": "' * 20_000, "{}" * 100_000,
                                  '{"verdict":"right"}' * 10_000])
def test_nothing_takes_long_to_read(said: str) -> None:
    began = time.perf_counter()
    read_verdict(said)
    assert time.perf_counter() - began < 2


# -- edits


def test_an_edit_changes_its_passage_and_nothing_else() -> None:
    text, reason = revise(ANSWER, ("6000 mg", "4000 mg"))
    assert text == ANSWER.replace("6000 mg", "4000 mg")
    assert reason == "1 edit"


def test_several_stand_in_their_own_places_in_whatever_order_they_come() -> None:
    edits = [("6000 mg", "4000 mg"), ("four hours", "six hours"), ("with a glass of water", "after a meal")]
    expected = ANSWER
    for find, put in edits:
        expected = expected.replace(find, put)
    for order in (edits, edits[::-1]):
        assert revise(ANSWER, *order) == (expected, "3 edits")


def test_no_edit_finds_what_another_one_has_written() -> None:
    text, reason = revise(ANSWER, ("6000 mg", "4000 mg of the drug"), ("of the drug of", "of"))
    assert text == ANSWER.replace("6000 mg", "4000 mg of the drug")
    assert reason == "1 edit, 1 not found"


@pytest.mark.parametrize(("find", "put", "fault"), [
    ("7000 mg", "4000 mg", "not found"),
    ("6000  mg", "4000 mg", "not found"),
    ("6000 MG", "4000 mg", "not found"),
    ("take", "swallow", "found more than once"),
    ("6000 mg", "6000 mg", "without a change"),
    ("000 mg", "000 g", "within a word or a number"),
    ("600", "400", "within a word or a number"),
    ("dose", "tablet", "within a word or a number"),
    ("6000 mg of paracetamol per day", "4000 mg …", "with something left out"),
    ("6000 mg", "4000 mg (the original answer was wrong)", "that speak of the answer"),
    ("Adults may take", "Correction: adults may take", "that speak of the answer"),
    ("6000 mg", "4000 mg\\nper day", "with escapes in place of lines"),
    ("Adults may take up to 6000 mg", "Erwachsene dürfen nicht mehr als 4000 mg am Tag nehmen, und das ist das Meiste",
     "in another language"),
])
def test_an_edit_that_is_not_safe_is_not_made(find: str, put: str, fault: str) -> None:
    assert revise(ANSWER, (find, put)) == (ANSWER, f"1 {fault}")


RENT = ("Your landlord may raise the rent by 20 % within three years under § 558 BGB, and not by more at once. In "
        "tight markets it is 15 %.\n\n- Ask for the reasons\n- You have two months to agree.")
MIETE = "Der Vermieter darf die Miete um 20 % innerhalb von drei Jahren erhöhen, § 558 BGB. In manchen Städten weniger."
RENTA = "El arrendador puede subir la renta un 20 % en tres años según la ley. En algunas ciudades menos."


@pytest.mark.parametrize(("answer", "find", "put"), [
    *((RENT, "20 % within three years", put) for put in (
        "should be 15 % instead", "15 % (corrected from 20 %)", "15 % (previously 20 %)", "it should read 15 %",
        "This is wrong; the correct figure is 15 % within three years", "[needs checking] 20 % within three years",
        "I would write 15 % within three years", "The answer should say 15 %, as the author was wrong",
        "Note: the statement above is inaccurate.", "15 %, not 20 %, within three years", "15 % [source?]",
    )),
    *((MIETE, "20 % innerhalb von drei Jahren", put) for put in (
        "sollte 15 % sein", "15 % (korrigiert von 20 %)", "Das ist falsch; richtig ist 15 %", "es müsste 15 % heißen",
        "[prüfen] 20 % innerhalb von drei Jahren", "Ich würde 15 % schreiben", "15 % statt 20 %",
        "Die Antwort sollte 15 % lauten, der Autor irrt", "Hinweis: Die obige Aussage ist ungenau.",
    )),
    *((RENTA, "20 % en tres años", put) for put in (
        "debería ser 15 %", "15 % (corregido de 20 %)", "Esto es incorrecto; la cifra correcta es 15 %",
        "[verificar] 20 % en tres años", "Yo escribiría 15 %", "La respuesta debería decir 15 %",
        "15 % en lugar de 20 %", "Nota: la afirmación anterior es inexacta.",
    )),
])
def test_what_is_said_of_a_passage_does_not_take_its_place(answer: str, find: str, put: str) -> None:
    assert revise(answer, (find, put)) == (answer, "1 that speak of the answer")


@pytest.mark.parametrize(("find", "put"), [
    ("20 % within three years", "15 % within three years. It may be less"), ("three years", "four years."),
    ("20 %", "15 % where a state has said so by decree, and that decree gives its reasons, names the towns, is not "
     "older than five years and was made public"),
])
def test_a_phrase_stays_one(find: str, put: str) -> None:
    assert revise(RENT, (find, put)) == (RENT, "1 with more than a phrase in its place")


@pytest.mark.parametrize(("answer", "find", "put"), [
    (RENT, "20 % within three years", "15 % within three years (§ 558 Abs. 3 Satz 2 BGB)"),
    (RENT, "20 %", "not more than 20 %"),
    (RENT, "is 15 %", "is not 15 %"), (RENTA, "un 20 %", "el 15 %: el valor debe ser"),
    (RENT, "In tight markets it is 15 %.", "In tight markets it is 15 %. A state says by decree which those are."),
    (RENT, "Ask for the reasons", "Ask for the reasons. They must be in writing"),
    (RENT, "may raise", "must not raise"),
    (RENT, "may raise", "should be heard before he may raise"), (RENT, "landlord", "landlord ([Check it](https://a.b))"),
    (RENT, "two months", "until the end of the second month (after the letter has come)"),
    (MIETE, "um 20 %", "z. B. in Berlin um 15 %"), (MIETE, "darf", "darf (vorher ankündigen)"),
    (RENTA, "20 % en tres años", "15 % en tres años (antes de la reforma)"),
    (CODE, "return 0  ", "errors = [check(x)]; return (fixed or 0)"),
])
def test_what_is_better_does(answer: str, find: str, put: str) -> None:
    assert revise(answer, (find, put)) == (answer.replace(find, put), "1 edit")


def test_where_no_edit_is_good_the_answer_stays() -> None:
    edits = (("20 %", "should be 15 %"), ("15 %.", "10 % (corrected)."))
    assert revise(RENT, *edits) == (RENT, "2 that speak of the answer")


def test_the_others_are_made_all_the_same() -> None:
    text, reason = revise(ANSWER, ("take", "swallow"), ("6000 mg", "4000 mg"), ("nowhere", "x"), ("never", "y"))
    assert text == ANSWER.replace("6000 mg", "4000 mg")
    assert reason == "1 edit, 1 found more than once, 2 not found"


def test_of_two_that_overlap_the_first_is_made() -> None:
    text, reason = revise(ANSWER, ("up to 6000 mg", "up to 4000 mg"), ("6000 mg of paracetamol", "some"))
    assert text == ANSWER.replace("6000 mg", "4000 mg")
    assert reason == "1 edit, 1 overlapping"


@pytest.mark.parametrize(("answer", "find", "found"), [
    ("Give 1.5 mg at once.", "5 mg", False), ("Give 1.5 mg at once.", "1.5 mg", True),
    ("Give 1,500 mg at once.", "500 mg", False), ("It is § 573c.", "§ 573", False), ("It is 12.", "1", False),
    ("It is B12.", "12", False), ("Give 5.", "5", True), ("Give 5, then rest.", "5", True),
    ("每天吃六千毫克。", "六千", True), ("insulin", "in", False),
    ("Use the in-house one.", "in", True), ("a" * 50, "a", False),
])
def test_words_and_numbers_are_replaced_whole(answer: str, find: str, found: bool) -> None:
    assert (revise(answer, (find, "X9"))[0] != answer) is found


def test_an_edit_in_code_keeps_every_blank_around_it() -> None:
    text, _ = revise(CODE, ("if end < now:", "if end <= now:"))
    assert text == CODE.replace("end < now", "end <= now")
    assert "\t    return 0  \n" in text


@pytest.mark.parametrize("find", ["if end < now:\n    return 0", "if end < now:\n\t    return 0\n"])
def test_blanks_are_never_overlooked_to_find_a_passage(find: str) -> None:
    assert revise(CODE, (find, "x = 1"))[0] == CODE


def test_lines_that_end_as_on_windows_stay_so() -> None:
    answer = CODE.replace("\n", "\r\n")
    text, _ = revise(answer, ("first day", "second day"))
    assert text == answer.replace("first day", "second day")


@pytest.mark.parametrize(("answer", "edits", "why"), [
    (ANSWER, [(ANSWER, "")], "it is empty"),
    (ANSWER, [(ANSWER, " \n")], "it is empty"),
    (ANSWER, [(ANSWER[:150], "")], "it leaves out most"),
    (ANSWER, [("Call 112 if somebody has taken far too much.", "Rest for a while and drink some water.")],
     "it leaves out whom to call"),
    (ANSWER, [("Adults may take up to 6000 mg of paracetamol per day.", "I cannot help with that.")], "it refuses"),
    (CODE, [("```\n\nIt", "\n\nIt")], "it is cut"),
    (CODE, [(CODE[CODE.index("```"):CODE.rindex("It")], "(left out) ")], "it leaves out code"),
])
def test_edits_that_make_it_worse_are_not_made(answer: str, edits: list[tuple[str, str]], why: str) -> None:
    assert revise(answer, *edits) == (answer, f"edits refused: {why}")


# -- better answers


def test_a_better_answer_takes_its_place() -> None:
    assert replace(ANSWER, BETTER) == (BETTER, "a better answer")


@pytest.mark.parametrize("heading", [
    "Corrected answer:\n\n", "**Corrected answer:**\n", "Here is the corrected version:\n", "## Improved response:\n\n",
    "Hier ist die korrigierte Antwort:\n", "Respuesta corregida: ", "Here's a better answer: ",
])
def test_a_heading_before_it_is_left_out(heading: str) -> None:
    assert replace(ANSWER, f"{heading}{BETTER}\n\n")[0] == BETTER


@pytest.mark.parametrize(("better", "why"), [
    ("", "it has no better answer"),
    (" \n ", "it has no better answer"),
    (ANSWER, "its answer is the same"),
    (f"{ANSWER}\n", "its answer is the same"),
    ("At most 4000 mg.", "it leaves out most"),
    (BETTER.replace("Call 112 if", "Beware if"), "it leaves out whom to call"),
    (BETTER[:-40] + " and the", "it is cut"),
    (BETTER + "\n\n...", "it is cut"),
    (BETTER + "\n```python\nx = 1", "it is cut"),
    (BETTER + "\nTake care of it." * 20, "it goes round in circles"),
    ("I'm sorry, but I can't help with questions about drugs. " + BETTER, "it refuses"),
    (BETTER.replace("\n", "\\n"), "it has escapes in place of lines"),
    (f"Erwachsene dürfen am Tag bis zu 4000 mg Paracetamol nehmen, und mit einer kranken Leber weniger. "
     f"{GERMAN} Rufen Sie 112 an.", "it is in another language"),
])
def test_one_that_is_no_better_does_not(better: str, why: str) -> None:
    text, reason = replace(ANSWER, better)
    assert text == ANSWER
    assert why in reason


DELIBERATIONS = (
    "The answer is mostly right, but the highest dose is 4000 mg a day. ",
    "This answer is not entirely correct. ",
    "The original answer says 6000 mg, which is too much. ",
    "The response above should be more careful. ",
    "The answer contains a serious error. ",
    "I would change the dose to 4000 mg. ",
    "I have corrected the dose. ",
    "I've revised it. ",
    "Correct, but with a caveat. ",
    "Mostly correct. ",
    "Wait, that is not so. ",
    "Let me check the dose first. ",
    "CONFIRMED ",
    "**CONFIRMED**\n\n",
    '{"verdict": "wrong", "answer": "x"} ',
    "Verdict: wrong. ",
    "Die Antwort ist im Großen und Ganzen richtig. ",
    "Die obige Antwort nennt 6000 mg. ",
    "Ich würde die Dosis auf 4000 mg ändern. ",
    "Richtig, aber zu hoch. ",
    "La respuesta es en gran parte correcta. ",
    "La respuesta original dice 6000 mg. ",
    "La réponse est presque correcte. ",
)


@pytest.mark.parametrize("said", [
    "I would say that the author is wrong.", "The answer should say 0.5 %, as the author was wrong.",
    "The author confuses § 502 with § 490 BGB; the statement needs checking before it may be shown to anybody.",
])
def test_a_word_on_the_author_is_no_answer(said: str) -> None:
    old = "The rate is 1,150.63 euros and the fee is limited to 1 %."
    assert replace(old, said)[0] == old


@pytest.mark.parametrize("opening", DELIBERATIONS)
def test_deliberation_is_no_answer(opening: str) -> None:
    text, reason = replace(ANSWER, f"{opening}{BETTER}")
    assert text == ANSWER
    assert "it speaks of the answer" in reason


@pytest.mark.parametrize("opening", [
    "Right-sided pain is another matter. ", "Wait four hours between doses. ", "I would suggest a doctor. ",
    "The answer depends on the weight. ", "The answer is 4000 mg. ", "None of these is harmless. ",
    "Correct dosage matters. ", "The right dose is 4000 mg. ", "Your response to the drug may differ. ",
    "First, the dose. ", "This is a general rule. ",
])
def test_an_answer_that_only_sounds_like_it_is_one(opening: str) -> None:
    assert replace(ANSWER, f"{opening}{BETTER}")[0] == f"{opening}{BETTER}"


def test_where_the_question_is_about_an_answer_so_is_the_better_one() -> None:
    answer = "The answer is mostly right: the pupil has forgotten the unit only, so give four of five points for it."
    better = "The answer is mostly right: the pupil has forgotten the unit and the sign, so give three of five points."
    assert replace(answer, better)[0] == better


def test_a_german_one_stays_german() -> None:
    better = GERMAN.replace("drei Monate", "drei Monate zum Monatsende")
    assert replace(GERMAN, better)[0] == better
    english = "A tenant has to give notice three months before, and what the contract says of it does not count."
    assert replace(GERMAN, english) == (GERMAN, "its answer is no better: it is in another language")


def test_one_that_loops_or_breaks_off_may_be_replaced_by_a_short_one() -> None:
    assert replace("Take some more of it.\n" * 50, "Take at most 4000 mg a day.")[0] == "Take at most 4000 mg a day."


def test_code_is_kept_letter_by_letter() -> None:
    better = CODE.replace("the last one is not counted", "the last one is counted")
    assert replace(CODE, better)[0] == better
    flattened = better.replace("\t    return", "\t\treturn")
    assert replace(CODE, flattened) == (CODE, "its answer is no better: it changes code")
    gone = "Subtract one date from the other, and count what is left; zero if it is over. " * 3
    assert replace(CODE, gone) == (CODE, "its answer is no better: it leaves out code")


def test_code_that_is_wrong_is_replaced_by_other_code() -> None:
    better = CODE.replace("end < now", "end <= now")
    assert replace(CODE, better)[0] == CODE
    assert replace(CODE, better, why="The code counts the last day twice.")[0] == better
    gone = "Subtract one date from the other, and count what is left; zero if it is over. " * 3
    assert replace(CODE, gone, why="The function is wrong.")[0] == CODE


# -- verdicts that contradict themselves


def test_what_is_right_stays_whatever_else_is_said() -> None:
    verdict = Verdict(word="right", edits=(Edit("6000", "4000"),), answer=BETTER)
    assert follow(verdict, ANSWER).text == ANSWER


def test_a_wrong_one_without_a_usable_answer_is_edited() -> None:
    revision = follow(Verdict(word="wrong", edits=(Edit("6000 mg", "4000 mg"),), answer="Not so."), ANSWER)
    assert revision.text == ANSWER.replace("6000 mg", "4000 mg")
    assert revision.reason == "1 edit"


def test_edits_that_are_not_found_leave_a_whole_answer_to_take() -> None:
    assert follow(Verdict(word="edit", edits=(Edit("nowhere", "x"),), answer=BETTER), ANSWER).text == BETTER
    assert follow(Verdict(word="edit", answer=BETTER), ANSWER).text == BETTER


def test_nothing_named_changes_nothing() -> None:
    assert follow(Verdict(word="edit"), ANSWER).reason == "it named nothing to change"
    assert follow(Verdict(word="wrong"), ANSWER).text == ANSWER


# -- whatever comes


_PIECES = st.sampled_from([ANSWER, CODE, GERMAN, "6000 mg", "…", "```", "\n", "x", "", "CONFIRMED", "112", "ſ", "İ"])
_TEXTS = st.lists(_PIECES, max_size=4).map("".join) | st.text(max_size=60)


@settings(deadline=None, max_examples=300)
@given(_TEXTS, st.lists(st.tuples(_TEXTS, _TEXTS), max_size=4), _TEXTS, st.sampled_from(["right", "edit", "wrong"]))
@example("x", [("x", "")], "", "edit")
def test_an_answer_is_never_lost(answer: str, edits: list[tuple[str, str]], better: str, word: Any) -> None:
    revision = follow(Verdict(word=word, edits=tuple(Edit(*pair) for pair in edits), answer=better), answer)
    assert revision.reason
    assert revision.text == answer or revision.text.strip()
    assert len(revision.text.strip()) * 2 >= len(answer.strip()) or revision.text != answer


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=400))
def test_whatever_is_said_is_read_or_not(said: str) -> None:
    read_verdict(said)
    read_verdict(write(verdict="wrong", answer=said))


def test_nothing_takes_long_to_follow() -> None:
    rng = random.Random(7)
    words = ("take", "the answer", "is", "mostly", "call", "1.5 mg", "\n", "```", "a")
    long = " ".join(rng.choice(words) for _ in range(9000))
    edits = tuple(Edit(long[place:place + 3000], "x" * 3000) for place in range(0, 36_000, 3000))
    began = time.perf_counter()
    follow(Verdict(word="edit", edits=edits, answer=long[::-1]), long)
    assert time.perf_counter() - began < 1
