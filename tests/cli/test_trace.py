"""`trace`: what became of a request, drawn; from a running server or from the file it left."""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from moe.cli.waterfall import draw, measure
from moe.store import Requests
from moe.trace import Record, Span, tell
from tests.cli.house import HANG_S, MATHS, House
from tests.fakes import http_error

WIDTHS = [40, 60, 79, 80, 100, 140]


def make(**fields: Any) -> dict[str, Any]:
    spans = (
        Span(stage="planner", name="router", started_ms=0.1, ended_ms=0.9, confidence=0.5, reason="math: by its words",
             scores={"math": 0.5, "código": 0.25}),
        Span(stage="workers", name="math", model="phi4:14b", started_ms=1, ended_ms=312, outcome="failed",
             reason="upstream status 500"),
        Span(stage="workers", name="a label that is longer than any label should ever be", model="数学模型:14b",
             started_ms=1, ended_ms=1, outcome="skipped", reason="it failed before, and is left alone for a while"),
        Span(stage="research_fallback", name="網路搜尋" * 12, started_ms=313, ended_ms=1400, reason="說明" * 60),
        Span(stage="workers", name="código", model="devstral:24b", started_ms=313, ended_ms=45_000, first_ms=400,
             prompt_tokens=1200, completion_tokens=3400, reason="in place of math"),
    )
    plain = {"id": "abc", "created": 1.7e9, "path": "/v1/chat/completions", "asked": "lemoe", "stream": True,
             "calls": 2, "stage": "keyword", "expert": "código", "model": "devstral:24b", "confidence": 0.5,
             "finish": "stop", "first_ms": 400, "elapsed_ms": 45_010, "prompt_tokens": 1200,
             "completion_tokens": 3400, "spans": spans}
    return tell(Record(**{**plain, **fields}))


def columns(line: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("is_plain", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, is_plain: bool) -> None:
    long = {"prompt": "word " * 500, "answer": "x" * 5000, "complaint": "漢字" * 500, "asked": "m" * 200}
    for told in (make(), make(**long), make(spans=()), make(id="i" * 64, error="e" * 200, outcome="failed")):
        for line in draw(told, width=width, is_plain=is_plain):
            assert columns(line) == measure(line) <= width, line
            assert line == line.rstrip()


def test_the_bars_stand_where_the_time_went() -> None:
    rows = [line for line in draw(make(), width=100) if "█" in line]
    assert [row.split()[0] for row in rows] == ["planner", "workers", "workers", "research_fallback", "workers"]
    starts, ends = [columns(row[:row.index("█")]) for row in rows], [columns(row) for row in rows]
    assert starts == sorted(starts)
    assert max(ends) == ends[-1] == 100
    assert ends[-1] - starts[-1] > 20
    assert ends[0] - starts[0] == 1


def test_reasons_outcomes_and_scores_are_told() -> None:
    told = "\n".join(draw(make(), width=140))
    for words in ("math: by its words; 50% sure; scores: math 0.50, código 0.25", "FAILED: upstream status 500",
                  "not asked: it failed before", "in place of math; first word at 400 ms", "1200+3400", "44.7 s",
                  "asked for lemoe; answered by código (devstral:24b); status 200, stop",
                  "direct, 2 calls of models, 1200 + 3400 tokens, first word after 400 ms, 45.0 s in all"):
        assert words in told, words


def test_what_a_terminal_would_obey_is_shown_only() -> None:
    told = make(prompt="\x1b[2Jgone\x07\u202e", spans=(
        Span(stage="mcp", name="\x1b[1mtool\n", started_ms=0, ended_ms=1, text="\x9b2J\r\n"),))
    assert not any(unicodedata.category(c) in ("Cc", "Cf") for line in draw(told, width=80) for c in line)


@pytest.mark.parametrize("fields", [{"elapsed_ms": 0.0, "spans": ()}, {"outcome": "left", "status": 499},
                                    {"spans": (Span(stage="mcp", started_ms=0, ended_ms=0),), "elapsed_ms": 0.0},
                                    {"left_off": 3, "answer_confidence": 0.4, "strategy": "escalate"}])
def test_odd_requests_can_be_drawn(fields: dict[str, Any]) -> None:
    assert draw(make(**fields), width=80)


# The command


def put(house: House, text: str = MATHS, *, path: str = "/api/chat") -> str:
    url = f"http://127.0.0.1:{house.env['MOE_PORT']}"
    body = {"model": "lemoe", "stream": True, "messages": [{"role": "user", "content": text}]}
    reply = requests.post(url + path, json=body, timeout=HANG_S)
    assert reply.status_code == 200
    return str(reply.headers["X-Request-Id"])


def test_a_request_is_shown_by_its_id_and_the_newest_without(served: House) -> None:
    first, second = put(served), put(served)
    shown = served.moe("trace", first)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"{first}  /api/chat, streamed  ")
    assert "math (phi4:14b)" in shown.stdout and "by its words" in shown.stdout
    assert served.moe("trace").stdout.startswith(second)


def test_json_is_what_the_server_gives(served: House) -> None:
    name = put(served)
    url = f"http://127.0.0.1:{served.env['MOE_PORT']}/v1/requests/{name}"
    assert json.loads(served.moe("trace", name, "--json").stdout) == requests.get(url, timeout=HANG_S).json()


def test_it_fits_a_narrow_terminal_and_one_without_unicode(served: House) -> None:
    served.ollama.script("phi4:14b", [http_error(500), http_error(500), http_error(500)])
    name = put(served)
    shown = served.moe("trace", name, env={"COLUMNS": "60"}).stdout
    assert "FAILED: upstream status 500" in shown
    assert max(map(columns, shown.splitlines())) <= 59
    plain = served.moe("trace", name, env={"PYTHONIOENCODING": "ascii"}).stdout
    assert plain.isascii() and "#" in plain
    assert "?" not in plain.replace("c?digo", "")


def test_one_that_is_not_known_is_exit_code_1(house: House) -> None:
    for words in (("trace",), ("trace", "nobody"), ("trace", "../models")):
        done = house.moe(*words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("moe: ") and "Traceback" not in done.stderr


def test_without_a_server_the_file_is_read(inside: House) -> None:
    store = Requests(inside.folder / "data" / "moe.sqlite")
    for name in ("one", "two"):
        store.put(Record(id=name, created=1.0))
    store.close()
    assert inside.moe("trace", "one").stdout.startswith("one  ")
    assert inside.moe("trace").stdout.startswith("two  ")
    assert json.loads(inside.moe("trace", "one", "--json", "--local").stdout)["id"] == "one"
    elsewhere = inside.moe("trace", "--url", f"http://127.0.0.1:{inside.env['MOE_PORT']}")
    assert (elsewhere.returncode, "no server answers" in elsewhere.stderr) == (1, True)


def test_a_file_that_is_broken_is_told(inside: House) -> None:
    file = Path(inside.folder / "data" / "moe.sqlite")
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"no database" * 100)
    done = inside.moe("trace", "one")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)


def test_reading_changes_nothing(inside: House) -> None:
    store = Requests(inside.folder / "data" / "moe.sqlite")
    store.keep_text(True)
    store.put(Record(id="one", created=1.0, prompt="what was said"))
    store.close()
    assert "what was said" in inside.moe("trace", "one").stdout
    with closing(sqlite3.connect(inside.folder / "data" / "moe.sqlite")) as raw:
        assert raw.execute("SELECT id, has_text FROM requests").fetchall() == [("one", 1)]
