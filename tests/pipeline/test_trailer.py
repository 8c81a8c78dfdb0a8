"""A model's word on its own answer is read in all its spellings, and never seen by who asked."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.core import Chunk, Done, Heartbeat, Started, Text, Thinking, TokenLogprob, ToolCall
from moe.pipeline.trailer import Trailer, part

ANSWER = "The capital of Spain is Madrid."
TRAILERS = {
    "ANSWER-CONFIDENCE: 0.85": 0.85, "Answer-Confidence: 0.85": 0.85, "**ANSWER-CONFIDENCE:** 0.85": 0.85,
    "**ANSWER-CONFIDENCE**: **0.85**": 0.85, "*answer_confidence = .85*": 0.85, "ANSWER CONFIDENCE: 85%": 0.85,
    "ANSWER-CONFIDENCE: 85 %": 0.85, "ANSWER-CONFIDENCE: 0,85": 0.85, "ANSWER-CONFIDENCE: 85": 0.85,
    "ANSWER-CONFIDENCE: 8.5/10": 0.85, "ANSWER-CONFIDENCE: 85/100": 0.85, "ANSWER-CONFIDENCE: 17 out of 20": 0.85,
    "ANSWER-CONFIDENCE: 1": 1.0, "ANSWER-CONFIDENCE: 1.00": 1.0, "ANSWER-CONFIDENCE: 0": 0.0,
    "ANSWER-CONFIDENCE: 8": 0.8, "ANSWER-CONFIDENCE: 100": 1.0, "ANSWER-CONFIDENCE: 0.85.": 0.85,
    "`ANSWER-CONFIDENCE: 0.85`": 0.85, "> ANSWER-CONFIDENCE: 0.85": 0.85, "### ANSWER-CONFIDENCE: 0.85": 0.85,
    "[ANSWER-CONFIDENCE: 0.85]": 0.85, "(ANSWER-CONFIDENCE: 0.85)": 0.85, '{"ANSWER-CONFIDENCE": 0.85}': 0.85,
    "<answer-confidence>0.85</answer-confidence>": 0.85, "<!-- ANSWER-CONFIDENCE: 0.85 -->": 0.85,
    "// ANSWER-CONFIDENCE: 0.85": 0.85, "# ANSWER-CONFIDENCE: 0.85": 0.85, "- ANSWER-CONFIDENCE: 0.85": 0.85,
    "```\nANSWER-CONFIDENCE: 0.85\n```": 0.85, "```text\nANSWER-CONFIDENCE: 0.85\n```": 0.85,
    "ANSWER‑CONFIDENCE：0.85": 0.85, "ANSWER-CONFIDENCE: high": 0.9, "ANSWER-CONFIDENCE - very high": 0.95,
    "ANSWER-CONFIDENCE: **Medium**": 0.6, "ANSWER-CONFIDENCE: LOW": 0.3, "ANSWER-CONFIDENCE: very low": 0.25,
    "ANSWER-CONFIDENCE: high (it is in every atlas)": 0.9, "ANSWER-CONFIDENCE: 0.85 – from memory": 0.85,
    "Antwort-Konfidenz: hoch": 0.9, "**Antwort-Sicherheit:** sehr hoch": 0.95, "ANTWORT-KONFIDENZ: 0,85": 0.85,
    "Confianza de la respuesta: muy alta": 0.95, "CONFIANZA-RESPUESTA: 85 %": 0.85,
    "ANTWORT-ZUVERSICHT: 0,85": 0.85, "Konfidenz der Antwort: 85 %": 0.85, "ANTWORTSICHERHEIT: 0,85": 0.85,
    "CONFIANZA EN LA RESPUESTA: 0.85": 0.85, "RESPUESTA-CONFIANZA: 0,85": 0.85, "CONFIANCE DE LA RÉPONSE: 0,85": 0.85,
    "Confiance-Réponse : élevée": 0.9, "FIDUCIA-RISPOSTA: 0.85": 0.85, "答案置信度：0.85": 0.85,
    "回答の信頼度: 0.85": 0.85,
    "УВЕРЕННОСТЬ В ОТВЕТЕ: 0.85": 0.85, "ANSWER CONFIDENCE (0-1): 0.85": 0.85, "Answer confidence score: 0.85": 0.85,
    "ANSWER-CONFIDENCE LEVEL: 0.85": 0.85, "ANSWER-CONFIDENCE:\n0.85": 0.85, "ANSWER-CONFIDENCE 0.85": 0.85,
    "ANSWER\\-CONFIDENCE: 0.85": 0.85, "ANSWER - CONFIDENCE: 0.85": 0.85, "\\boxed{ANSWER-CONFIDENCE: 0.85}": 0.85,
    "$\\text{ANSWER-CONFIDENCE: } 0.85$": 0.85, "My answer confidence is 0.85.": 0.85,
    "The ANSWER-CONFIDENCE is 0.85.": 0.85, "Note: **ANSWER-CONFIDENCE:** 0.85": 0.85,
    "🔒 ANSWER-CONFIDENCE: 0.85": 0.85,
    "✅ **ANSWER-CONFIDENCE: 0.85**": 0.85, "1. ANSWER-CONFIDENCE: 0.85": 0.85, "| ANSWER-CONFIDENCE | 0.85 |": 0.85,
    "~~~\nANSWER-CONFIDENCE: 0.85\n~~~": 0.85, "```\nANSWER-CONFIDENCE: 0.85": 0.85,
    "ANSWER-CONFIDENCE: 0.85\n---": 0.85, "ANSWER-CONFIDENCE: 0.85<|im_end|>": 0.85,
    "ANSWER-CONFIDENCE: none of your business": None, "ANSWER-CONFIDENCE": None, "ANSWER-CONFIDENCE:": None,
    "ANSWER-CONFIDENCE: 850": None, "ANSWER-CONFIDENCE: 12/10": None, "ANSWER-CONFIDENCE: ???": None,
}
OWN = (
    ANSWER, "", "\n", "  leading and trailing blanks \n\n", "---", "a\n---\nb\n\n---\n", "Confidence is what you need.",
    "Confidence: how to gain it\n\n1. Practise.", "The label is cat.\nConfidence: 0.93\nThe label is dog.",
    "```yaml\nlabel: cat\nconfidence: 0.93\n```", "```yaml\nlabel: cat\nconfidence: 0.93\n", "answer", "An answer.",
    "ans",
    "Sicherheit: hoch ist, wer …", "confidence", "\n\n\n\n\n\n\nx", "my confidence grew: 3 of 4 won",
    "**bold** and `code`",
    "Interval: [4.02, 5.98].\nConfidence level: 95%", "It is [4; 6].\n\n**Confidence:** 95%",
    "Das Intervall ist [4; 6].\nKonfidenzniveau: 95 %", "Es [4, 6].\nNivel de confianza: 95%",
    "```python\nanswer_confidence = sum(scores)\nprint(answer_confidence)\n```\nDone.",
    "```python\ndef mean(rows):\n    return sum(r['answer_confidence'] for r in rows) / len(rows)\n```",
    "Add the column `answer_confidence` to the table, then average it.", "Add it:\n`answer_confidence: 0.8`",
    "The field answer_confidence: 0.8 in your JSON means that 8 of 10 are right.",
    "| name | answer_confidence |\n|---|---|\n| a | 0.8 |\nMean: 0.85.", "| answer_confidence | 0.8 |",
    '```json\n{"answer_confidence": 0.8}\n```\nThe mean is 0.8.', '```json\n{"answer_confidence": 0.8}\n```',
    'As JSON:\n\n```json\n{"answer_confidence": 0.8}\n```', '{"answer_confidence": 0.8}', "answer_confidence: 0.8",
    "```yaml\nlabel: cat\nANSWER-CONFIDENCE: 0.93\n```", "```yaml\nlabel: cat\nANSWER-CONFIDENCE: 0.93",
    "ANSWER-CONFIDENCE means how sure the model is.", "ANSWER-CONFIDENCE: 0.9\n\nMadrid.",
    "Two of them.\nANSWER-CONFIDENCE: 0.9\n\nOlé!", "It is so.\nAnswer confidence", "The answer confidence is 0.8.",
    "def f():\n    return {\n        'a': 1,\n    }\n", "Say \"answer", "| a | b |\n|---|---|\n| 1 | 2 |\n",
    "Confidence interval: 95 %\nMean: 3", "ein Satz. Konfidenz ist wichtig", "¿Confianza? Sí.", "x" * 3000,
    "a\r\nb\r\n",
)


def run(pieces: Sequence[str]) -> tuple[str, float | None]:
    trailer = Trailer()
    shown = "".join(map(trailer.feed, pieces))
    return shown + trailer.finish(), trailer.value


def cut(text: str, places: Sequence[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[begin:end] for begin, end in zip(edges, edges[1:], strict=False)]


@pytest.mark.parametrize("trailer", TRAILERS)
@pytest.mark.parametrize("between", ["\n", "\n\n", " ", "\n\n---\n", "\r\n\r\n", "\n\n***\n\n"])
@pytest.mark.parametrize("after", ["", "\n", " \n\n"])
def test_it_is_read_and_removed_whole_or_letter_by_letter(trailer: str, between: str, after: str) -> None:
    is_as_asked = TRAILERS[trailer] is not None and ("ANSWER" in trailer or trailer.isupper())
    if between == " " and (trailer.startswith(("```", "#", ">", "- ", "//")) or not is_as_asked):
        pytest.skip("these begin a line")
    text = ANSWER + between + trailer + after
    shown, value = run([text])
    assert value == (None if TRAILERS[trailer] is None else pytest.approx(TRAILERS[trailer]))
    assert shown.rstrip() == ANSWER or (TRAILERS[trailer] is None and "CONFIDENCE" not in shown)
    assert run(list(text)) == (shown, value)


@pytest.mark.parametrize("text", OWN)
def test_what_is_the_answers_own_stays_byte_for_byte(text: str) -> None:
    assert run([text]) == (text, None)
    assert run(list(text)) == (text, None)


@pytest.mark.parametrize(("text", "rest"), [
    ("Madrid.\nANSWER-CONFIDENCE: 0.9. It is in Spain.", "Madrid.\nIt is in Spain."),
    ("ANSWER-CONFIDENCE: 0.9 It is Madrid.", "It is Madrid."),
    ("```py\nx = 1\n```\nANSWER-CONFIDENCE: 0.9", "```py\nx = 1\n```"),
    ("```py\nx = 1\n```\n\n```\nANSWER-CONFIDENCE: 0.9\n```", "```py\nx = 1\n```"),
    ("Madrid.\nANSWER-CONFIDENCE: 0.20\nANSWER-CONFIDENCE: 0.9", "Madrid."),
    ("Madrid.\nANSWER-CONFIDENCE: 0.9 because I checked it.", "Madrid."),
])
def test_nothing_goes_with_it(text: str, rest: str) -> None:
    for pieces in ([text], list(text)):
        shown, value = run(pieces)
        assert (shown.strip(), value) == (rest, 0.9)


@pytest.mark.parametrize(("tail", "is_gone", "value"), [
    ("\nANSWER-CONF", True, None), ("\n**ANSWER-", True, None), ("\n```\nANSWER-CONF", True, None),
    ("\nANSWER-CONFIDENCE: 0.", True, None), ("\nANSWER-CONFIDENCE: 0", True, None),
    ("\nANSWER-CONFIDENCE:", True, None),
    ("\nANSWER-CONFIDENCE: 0.9", True, 0.9), ("\nAnswer-Conf", True, None), ("\nAnswer", False, None),
    ("\n```py\nANSWER", True, None), ("\n```py\nx = 1\nANSWER", False, None), ("\nA", False, None),
])
def test_the_beginning_of_it_that_a_limit_left_goes(tail: str, is_gone: bool, value: float | None) -> None:
    text = ANSWER + tail
    for pieces in ([text], list(text)):
        trailer = Trailer()
        shown = "".join(map(trailer.feed, pieces)) + trailer.finish(is_cut=True)
        assert (shown, trailer.value) == (ANSWER if is_gone else text, value)


@settings(max_examples=300, deadline=None)
@given(answer=st.sampled_from(OWN) | st.text(alphabet="Confidence: 0.9\n*`-. answer",
max_size=60) | st.text(max_size=30),
       between=st.sampled_from(["\n", "\n\n", " ", "\n---\n"]), trailer=st.sampled_from(["", *TRAILERS]),
       after=st.sampled_from(["", "\n", "\nMore.", " More."]), places=st.lists(st.integers(0, 4000), max_size=12))
def test_pieces_of_any_size_give_what_the_whole_gives(
    answer: str, between: str, trailer: str, after: str, places: list[int]
) -> None:
    text = answer + between + trailer + after
    assert run(cut(text, places)) == run([text])
    is_said = any(map(str.isalpha, answer))  # of marks alone nobody can tell whose they are
    assert run([text])[0].startswith(answer.rstrip("-*_= \t\r\n")) or not trailer or not is_said


@pytest.mark.parametrize("between", [" ", "\n", "\n\n"])
def test_a_symbol_may_be_all_of_the_answer(between: str) -> None:
    assert run([f"\N{THUMBS UP SIGN}{between}ANSWER-CONFIDENCE: 0.85"]) == ("\N{THUMBS UP SIGN}", 0.85)


def test_little_is_held_back_of_plain_text() -> None:
    trailer, text = Trailer(), "Spain's capital is Madrid, as everybody knows. It has many people. " * 20
    held = 0
    shown = ""
    for letter in text:
        shown += trailer.feed(letter)
        held = max(held, trailer_held(text, shown, trailer))
    assert shown + trailer.finish() == text
    assert held <= 12


def trailer_held(text: str, shown: str, trailer: Trailer) -> int:
    return len(trailer._text)


@pytest.mark.parametrize("unit", ["\n", " ", "---\n", "answer-", "ANSWER-CONFIDENCE: 0.9\n", "Confidence: 0.9\n", "*",
"`",
                                  "Confidence: (", "confidence - ", "0", "```\n", '{"', "ANSWER-CONFIDENCE: ("])
def test_no_answer_makes_it_slow(unit: str) -> None:
    text = unit * (50_000 // len(unit))
    for pieces in ([text], [text[place : place + 7] for place in range(0, 20_000, 7)]):
        begin = time.process_time()
        run(pieces)
        assert time.process_time() - begin < 3


def test_chunks_of_other_kinds_pass_in_their_order() -> None:
    kept = Text("Madrid", (TokenLogprob("Madrid", -0.1),))
    chunks: list[Chunk] = [Started(expert="a", model="b"), Thinking("hm"), kept, Heartbeat(), Text(".\nANSWER-"),
                           Text("CONFIDENCE: 0.9"), Done(finish="stop")]
    trailer = Trailer()
    assert list(part(iter(chunks), trailer)) == [
        *chunks[:4], Text("."), Heartbeat(is_held=True), Done(finish="stop")]
    assert trailer.value == 0.9
    call = ToolCall("1", "f")
    assert list(part(iter([Text("See\nans"), call, Done()]), Trailer())) == [Text("See"), Text("\nans"), call, Done()]


def test_random_cuts_of_every_trailer() -> None:
    chance = random.Random(7)
    for trailer in TRAILERS:
        text = f"{ANSWER}\n\n{trailer}\n"
        for _ in range(20):
            assert run(cut(text, [chance.randrange(len(text)) for _ in range(5)])) == run([text])
