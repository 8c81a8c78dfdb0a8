"""Every kind of file, read by the real child process."""

from __future__ import annotations

import random
import subprocess
import sys
import zipfile
from datetime import date
from io import BytesIO

import msgspec
import openpyxl
import pytest
from openpyxl.worksheet.formula import ArrayFormula

from moe.config.settings import ROOT
from moe.knowledge.documents.pages import Limits
from tests.knowledge.documents.files import (
    draw_pdf,
    encrypt_pdf,
    make_pdf,
    make_sheets,
    make_slides,
    make_word,
    pack,
    paragraph,
)

LIMITS = Limits(pages=20, chars=50_000, cpu_s=20, memory_bytes=1 << 30)
COMMAND = [sys.executable, "-B", "-m", "moe.knowledge.documents.reading"]


def tell(data: bytes, limits: Limits = LIMITS) -> dict[str, str]:
    sent = msgspec.json.encode(limits) + b"\n" + data
    done = subprocess.run(COMMAND, cwd=ROOT, input=sent, capture_output=True, timeout=60, check=True)
    assert done.stderr == b""
    told: dict[str, str] = msgspec.json.decode(done.stdout)
    return told


def text_of(data: bytes) -> str:
    return tell(data)["text"]


def fault_of(data: bytes, limits: Limits = LIMITS) -> str:
    return tell(data, limits)["fault"]


# What is read


def test_a_pdf_is_read_page_by_page() -> None:
    assert text_of(make_pdf("First things.", "", "Last things.")) == (
        "[page 1]\nFirst things.\n\n[page 2]\n\n[page 3]\nLast things.")


def test_a_pdf_that_opens_without_a_password_is_read() -> None:
    assert "Anybody" in text_of(encrypt_pdf(make_pdf("Anybody may read."), ""))


def test_word_is_read_with_its_tables_lists_boxes_and_notes_and_without_what_was_deleted() -> None:
    table = f"<w:tbl><w:tr><w:tc>{paragraph('a')}</w:tc><w:tc>{paragraph('b')}{paragraph('c')}</w:tc></w:tr></w:tbl>"
    item = "<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>point</w:t></w:r></w:p>"
    box = (f'<w:p><w:r><mc:AlternateContent xmlns:mc="mc"><mc:Choice><w:txbxContent>{paragraph("boxed")}'
           f'</w:txbxContent></mc:Choice><mc:Fallback>{paragraph("boxed")}</mc:Fallback></mc:AlternateContent></w:r></w:p>')
    gone = "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:r><w:t>kept</w:t></w:r></w:p>"
    body = paragraph("one ", "line") + table + item + box + gone
    assert text_of(make_word(body, paragraph("a note"))).split("\n") == [
        "one line", "a | b c", "- point", "", "boxed", "kept", "a note"]


def test_slides_come_in_the_order_they_are_shown_with_their_notes() -> None:
    made = make_slides("shown first", "shown last", notes="say this")
    assert text_of(made) == "[slide 1]\nshown first\nsay this\n\n[slide 2]\nshown last"


def test_a_workbook_is_read_row_by_row() -> None:
    made = make_sheets(Costs=[["item", "price", "on"], ["tea", 2.0, date(2024, 5, 1)], [], [None, 2.5]], Empty=[])
    assert text_of(made) == "[sheet Costs]\nitem | price | on\ntea | 2 | 2024-05-01\n | 2.5\n\n[sheet Empty]"


def test_what_stands_on_each_page_of_a_word_file_is_read_once() -> None:
    made = make_word(paragraph("the text"), header1=paragraph("Our company"), header2=paragraph("Our company"),
                     footer1=paragraph("secret"))
    assert text_of(made) == "the text\n\n[headers and footers]\nOur company\nsecret"


def test_a_cell_far_off_is_called_by_its_place_and_empty_columns_are_left_out() -> None:
    book = openpyxl.Workbook()
    book.active["XFD1048576"] = "far"
    book.create_sheet("Table").append([None, None, "a", "b"])
    book["Table"].append([None, None, None, 2])
    book["Table"]["Z3"] = "aside"
    book["Table"]["D3"] = "x"
    assert text_of(save_book(book)) == ("[sheet Sheet, from cell XFD1048576]\nfar\n\n"
                                        "[sheet Table, from cell C1]\na | b\n | 2\n | x | Z3: aside")


