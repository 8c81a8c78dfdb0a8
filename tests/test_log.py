"""Log lines: one a record whatever is in it, rotated by size, and said somewhere even where no file can be."""

from __future__ import annotations

import io
import logging
import os
import threading
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moe import log

HANG_S = 30
BIDI_CONTROLS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN")


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The project's logger, left as it was found."""
    logger = logging.getLogger(log.LOGGER)
    before = (list(logger.handlers), logger.level, logger.propagate)
    logger.handlers = []
    yield logger
    for handler in logger.handlers:
        handler.close()
    logger.handlers, logger.level, logger.propagate = before


@given(text=st.text(max_size=400))
@example(text="\x1b[31mred\x1b[0m\x07\x9b1A")
@example(text="two\r\nlines\x0bthree\x85four\u2028five\u2029")
@example(text="\u202ereversed \u2066isolated\u2069 \u061cmark")
@example(text="in\u200bvis\u2060ible\ufeff\u00ad\U000e0041\U000e007f")
@example(text="half \ud83d a pair")
def test_whatever_a_user_writes_stays_one_visible_line(text: str) -> None:
    cleaned = log.clean(text)
    assert len(cleaned.splitlines()) <= 1
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in cleaned)
    assert not any(unicodedata.bidirectional(character) in BIDI_CONTROLS for character in cleaned)
    cleaned.encode("utf-8")


@given(text=st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "Mn", "Mc"]), max_size=log.MAX_TEXT))
@example(text="Grüße, 世界! 👍🏽 ñ 😀️")
def test_ordinary_text_in_any_script_is_left_alone(text: str) -> None:
    assert log.clean(text) == text


def test_a_control_is_shown_as_its_escape() -> None:
    assert log.clean("a\nb\x1b[2J\u202e") == r"a\nb\x1b[2J\u202e"


@given(text=st.text(max_size=1000), limit=st.integers(1, 500))
def test_a_long_text_is_cut_and_says_so(text: str, limit: int) -> None:
    cleaned = log.clean(text.replace("\\", "/"), limit=limit)
    assert cleaned.endswith("…") or len(text) <= limit
    assert len(cleaned) <= 10 * limit + 1  # an escape is at most ten characters: \U000e0041


def test_what_is_no_text_is_written_as_one() -> None:
    assert log.clean(ValueError("a\nb")) == r"a\nb"
    assert log.clean(None) == "None"


def test_a_record_is_one_line_even_if_nobody_cleaned_its_values() -> None:
    out = io.StringIO()
    print_record(out, "asked %s", "x\n2026-01-01 00:00:00 INFO moe forged\x1b[2J")
    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue()


def test_no_line_of_a_traceback_can_pass_for_a_record() -> None:
    out = io.StringIO()
    try:
        raise ValueError("bad\n2026-01-01 00:00:00 INFO moe forged")
    except ValueError as error:
        print_record(out, "request=%s failed", "1\n2026 INFO forged too", error=error)
    first, *others = out.getvalue().splitlines()
    assert "request=1" in first
    assert any("Traceback" in line for line in others)
    assert any("forged" in line for line in others)
    assert all(line.startswith(log.CONTINUED) for line in others)


def print_record(out: io.StringIO, text: str, *values: object, error: Exception | None = None) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(log.OneLine("%(levelname)s %(message)s"))
    info = (type(error), error, error.__traceback__) if error else None
    handler.handle(logging.LogRecord("moe", logging.ERROR, "", 0, text, values, info))


