"""`route --batch`: a file of prompts becomes a file of labels."""

from __future__ import annotations

import json
import os
import pty
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.house import CODE, HANG_S, LEARNERS, MATHS, NEITHER, House
from tests.config.files import FALLBACK, expert
from tests.config.test_lemoe import LEMOE
from tests.routing.prompts import ASKED

LABELS = {MATHS: "math", CODE: "código", NEITHER: "fallback"}


def write_rows(file: Path, rows: list[Any]) -> Path:
    file.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def read_rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def fifty(inside: House) -> Path:
    texts = list(LABELS)
    rows = [{"id": f"row-{i}", "text": texts[i % 3], "label": "ignored", "lang": "en"} for i in range(50)]
    return write_rows(inside.folder / "in.jsonl", rows)


def test_every_line_gets_its_label_in_order(inside: House, fifty: Path) -> None:
    done = inside.moe("route", "--batch", "in.jsonl", "out.jsonl")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    rows = read_rows(inside.folder / "out.jsonl")
    asked = read_rows(fifty)
    assert [row["id"] for row in rows] == [f"row-{i}" for i in range(50)]
    assert [row["label"] for row in rows] == [LABELS[row["text"]] for row in asked]
    assert all(set(row) == {"id", "label", "confidence", "stage"} for row in rows)
    assert {row["stage"] for row in rows} == {"keyword", "fallback"}
    assert all(0 <= row["confidence"] <= 1 for row in rows)


def test_it_asks_nobody(inside: House, fifty: Path) -> None:
    done = inside.moe("route", "--batch", "in.jsonl", "out.jsonl", env={"MOE_PORT": str(inside.ollama.port)})
    assert done.returncode == 0
    assert inside.ollama.connections == 0


def test_the_answers_are_those_of_a_single_call(inside: House) -> None:
    write_rows(inside.folder / "in.jsonl", [{"id": text, "text": text} for text in LABELS])
    assert inside.moe("route", "--batch", "in.jsonl", "out.jsonl").returncode == 0
    for row in read_rows(inside.folder / "out.jsonl"):
        told = json.loads(inside.moe("route", "--json", row["id"]).stdout)
        assert (row["label"], row["stage"], row["confidence"]) == (told["expert"], told["stage"], told["confidence"])


def test_conversations_are_routed_as_a_chat_would_be(inside: House) -> None:
    messages = [{"role": "user", "content": MATHS}, {"role": "assistant", "content": "2x"},
                {"role": "user", "content": "And of the next one?"}]
    parts = [{"role": "user", "content": [{"type": "text", "text": CODE}]}]
    write_rows(inside.folder / "in.jsonl", [{"id": 1, "messages": messages}, {"id": 2, "messages": parts}])
    assert inside.moe("route", "--batch", "in.jsonl", "out.jsonl").returncode == 0
    assert [row["label"] for row in read_rows(inside.folder / "out.jsonl")] == ["math", "código"]


def test_experts_from_any_file_are_routed_with_the_configs_settings(inside: House, tmp_path: Path) -> None:
    inside.write(config={"router": {"model_path": "", "confidence_threshold_keyword": 0.9}})
    write_rows(inside.folder / "in.jsonl", [{"id": 1, "text": "translate this, please"}, {"id": 2, "text": MATHS}])
    done = inside.moe("route", "--batch", "in.jsonl", "out.jsonl", "--experts", f"{LEMOE}/experts.json")
    assert done.returncode == 0
    assert {row["label"] for row in read_rows(inside.folder / "out.jsonl")} == {"fallback"}
    inside.write(config={"router": {"model_path": "", "confidence_threshold_keyword": 0.3}})
    inside.moe("route", "--batch", "in.jsonl", "out.jsonl", "--experts", f"{LEMOE}/experts.json")
    assert [row["label"] for row in read_rows(inside.folder / "out.jsonl")] == ["local_translate", "local_math"]


def test_many_experts_are_as_many_as_their_file_allows(inside: House) -> None:
    many = [FALLBACK, *(expert(i, f"intent{i}", keywords=[f"word{i}"]) for i in range(1, 78))]
    file = inside.folder / "many.json"
    file.write_text(json.dumps({"max_experts": 100, "experts": many}))
    write_rows(inside.folder / "in.jsonl", [{"id": i, "text": f"say word{i}"} for i in range(1, 78)])
    assert inside.moe("route", "--batch", "in.jsonl", "out.jsonl", "--experts", "many.json").returncode == 0
    assert [row["label"] for row in read_rows(inside.folder / "out.jsonl")] == [f"intent{i}" for i in range(1, 78)]


def test_bad_lines_are_told_by_their_number_and_the_rest_is_done(inside: House) -> None:
    (inside.folder / "in.jsonl").write_bytes(b"\n".join([
        b'\xef\xbb\xbf{"id": 1, "text": "' + MATHS.encode() + b'"}', b"", b"not json", b'["a", "list"]',
        b'{"text": "no id"}', b'{"id": 6}', b'{"id": 7, "text": 7}',
        b'{"id": 8, "messages": [{"role": "nobody", "content": "x"}]}',
        b'{"id": 9, "text": "\xff"}', b'{"id": NaN, "text": "x"}', b"[" * 100_000, b'{"id": 12, "messages": "hi"}',
        b'{"id": 13, "messages": []}', b'{"id": null, "text": "' + CODE.encode() + b'"}\r',
        b'{"id": "\\ud83d", "text": "half a \\ud83d character"}', b'{"id": 16, "text": ""}',
    ]))
    done = inside.moe("route", "--batch", "in.jsonl", "out.jsonl")
    assert (done.returncode, done.stdout) == (1, "")
    rows = read_rows(inside.folder / "out.jsonl")
    assert [(row["id"], row["label"]) for row in rows] == [
        (1, "math"), (None, "código"), (16, "fallback"),
    ]
    lines = done.stderr.splitlines()
    assert [line.split(":")[:3] for line in lines] == [["moe", " in.jsonl", str(i)] for i in (*range(3, 14), 15)]
    assert "Traceback" not in done.stderr
    assert "not valid JSON" in lines[0]
    assert '"id" is missing' in lines[2]
    assert 'neither "text" nor "messages"' in lines[3]


