"""`eval`: the router judged by labelled prompts, with a real encoder and by keywords."""

from __future__ import annotations

import json
import os
import pty
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.cli.house import CODE, HANG_S, LEARNERS, MATHS, NEITHER, House
from tests.cli.test_batch import write_rows
from tests.routing.prompts import ASKED, make_models

# Keyword mode: the second is wrong, the third is wrong but defensible.
ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": MATHS, "label": "math", "lang": "en", "source": "x"},
    {"id": "b", "text": CODE, "label": "math", "lang": "de", "source": "x"},
    {"id": "c", "text": CODE, "label": "math", "alt": ["código"], "lang": "de", "source": "y"},
    {"text": NEITHER, "label": "oos", "lang": "en", "source": "y"},
]


@pytest.fixture
def judged(inside: House) -> Path:
    return write_rows(inside.folder / "rows.jsonl", ROWS)


def figures(house: House, *words: str) -> dict[str, Any]:
    done = house.moe("eval", "rows.jsonl", "--json", *words)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_strict_and_lenient_accuracy_by_part_and_label(inside: House, judged: Path) -> None:
    told = figures(inside)
    assert (told["rows"], told["strict"], told["lenient"]) == (4, 0.5, 0.75)
    assert told["groups"]["lang"] == [
        {"name": "de", "rows": 2, "strict": 0.0, "lenient": 0.5},
        {"name": "en", "rows": 2, "strict": 1.0, "lenient": 1.0},
    ]
    assert [group["name"] for group in told["groups"]["source"]] == ["x", "y"]
    assert "kind" not in told["groups"]
    assert told["matrix_labels"] == ["fallback", "math", "código"]
    assert told["confusion"] == [[1, 0, 0], [0, 1, 2], [0, 0, 0]]
    assert told["macro_f1"] == pytest.approx((1 + 0.5) / 2)
    assert told["none_auroc"] == 1.0
    assert [(each["id"], each["said"]) for each in told["mistakes"]] == [("b", "código")]


def test_what_it_says_is_what_a_batch_says(inside: House, judged: Path) -> None:
    write_rows(inside.folder / "in.jsonl", [{"id": place, "text": row["text"]} for place, row in enumerate(ROWS)])
    assert inside.moe("route", "--batch", "in.jsonl", "out.jsonl").returncode == 0
    labels = [json.loads(line) for line in (inside.folder / "out.jsonl").read_text("utf-8").splitlines()]
    right = [row["label"] in (gold["label"].replace("oos", "fallback"), *gold.get("alt", []))
             for row, gold in zip(labels, ROWS, strict=True)]
    assert figures(inside)["lenient"] == sum(right) / 4
    surest = max(labels, key=lambda row: float(row["confidence"]))
    assert figures(inside)["bins"][-1]["confidence"] == pytest.approx(surest["confidence"], abs=1e-4)