def test_records_go_to_the_file_and_to_standard_error(
    logger: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up(tmp_path / "logs", level="INFO")
    logging.getLogger("moe.any").info("hello ü")
    logger.debug("too quiet")
    written = (tmp_path / "logs" / "moe.log").read_text(encoding="utf-8")
    assert written == capsys.readouterr().err
    assert written.endswith("INFO moe.any hello ü\n")
    assert "too quiet" not in written


def test_a_command_line_keeps_its_log_off_the_terminal(
    logger: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up(tmp_path, level="INFO", echoes=False)
    logger.info("quietly")
    assert "quietly" in (tmp_path / "moe.log").read_text(encoding="utf-8")
    assert capsys.readouterr().err == ""


def test_set_up_twice_does_not_write_twice(logger: logging.Logger, tmp_path: Path) -> None:
    log.set_up(tmp_path / "first", level="INFO")
    log.set_up(tmp_path / "second", level="INFO")
    logger.info("once")
    assert (tmp_path / "second" / "moe.log").read_text(encoding="utf-8").count("once") == 1
    assert "once" not in (tmp_path / "first" / "moe.log").read_text(encoding="utf-8")


def test_a_level_that_is_none_is_told_and_info_used(
    logger: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up(tmp_path, level="LOUD\n")
    assert logger.level == logging.INFO
    assert r"'LOUD\\n' is no log level (DEBUG, INFO, WARNING, ERROR, CRITICAL)" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_leaves_standard_error(
    logger: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be", encoding="utf-8")
    log.set_up(tmp_path / "logs", level="INFO")
    logger.info("still heard")
    said = capsys.readouterr().err
    assert "no log file" in said
    assert "still heard" in said


def test_lines_written_together_are_all_there_in_their_order_once_it_is_closed(
    logger: logging.Logger, tmp_path: Path
) -> None:
    log.set_up(tmp_path, level="INFO", echoes=False, every_s=60)
    for number in range(50):
        logger.info("line %d", number)
    assert (tmp_path / "moe.log").read_text(encoding="utf-8") == ""
    logger.handlers[0].close()
    lines = (tmp_path / "moe.log").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == [str(number) for number in range(50)]


def test_a_warning_does_not_wait_and_takes_along_what_came_before(
    logger: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up(tmp_path, level="INFO", every_s=60)
    logger.info("before")
    logger.warning("now\n%s", "it matters")
    written = (tmp_path / "moe.log").read_text(encoding="utf-8")
    assert written == capsys.readouterr().err
    assert [line.partition(" moe ")[2] for line in written.splitlines()] == ["before", r"now\nit matters"]


def test_lines_are_written_after_a_while_without_anybody_asking(logger: logging.Logger, tmp_path: Path) -> None:
    log.set_up(tmp_path, level="INFO", echoes=False, every_s=0.01)
    for word in ("first", "second"):
        logger.info(word)
        until = time.monotonic() + 10
        while word not in (tmp_path / "moe.log").read_text(encoding="utf-8"):
            assert time.monotonic() < until
            time.sleep(0.01)


def test_lines_gathered_for_a_moment_all_arrive_each_thread_s_in_its_order(
    logger: logging.Logger, tmp_path: Path
) -> None:
    log.set_up(tmp_path, level="INFO", echoes=False, every_s=0.01)

    def write(name: str) -> None:
        for number in range(200):
            logger.info("%s-%d", name, number)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_S)
    until = time.monotonic() + HANG_S
    while (text := (tmp_path / "moe.log").read_text(encoding="utf-8")).count("\n") < 800:
        assert time.monotonic() < until
        time.sleep(0.01)
    lines = [line.rpartition(" ")[2] for line in text.splitlines()]
    for name in "abcd":
        assert [line for line in lines if line.startswith(name)] == [f"{name}-{number}" for number in range(200)]


def test_a_full_file_is_put_aside_and_only_so_many_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "moe.log"
    handler = log.SizedFile(file, maxBytes=1000, backupCount=log.BACKUPS, encoding="utf-8")
    for number in range(200):
        handler.handle(logging.LogRecord("moe", logging.INFO, "", 0, f"{number:04d} " + "x" * 94, None, None))
    handler.close()
    files = sorted(tmp_path.iterdir())
    assert [each.name for each in files] == ["moe.log", "moe.log.1", "moe.log.2", "moe.log.3"]
    assert all(0 < each.stat().st_size <= 1100 for each in files)
    oldest_first = sorted(files, key=lambda each: each.name, reverse=True)
    lines = "".join(each.read_text(encoding="utf-8") for each in oldest_first).splitlines()
    numbers = [int(line[:4]) for line in lines]
    assert numbers == list(range(numbers[0], 200))


def test_only_the_owner_can_read_a_log_also_after_a_rotation(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        handler = log.SizedFile(tmp_path / "moe.log", maxBytes=100, backupCount=2, encoding="utf-8")
        for _ in range(3):
            handler.handle(logging.LogRecord("moe", logging.INFO, "", 0, "x" * 100, None, None))
        handler.close()
    finally:
        os.umask(umask)
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("moe.log", "moe.log.1", "moe.log.2"), "0o600")


def test_what_was_written_before_counts_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "moe.log"
    file.write_text("x" * 2000, encoding="utf-8")
    handler = log.SizedFile(file, maxBytes=1000, backupCount=1, encoding="utf-8")
    handler.handle(logging.LogRecord("moe", logging.INFO, "", 0, "new", None, None))
    handler.close()
    assert file.read_text(encoding="utf-8") == "new\n"
    assert (tmp_path / "moe.log.1").stat().st_size == 2000