def test_the_result_appears_whole_or_not_at_all(inside: House) -> None:
    os.mkfifo(inside.folder / "slow.jsonl")
    (inside.folder / "out.jsonl").write_text("the former result\n")
    batch = inside.running("route", "--batch", "slow.jsonl", "out.jsonl")
    with batch as process, (inside.folder / "slow.jsonl").open("w") as feeding:
        feeding.write(f'{{"id": 1, "text": "{MATHS}"}}\n')
        feeding.flush()
        _wait_for_part(inside.folder)
        assert (inside.folder / "out.jsonl").read_text() == "the former result\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(HANG_S) == 130
    assert (inside.folder / "out.jsonl").read_text() == "the former result\n"
    assert not list(inside.folder.glob(".out*"))


def _wait_for_part(folder: Path) -> None:
    until = time.monotonic() + HANG_S
    while not list(folder.glob(".out.jsonl.*.part")):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_result_may_be_a_pipe_but_not_replace_its_source(inside: House, fifty: Path) -> None:
    done = inside.moe("route", "--batch", "in.jsonl", "/dev/stdout")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 50
    before = fifty.read_bytes()
    (inside.folder / "link.jsonl").symlink_to(fifty)
    for name in ("in.jsonl", "./in.jsonl", "link.jsonl"):
        done = inside.moe("route", "--batch", "in.jsonl", name)
        assert done.returncode == 2 and "would take the place of what is read" in done.stderr
    assert fifty.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("missing.jsonl", "out.jsonl"), 1, "missing.jsonl: No such file or directory"),
        (("config", "out.jsonl"), 1, "config: Is a directory"),
        (("in.jsonl", "no/such/folder/out.jsonl"), 1, "moe: no/such/folder/out.jsonl: No such file or directory"),
        (("in.jsonl", "out.jsonl", "--experts", "missing.json"), 2, "missing.json: cannot be read"),
        (("in.jsonl", "out.jsonl", "--experts", "in.jsonl"), 2, "in.jsonl:2: not valid JSON"),
        (("in.jsonl", "out.jsonl", "--json"), 2, "--batch takes its prompts from the file"),
        (("in.jsonl",), 2, "expected 2 arguments"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    inside: House, fifty: Path, words: tuple[str, ...], code: int, told: str
) -> None:
    done = inside.moe("route", "--batch", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr.splitlines()[-1]
    assert not (inside.folder / "out.jsonl").exists()


def test_a_bar_shows_the_progress_to_whoever_watches(inside: House, fifty: Path) -> None:
    master, slave = pty.openpty()
    with inside.running("route", "--batch", "in.jsonl", "out.jsonl", stderr=slave) as process:
        os.close(slave)
        shown = b"".join(_read_all(master)).decode()
        assert process.wait(HANG_S) == 0
    assert "] " in shown and "%" in shown
    assert "50 labelled in out.jsonl" in shown


def _read_all(master: int) -> Iterator[bytes]:
    try:
        while data := os.read(master, 65536):
            yield data
    except OSError:  # how Linux tells the end of a pty
        return
    finally:
        os.close(master)


def test_a_missing_encoder_is_told_once_and_keywords_decide(inside: House, fifty: Path) -> None:
    inside.write(config={"router": {"model_path": None}})
    done = inside.moe("route", "--batch", "in.jsonl", "out.jsonl")
    assert done.returncode == 0
    assert done.stderr == "moe: no encoder: experts are chosen by their keywords; ./setup.sh makes one\n"
    assert {row["label"] for row in read_rows(inside.folder / "out.jsonl")} == set(LABELS.values())


def test_a_place_that_cannot_be_written_is_told_as_the_user_named_it(inside: House, fifty: Path) -> None:
    (inside.folder / "plain").touch()
    done = inside.moe("route", "--batch", "in.jsonl", "plain/out.jsonl")
    assert (done.returncode, done.stderr) == (1, "moe: plain/out.jsonl: Not a directory\n")


def test_experts_with_few_examples_are_told_once(fitted: House) -> None:
    few = [{**each, "examples": each["examples"][:4]} if each["label"] == "chef" else each for each in LEARNERS]
    write_rows(fitted.folder / "in.jsonl", [{"id": place, "text": text} for place, text in enumerate(ASKED.values())])
    for experts, said in ((LEARNERS, ""), (few, "moe: confidences are a guess for: chef (fewer than 5 examples)\n")):
        fitted.write(config={"router": {"model_path": None}}, experts=experts)
        done = fitted.moe("route", "--batch", "in.jsonl", "out.jsonl")
        assert (done.returncode, done.stderr) == (0, said)