def test_a_formula_that_nobody_has_calculated_is_shown_itself() -> None:
    book = openpyxl.Workbook()
    book.active.append([2, "=A1*2", "=Other!A1"])
    book.active["D1"] = ArrayFormula("D1:D2", "=SUM(A1:A2*2)")
    book.create_sheet("Other").append([7])
    assert text_of(save_book(book)) == "[sheet Sheet]\n2 | =A1*2 | =Other!A1 | =SUM(A1:A2*2)\n\n[sheet Other]\n7"


def test_a_formula_with_a_value_is_its_value() -> None:
    book = openpyxl.Workbook()
    book.active.append([2, "=A1*2"])
    made = rewrite(save_book(book), "xl/worksheets/sheet1.xml", b"<v></v>", b"<v>4</v>")
    assert text_of(made) == "[sheet Sheet]\n2 | 4"


def save_book(book: openpyxl.Workbook) -> bytes:
    written = BytesIO()
    book.save(written)
    return written.getvalue()


def rewrite(packed: bytes, name: str, old: bytes, new: bytes) -> bytes:
    """The archive with something else in one of its parts."""
    with zipfile.ZipFile(BytesIO(packed)) as archive:
        parts = {each: archive.read(each) for each in archive.namelist()}
    assert old in parts[name]
    return pack(parts | {name: parts[name].replace(old, new)})


def test_a_web_page_is_read_without_its_scripts() -> None:
    page = """<!-- made by hand --><!DOCTYPE html><html><head><title>The &amp; title</title><style>p{}</style></head>
    <body><script>alert(1)</script><h1>Über <b>uns</b></h1><p>one
    two</p><table><tr><th>a</th><td>b</td></tr></table></body></html>"""
    assert text_of(page.encode()) == "The & title\nÜber uns\none two\na | b"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"name,age\nZo\xc3\xab,7\n", "name,age\nZoë,7"),
        (b"\xef\xbb\xbf# Title\n", "# Title"),
        ("grüß".encode("utf-16"), "grüß"),
        ("naïve café".encode("cp1252"), "naïve café"),
        (b'{"a": "%PDF-1.4 is how one begins"}', '{"a": "%PDF-1.4 is how one begins"}'),
        (b"<note>&x;</note>", "<note>&x;</note>"),
    ],
)
def test_text_is_taken_as_it_is(data: bytes, text: str) -> None:
    assert text_of(data) == text


# What is not


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        (make_pdf("", ""), "has no text, so it is empty or scanned: send its pages as images"),
        (encrypt_pdf(make_pdf("Secret."), "secret"), "is encrypted: send it without a password"),
        (b"%PDF-1.4\nnothing of one", "is damaged: it cannot be read as PDF"),
        (make_pdf("A page.")[:200], "is damaged: it cannot be read as PDF"),
        (make_pdf(*["x"] * 21), "has 21 pages, more than documents.max_pages (20) allows"),
        (b"a" * 60_000, "holds more text than documents.max_chars (50000) allows"),
        (pack({"hello.txt": "hello"}), "is a zip archive, which is not read here"),
        (make_word(paragraph("x"))[:300], "is damaged: it begins as an Office file or a zip archive and cannot be"),
        (pack({"word/x.xml": "<x/>"}), "is damaged: it lacks its main part"),
        (make_word("<w:p>"), "is damaged: it cannot be read as a Word file"),
        (make_word(""), "has no text"),
        (make_slides(""), "has no text: send its slides as images"),
        (make_sheets(Empty=[]), "has no values in its cells"),
        (pack({"xl/workbook.xml": "<x/>"}), "is damaged: it cannot be read as an Excel file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is an Office file of before 2007"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "is encrypted"),
        (b"{\\rtf1 hello}", "is RTF, which is not read here: send PDF, Word"),
        (random.Random(1).randbytes(5000), "is of no kind that is read here: send PDF, Word"),
        (b"<html><body><script>x()</script></body></html>", "is a web page without text"),
    ],
)
def test_what_cannot_be_read_is_told_why(data: bytes, words: str) -> None:
    assert fault_of(data).startswith(words)


def test_an_entity_in_an_office_file_leads_nowhere() -> None:
    prolog = '<!DOCTYPE w:document [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    assert fault_of(make_word(paragraph("&x;"), prolog=prolog)) == "is no sound Office file: it defines entities"