def test_the_table_shows_the_figures_and_the_confusions(inside: House, judged: Path) -> None:
    done = inside.moe("eval", "rows.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "4 prompts: accuracy 0.500, lenient 0.750, macro-F1 0.750"
    assert '"no expert fits" is told apart with an AUROC of 1.000' in lines
    assert ["math", "3", "1.000", "0.333", "0.500", "código", "(2)"] in [line.split() for line in lines]
    assert ["2", "math", "1", "2"] in [line.split() for line in lines]
    assert ["de", "2", "0.000", "0.500"] in [line.split() for line in lines]


def test_of_many_sources_the_worst_are_shown_and_the_rest_counted(inside: House) -> None:
    rows = [{"text": MATHS, "label": "math", "source": f"good{place:02}"} for place in range(20)]
    rows += [{"text": CODE, "label": "math", "source": f"bad{place}"} for place in range(3)]
    write_rows(inside.folder / "rows.jsonl", rows)
    lines = inside.moe("eval", "rows.jsonl").stdout.splitlines()
    shown = [line.split()[0] for line in lines if line.startswith(("good", "bad"))]
    assert shown == ["bad0", "bad1", "bad2", *(f"good{place:02}" for place in range(12))]
    assert lines[-1] == "these are the worst; 8 more are in --json and --html"
    assert len(figures(inside)["groups"]["source"]) == 23


def test_the_page_does_not_replace_the_prompts(inside: House, judged: Path) -> None:
    done = inside.moe("eval", "rows.jsonl", "--html", "rows.jsonl")
    assert done.returncode == 2 and "would take the place of what is read" in done.stderr
    assert judged.read_text().startswith("{")


def test_a_label_that_no_expert_has_is_told_once_with_the_one_that_may_be_meant(inside: House) -> None:
    rows = [*ROWS, *({"text": MATHS, "label": "maht"} for _ in range(3)), {"text": MATHS, "label": "Maths"},
            {"text": MATHS, "label": "zzz"}]
    write_rows(inside.folder / "rows.jsonl", rows)
    done = inside.moe("eval", "rows.jsonl", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["rows"] == 5  # "Maths" is an alias of math
    assert done.stderr.splitlines() == [
        'moe: no expert is called "maht"; did you mean "math"? 3 rows are left out',
        'moe: no expert is called "zzz"; 1 row is left out',
    ]


def test_bad_rows_are_told_by_their_number(inside: House) -> None:
    write_rows(inside.folder / "rows.jsonl", [ROWS[0], "", "nonsense", {"text": "no label"}, {"label": "math"},
                                              {"label": "math", "messages": "hi"}, {"label": 3, "text": "x"}])
    done = inside.moe("eval", "rows.jsonl")
    assert done.returncode == 1
    assert done.stdout.startswith("1 prompts: accuracy 1.000")
    assert [line.split(":")[:3] for line in done.stderr.splitlines()] == [
        ["moe", " rows.jsonl", str(number)] for number in range(3, 8)
    ]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["", "\n\n", '{"text": "x", "label": "nobody has this"}\n'])
def test_a_file_without_a_prompt_to_judge_is_a_misuse(inside: House, text: str) -> None:
    (inside.folder / "rows.jsonl").write_text(text)
    done = inside.moe("eval", "rows.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "moe: rows.jsonl has no prompt to judge"


def test_a_file_that_is_not_there_is_told_in_a_line(inside: House) -> None:
    done = inside.moe("eval", "missing.jsonl")
    assert (done.returncode, done.stderr) == (1, "moe: missing.jsonl: No such file or directory\n")


def test_a_conversation_is_judged_as_a_chat_would_be(inside: House) -> None:
    messages = [{"role": "user", "content": MATHS}, {"role": "assistant", "content": "2x"},
                {"role": "user", "content": "And of the next one?"}]
    write_rows(inside.folder / "rows.jsonl", [{"label": "math", "messages": messages}])
    assert figures(inside)["strict"] == 1.0


class Page(HTMLParser):
    """The tags of a page, with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_its_plots_and_runs_nothing_that_a_prompt_brings(inside: House) -> None:
    hostile = f'{CODE} <script>alert(1)</script><img src="https://example.org/x"> " onload="x" {{{{ 7 * 7 }}}}'
    write_rows(inside.folder / "rows.jsonl", [*ROWS, {"id": "<b>", "text": hostile, "label": "math"}])
    assert inside.moe("eval", "rows.jsonl", "--html", "out.html").returncode == 0
    raw = (inside.folder / "out.html").read_text("utf-8")
    page = Page(raw)
    assert hostile in page.text and "<b>" in page.text
    assert not {"script", "img", "link", "iframe", "object", "b"} & set(page.tags)
    assert not {name for name in page.attributes if name.startswith("on")} | (page.attributes.keys() & {"src", "href"})
    assert "default-src 'none'" in raw
    assert page.attributes["aria-label"] == ["reliability", "risk and coverage", "confusion matrix"]
    assert page.tags.count("circle") == 5
    assert "math, said código: 3" in page.text


def test_the_scorer_is_fitted_first_and_own_examples_are_told(inside: House) -> None:
    make_models(inside.folder / "models")
    inside.write(config={"router": {"model_path": None}}, experts=LEARNERS)
    rows = [{"text": text, "label": label} for label, text in ASKED.items()]
    write_rows(inside.folder / "rows.jsonl", [*rows, {"text": "My head  hurts", "label": "doctor"}])
    done = inside.moe("eval", "rows.jsonl", "--json")
    told = json.loads(done.stdout)
    assert (told["strict"], told["stages"]) == (1.0, {"embedding": 5})
    assert done.stderr == "moe: 1 prompt is an example of the experts themselves: of course they are known\n"


def test_other_experts_are_judged_with_the_configs_settings(inside: House, judged: Path) -> None:
    other = [{"id": 0, "label": "rest"}, {"id": 1, "label": "math", "keywords": ["python"]}]
    (inside.folder / "other.json").write_text(json.dumps({"experts": other}))
    told = figures(inside, "--experts", "other.json")
    assert (told["rows"], told["matrix_labels"]) == (4, ["rest", "math"])


def test_a_bar_shows_the_progress_to_whoever_watches(inside: House, judged: Path) -> None:
    master, slave = pty.openpty()
    with inside.running("eval", "rows.jsonl", stderr=slave) as process:
        os.close(slave)
        shown = b""
        try:
            while data := os.read(master, 65536):
                shown += data
        except OSError:  # how Linux tells the end of a pty
            os.close(master)
        assert process.wait(HANG_S) == 0
    assert "judging: 0 of 4" in shown.decode()
