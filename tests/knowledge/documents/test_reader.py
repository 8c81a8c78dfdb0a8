"""Files as text, seen from the server: limits, turns, what is kept, and that no reading goes on unwatched."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from moe.config.schema import DocumentsConfig
from moe.core import Document
from moe.errors import BadRequest
from moe.knowledge.documents.reader import MOST_AT_ONCE, Reader, name_of
from tests.knowledge.documents.files import assemble_pdf, document, make_pdf


def unwatched() -> None:
    """Nobody leaves."""


def children() -> list[str]:
    told = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, check=True, text=True)
    return [line for line in told.stdout.splitlines() if "documents.reading" in line]


def endless(mark: str = "x") -> Document:
    """Pages that take minutes: small once packed, and with much to draw."""
    packed = zlib.compress(b"BT /F1 9 Tf (%s) Tj ET\n" % mark.encode() * 150_000)
    page = (b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(packed)) + packed + b"\nendstream"
    kids = b" ".join(b"%d 0 R" % number for number in range(4, 34))
    return document(assemble_pdf([
        b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [" + kids + b"] /Count 30 >>", page,
        *[b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 3 0 R /Resources << /Font << >> >> >>"] * 30,
    ]), f"slow {mark}.pdf")


def refusal(config: DocumentsConfig, asked: Document, watch: Callable[[], None] = unwatched) -> str:
    with pytest.raises(BadRequest) as caught:
        Reader(config).read(asked, watch=watch)
    return caught.value.message


def test_a_file_is_read_and_the_second_time_remembered() -> None:
    reader = Reader(DocumentsConfig())
    asked = document(make_pdf("Once."))
    assert reader.read(asked, watch=unwatched) == "[page 1]\nOnce."
    began = time.monotonic()
    again = Document(asked.data, "text/plain", "other.txt")
    assert reader.read(again, watch=unwatched) == "[page 1]\nOnce."
    assert time.monotonic() - began < 0.05


def test_each_refusal_names_the_file() -> None:
    small = DocumentsConfig(max_bytes=1000, max_pages=1, max_chars=10)
    assert refusal(small, document(bytes(1001), "big.bin")) == (
        "big.bin is larger than documents.max_bytes (1000) allows")
    assert refusal(small, document(make_pdf("a", "b"), "two.pdf")).startswith("two.pdf has 2 pages")
    assert refusal(small, document(b"a longer text", "x.txt")).startswith("x.txt holds more text")
    assert refusal(small, document(b"", "")) == "the file is empty"
    assert refusal(small, Document("no base64!", "", "x.pdf")) == "x.pdf: invalid base64 data"


def test_a_file_arrives_whole_however_slowly_its_reader_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moe.knowledge.documents.reader.LOOK_EVERY_S", 0.001)
    text = "a line\n" * 50_000  # more than a pipe holds
    assert Reader(DocumentsConfig(timeout_s=5)).read(document(text.encode()), watch=unwatched) == text.rstrip()


def test_base64_may_be_wrapped() -> None:
    assert Reader(DocumentsConfig()).read(Document("aGVs\r\nbG8=\n"), watch=unwatched) == "hello"


def test_a_file_that_takes_too_long_is_given_up_and_its_process_with_it() -> None:
    began = time.monotonic()
    told = refusal(DocumentsConfig(timeout_s=1), endless())
    assert told == "slow x.pdf takes longer to read than documents.timeout_s (1) allows"
    assert time.monotonic() - began < 4
    assert children() == []


def test_who_leaves_takes_the_process_along() -> None:
    seen: list[int] = []

    def watch() -> None:
        seen.append(len(children()))
        if len(seen) == 3:
            raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        Reader(DocumentsConfig()).read(endless(), watch=watch)
    assert seen == [1, 1, 1]
    assert children() == []


def test_eight_at_once_are_read_two_by_two() -> None:
    reader = Reader(DocumentsConfig())
    most, ended = [0], threading.Event()

    def count() -> None:
        while not ended.wait(0.02):
            most[0] = max(most[0], len(children()))

    counter = threading.Thread(target=count)
    counter.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            texts = list(pool.map(lambda i: reader.read(document(make_pdf(f"Text {i}.")), watch=unwatched), range(8)))
    finally:
        ended.set()
        counter.join()
    assert texts == [f"[page 1]\nText {i}." for i in range(8)]
    assert most[0] == 2


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a b.pdf", "a b.pdf"), ("", "the file"), ('x"\n<b>.pdf', "x___b_.pdf"), ("a" * 300, "a" * 200)],
)
def test_a_name_is_fit_for_a_line(name: str, shown: str) -> None:
    assert name_of(Document("", "", name)) == shown


def test_a_refusal_calls_a_file_as_its_client_does() -> None:
    with pytest.raises(BadRequest) as caught:
        Reader(DocumentsConfig()).read(document(b"", ""), watch=unwatched, called="messages[0].content[1]")
    assert caught.value.message == "messages[0].content[1] is empty"


def test_the_slow_files_of_one_client_keep_those_of_another_waiting_for_one_at_most() -> None:
    reader, ended = Reader(DocumentsConfig(timeout_s=2)), list[str]()

    def read(asked: Document, client: str) -> None:
        with contextlib.suppress(BadRequest):
            reader.read(asked, watch=unwatched, client=client)
        ended.append(client)

    with ThreadPoolExecutor(13) as pool:
        slow = [pool.submit(read, endless(mark), "a") for mark in "abcdefgh"]
        while len(children()) < MOST_AT_ONCE:
            time.sleep(0.02)
        for good in [pool.submit(read, document(make_pdf(f"Text {i}.")), "b") for i in range(5)]:
            good.result()
        before = ended.count("a")
        for each in slow:
            each.result()
    assert before <= 2 * MOST_AT_ONCE
    assert ended.count("b") == 5


def test_a_file_is_no_more_than_it_says_in_base64() -> None:
    exact = DocumentsConfig(max_bytes=5)
    data = base64.b64encode(b"hello").decode()
    assert Reader(exact).read(Document(data), watch=unwatched) == "hello"