def test_entities_of_entities_do_not_grow() -> None:
    steps = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    prolog = f'<!DOCTYPE w:document [<!ENTITY e0 "lol">{steps}]>'
    assert "is " in fault_of(make_word(paragraph("&e11;"), prolog=prolog))


def test_an_archive_that_unpacks_without_end_is_not_unpacked() -> None:
    bomb = pack({"word/document.xml": bytes(201 << 20)})
    assert len(bomb) < 1 << 20
    assert fault_of(bomb) == "is too large once unpacked: it has more than 200 MB, or more than 10,000 parts"


TEXT = b"BT (x) Tj ET\n"


@pytest.mark.parametrize(("made", "words"), [
    (draw_pdf(TEXT * (40 << 20 >> 2)), "a part of it holds more than 75,000,000 bytes once unpacked"),
    (draw_pdf(TEXT * 400_000), "what draws page 1 has 5,200,000 bytes once unpacked, more than the 4,000,000"),
    (draw_pdf(b"/Form Do", TEXT * 400_000), "what draws page 1 has 5,200,000 bytes once unpacked"),
])
def test_a_page_that_unpacks_without_end_is_called_too_large_and_not_damaged(made: bytes, words: str) -> None:
    assert fault_of(made).startswith(f"is too large to be read: {words}")


def test_a_drawing_without_text_may_be_large_for_it_is_not_read() -> None:
    assert fault_of(draw_pdf(b"1 2 3 4 5 6 c\n" * 400_000)).startswith("has no text")


def test_a_form_that_is_broken_is_gone_without() -> None:
    made = draw_pdf(b"BT (hello) Tj ET /Form Do", b"x").replace(b"/Subtype /Form", b"/Subtype /Form /Filter /None")
    assert text_of(made) == "[page 1]\nhello"


@pytest.mark.parametrize("body", [paragraph("x" * 11_000_000), "<w:p>" * 300 + "</w:p>" * 300])
def test_a_word_file_beyond_the_parser_is_called_too_large_and_not_damaged(body: str) -> None:
    assert fault_of(make_word(body)) == (
        "is too large to be read: a single text in it has more than 10 MB, or it is nested more than 256 deep")


@pytest.mark.parametrize("made", [make_word(paragraph("x") * 500_000), b"<html><body>" + b"<p>x" * 1_000_000])
def test_what_takes_too_much_memory_is_not_called_damaged(made: bytes) -> None:
    small = Limits(pages=20, chars=50_000_000, cpu_s=20, memory_bytes=200 << 20)
    assert fault_of(made, small) == "takes more memory to read than the 200 MB that it may have"


def test_what_lies_deep_is_read_or_refused_and_never_left_out() -> None:
    assert text_of(b"<html><body>" + b"<div>" * 400 + b"deep") == "deep"
    assert fault_of(b"<html><body>" + b"<div>" * 5000 + b"deep") == "is nested too deeply to be read"


def test_memory_has_an_end() -> None:
    small = Limits(pages=20, chars=500_000_000, cpu_s=20, memory_bytes=200 << 20)
    assert fault_of(b"a" * (120 << 20), small) == "takes more memory to read than the 200 MB that it may have"


@pytest.mark.parametrize("deed", [
    "import socket; socket.create_connection(('127.0.0.1', 9))", "import os; os.system('true')",
    "import subprocess; subprocess.run(['true'])", "import socket; socket.getaddrinfo('localhost', 1)",
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')",
])
def test_the_reading_process_can_do_nothing_else(deed: str) -> None:
    code = ("from moe.knowledge.documents.reading import _confine; from moe.knowledge.documents.pages import Limits\n"
            f"_confine(Limits(pages=1, chars=1, cpu_s=9, memory_bytes=1 << 30))\n{deed}\n")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=30, check=False)
    assert b"is not allowed here" in done.stderr


def test_the_reading_process_cannot_write(tmp_path: object) -> None:
    code = ("from moe.knowledge.documents.reading import _confine; from moe.knowledge.documents.pages import Limits\n"
            f"_confine(Limits(pages=1, chars=1, cpu_s=9, memory_bytes=1 << 30))\nopen({str(tmp_path)!r} + '/x', 'w', 1)"
            ".write('x\\n')\n")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=30, check=False)
    assert b"File too large" in done.stderr
