"""References as people write them, and statutes as the official site writes them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from moe.tools.law.documents import BadStatute, read_contents, read_label, read_law
from moe.tools.law.references import Reference, read_references
from moe.tools.law.sentences import split_certainly, split_sentences
from tests.statutes import BGB, HEAD, PROBE, Statute, Text, Unit


@pytest.mark.parametrize(("text", "reference", "rest"), [
    ("§ 242", Reference(kind="§", number="242"), ""),
    ("§312a BGB", Reference(kind="§", number="312a"), "BGB"),
    ("§ 312 a BGB", Reference(kind="§", number="312a"), "BGB"),
    ("Art. 20a GG", Reference(kind="Art", number="20a"), "GG"),
    ("Artikel 1 Abs. 1 des GG", Reference(kind="Art", number="1", paragraph="1"), "des GG"),
    ("Anlage 1 BGB", Reference(kind="Anlage", number="1"), "BGB"),
    ("anlage", Reference(kind="Anlage", number=""), ""),
    ("Paragraph 5 AO", Reference(kind="§", number="5"), "AO"),
    ("section 5 of X", Reference(kind="§", number="5"), "of X"),
    ("§ 433 IV BGB", Reference(kind="§", number="433", paragraph="4"), "BGB"),
    ("§ 5 SGB V", Reference(kind="§", number="5"), "SGB V"),
    ("§ 1 Absatz 2 Nummer 3 BGB", Reference(kind="§", number="1", paragraph="2", item="3"), "BGB"),
    ("§ 1 Abs. 1a Satz 2 Nr. 3b lit. c", Reference(kind="§", number="1", paragraph="1a", sentence="2", item="3b",
                                                   letter="c"), ""),
    ("Art. 229 § 5 S. 1 EGBGB", Reference(kind="§", number="5", sentence="1", within="229"), "EGBGB"),
    ("§ 433 ff. BGB", Reference(kind="§", number="433", following=2), "BGB"),
    ("§ 433 I S. 2", Reference(kind="§", number="433", paragraph="1", sentence="2"), ""),
    ("§ 434 II Nr. 2", Reference(kind="§", number="434", paragraph="2", item="2"), ""),
    ("§ 433 (1) 2", Reference(kind="§", number="433", paragraph="1", sentence="2"), ""),
    ("§ 823 Abs. I", Reference(kind="§", number="823", paragraph="1"), ""),
    ("§ 2 Abs. 2 a", Reference(kind="§", number="2", paragraph="2a"), ""),
    ("Anl. 1", Reference(kind="Anlage", number="1"), ""), ("§1bgb", Reference(kind="§", number="1"), "bgb"),
    ("§ 242BGB", Reference(kind="§", number="242"), "BGB"),
    ("Präambel GG", Reference(kind="", number="", name="Präambel"), "GG"),
    ("§ 433 Abs. 1 bis 2", Reference(kind="§", number="433", paragraph="1", last="2"), ""),
    ("§ 433 Abs. 1-Abs. 2", Reference(kind="§", number="433", paragraph="1", last="2"), ""),
])
def test_references_as_people_write_them(text: str, reference: Reference, rest: str) -> None:
    assert read_references(text) == ((reference,), rest)


@pytest.mark.parametrize(("text", "parts", "rest"), [
    ("§ 1 Abs. 1 und 5 TestG", ["1", "5"], "TestG"), ("Art. 1 Abs. 2 und 20 GG", ["2", "20"], "GG"),
    ("§ 1 Abs. 1 u. 2", ["1", "2"], ""), ("§ 1 Abs. 1, 3 und 5", ["1", "3", "5"], ""),
    ("§ 1 Abs. 1 und Abs. 2 BGB", ["1", "2"], "BGB"), ("§ 1 I und II BGB", ["1", "2"], "BGB"),
    ("§ 1 (1), (2)", ["1", "2"], ""), ("§ 433 Abs. 1, 434 BGB", ["1", "434"], "BGB"),
    ("§ 1 I, 5", ["1"], ", 5"), ("§ 1 (1), 5", ["1"], ", 5"), ("§§ 433 Abs. 1 und 2", ["1"], "und 2"),
    ("§§ 1 Abs. 1, 5", ["1"], ", 5"), ("§ 1 Abs. 2 und 1", ["2"], "und 1"), ("§ 1 Abs. 1 f.", ["1"], "f."),
])
def test_a_bare_number_after_a_part_is_a_part_of_the_same_norm(text: str, parts: list[str], rest: str) -> None:
    found, left = read_references(text)
    assert ([each.paragraph for each in found], left) == (parts, rest)
    assert len({each.number for each in found}) == 1


@pytest.mark.parametrize(("text", "numbers"), [
    ("§§ 433 Abs. 1, 434 Abs. 2", ["433", "434"]), ("§ 433 Abs. 1, § 434 Abs. 2", ["433", "434"]),
    ("§§ 433 I, 434 II BGB", ["433", "434"]), ("Artt. 1, 20", ["1", "20"]),
])
def test_a_sign_or_several_that_are_announced_begin_another_norm(text: str, numbers: list[str]) -> None:
    assert [each.number for each in read_references(text)[0]] == numbers


@pytest.mark.parametrize(("label", "read"), [
    ("§ 1", ("§", "1", "")), ("§ 312a", ("§", "312a", "")), ("Art 1", ("Art", "1", "")),
    ("§§ 1012 bis 1017", ("§", "1012", "1017")), ("(XXXX) §§ 3 bis 5", ("§", "3", "5")),
    ("§§ 15, 16", ("§", "15", "16")),
    ("§§ 15 und 16", ("§", "15", "16")), ("Anlage 1 (zu § 4)", ("Anlage", "1", "")), ("Anlage", ("Anlage", "", "")),
    ("Anhang II", ("Anhang", "II", "")), ("Art XII", ("Art", "XII", "")), ("Eingangsformel", ("", "", "")),
    ("Art 1 § 3", ("§", "3", "")), ("§ 32 und § 33", ("§", "32", "33")), ("§ 30 u. § 31", ("§", "30", "31")),
    ("Inhaltsübersicht", ("", "", "")), ("Anlagenverzeichnis", ("", "", "")),
])
def test_labels_of_the_official_form(label: str, read: tuple[str, str, str]) -> None:
    assert read_label(label) == read


@pytest.mark.parametrize(("text", "sentences"), [
    ("(1) Eins. Zwei.", ["Eins.", "Zwei."]),
    ("Am 3. Oktober ist frei. Der 1. Mai auch.", ["Am 3. Oktober ist frei.", "Der 1. Mai auch."]),
    ("Es gilt § 5. Er gilt bzw. Art. 3 gilt.", ["Es gilt § 5.", "Er gilt bzw. Art. 3 gilt."]),
    ("Es gilt:\n1. Das Eine;\n2. Das Andere.\nDanach nichts.",
     ["Es gilt:\n1. Das Eine;\n2. Das Andere.", "Danach nichts."]),
    ("¹ Eins, § 2. Noch eins. ² Zwei.", ["¹ Eins, § 2. Noch eins.", "² Zwei."]),
    ("", []),
])
def test_sentences_of_statutes(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


@pytest.mark.parametrize("text", [
    "Nach Artikel 5 Unterabs. 2 der Richtlinie gilt dies.", "Der Betrag ist ca. 50 Euro hoch.",
    "Das Register lfd. Nr. 3 der Liste gilt.", "Die Frist endet am 31. Dezember 2024.",
    "Dies gilt nach Abschn. 3 der Anlage.", "Es gilt im Jahr 2024.", "Im Fall des § 4 Nr. 2.",
    "Die Bundesanstalt i. S. d. Gesetzes handelt.", "Die Summe beträgt mehr als 1 000.", "Die Nummern 1 bis 3.",
    "Wer z. B. Bananen isst, haftet.", "Es gilt:\n1. Eins.\n2. Zwei. Mehr dazu.",
])
def test_sentences_that_can_be_told_apart(text: str) -> None:
    assert split_certainly(f"(1) {text} Zwei.".replace("dazu. Zwei", "dazu.\nZwei")) == ([text, "Zwei."], True)


@pytest.mark.parametrize("text", [
    "Es gilt die Verordnung (ABl. L 119 vom 4.5.2016, S. 1) in der Fassung.", "Der Satz beträgt 10 v. H. Der Rest.",
    "Der Verein (e. V.) haftet.", "Es gilt § 15 a. F. Weiteres folgt.", "In der Fassung (BAnz. S. 12) gilt es.",
    "Nach Tz. 5 und BStBl. I S. 3 gilt es.", "Nach dem 2. Abschnitt gilt es.", "Es gilt die Tabelle:\nJahr\nWert\nX.",
    "Der Bericht (Erster Teil. Zweiter Teil.) gilt.",
])
def test_sentences_that_cannot(text: str) -> None:
    assert split_certainly(f"(1) {text} Zwei.") == ([], False)
    assert split_certainly(f"(1) Das gilt nicht. {text} Zwei.") == (["Das gilt nicht."], False)


def test_what_would_move_a_cursor_is_left_out_and_columns_are_kept() -> None:
    law = Statute("x", "E\u009b31mV", "T\u202ex", [Text("§ 1", "", "<pre>  a   b\n  c   d</pre><P>x &#x202e;y</P>")])
    read = read_law(BytesIO(law.spell()), slug="x", source="", retrieved="")
    assert (read.abbreviation, read.title) == ("E31mV", "Tx")
    assert read.norms[0].paragraphs == ("  a   b\n  c   d", "x y")
    with pytest.raises(BadStatute, match="longer than"):
        read_law(BytesIO(law._replace(abbreviation="Q" * 1_000).spell()), slug="x", source="", retrieved="")


@pytest.mark.parametrize("data", [
    b"", b"<x/>", b"<dokumente/>", b"<dokumente><norm>", b"not xml", b"PK\x03\x04", b"<dokumente><norm/></dokumente>",
    HEAD.encode() + b"<dokumente><norm><metadaten><jurabk>X</jurabk></metadaten></norm></dokumente>",
])
def test_a_file_that_is_no_statute_is_refused(data: bytes) -> None:
    with pytest.raises(BadStatute):
        read_law(BytesIO(data), slug="", source="", retrieved="")


def test_entities_are_neither_expanded_nor_fetched(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary", encoding="utf-8")
    body = BGB.spell().decode().partition("?>")[2].partition(">")[2]
    for defined in (f'<!ENTITY x SYSTEM "file://{secret}">',
                    '<!ENTITY a "aaaaaaaaaa"><!ENTITY x "&a;&a;&a;&a;&a;&a;&a;&a;">'):
        data = f"<?xml version='1.0'?><!DOCTYPE dokumente [{defined}]>{body}".replace("Treu und", "&x;")
        with pytest.raises(BadStatute, match="entities"):
            read_law(BytesIO(data.encode()), slug="", source="", retrieved="")


def test_headings_with_a_code_of_their_own_open_and_close_as_they_should() -> None:
    law = read_law(BytesIO(PROBE.spell()), slug="x", source="x", retrieved="x")
    assert [(norm.label, norm.headings) for norm in law.norms if norm.number == "5"] == [
        ("Art 232 § 5", ("Art 232 Übergang",)), ("Art 233 § 5", ("Art 233 Weiterer Übergang",))]
    deep = Statute("y", "Y", "Y", [
        Unit("010", "A"), Unit("010010", "A 1"), Text("§ 1", "", "<P>a</P>"), Unit("010020", "A 2"),
        Text("§ 2", "", "<P>b</P>"), Unit("020", "B"), Text("§ 3", "", "<P>c</P>")])
    read = read_law(BytesIO(deep.spell()), slug="y", source="", retrieved="")
    assert [norm.headings for norm in read.norms] == [("A", "A 1"), ("A", "A 2"), ("B",)]
    assert [(each.level, each.heading, each.first, each.last) for each in read.sections] == [
        (0, "A", "§ 1", "§ 2"), (1, "A 1", "§ 1", "§ 1"), (1, "A 2", "§ 2", "§ 2"), (0, "B", "§ 3", "§ 3")]


def test_a_table_of_contents_is_read() -> None:
    data = b"<items><item><title>T</title><link>http://h/bgb/xml.zip</link></item><item><title>U</title></item></items>"
    assert read_contents(BytesIO(data)) == [("T", "http://h/bgb/xml.zip")]
