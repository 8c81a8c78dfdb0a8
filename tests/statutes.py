"""A few statutes in the form of the official site, and a store that holds them.

The words are those of the laws, which are free of copyright (§ 5 UrhG); what is abridged is left out by whole norms.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from moe.store.laws import Laws
from moe.tools.law.documents import read_law

SITE = "https://www.gesetze-im-internet.de"
RETRIEVED = "2026-03-29"
HEAD = ('<?xml version="1.0" encoding="UTF-8" ?><!DOCTYPE dokumente SYSTEM '
        '"http://www.gesetze-im-internet.de/dtd/1.01/gii-norm.dtd">\n')


class Unit(NamedTuple):
    """A heading; its code has three digits for each level."""

    code: str
    name: str
    title: str = ""


class Text(NamedTuple):
    """One norm: its label, its title, and the inside of its Content element."""

    label: str
    title: str = ""
    content: str = ""
    footnotes: str = ""
    notes: str = ""


class Statute(NamedTuple):
    """`slug` is its place on the site."""

    slug: str
    abbreviation: str
    title: str
    parts: Sequence[Unit | Text]
    official: str = ""
    short: str = ""
    issued: str = "1900-01-01"
    as_of: str = ""
    built: str = "20260301210000"

    def spell(self) -> bytes:
        meta = (f"<jurabk>{escape(self.abbreviation)}</jurabk>{_tag('amtabk', self.official)}"
                f'<ausfertigung-datum manuell="ja">{self.issued}</ausfertigung-datum>'
                '<fundstelle typ="amtlich"><periodikum>RGBl</periodikum><zitstelle>1896, 195</zitstelle></fundstelle>'
                f"{_tag('kurzue', self.short)}<langue>{escape(self.title)}</langue>")
        if self.as_of:
            meta += ('<standangabe checked="ja"><standtyp>Neuf</standtyp><standkommentar>Neugefasst durch Bek. v. '
                     '2.1.2002 I 42</standkommentar></standangabe><standangabe checked="ja"><standtyp>Stand</standtyp>'
                     f"<standkommentar>{escape(self.as_of)}</standkommentar></standangabe>")
        norms = [_norm(f"{meta}", "<text/><fussnoten><Content><P>(+++ Textnachweis +++)</P></Content></fussnoten>")]
        norms += [_spell(self.abbreviation, part) for part in self.parts]
        root = f'<dokumente builddate="{self.built}" doknr="BJNR{len(self.slug):09}">'
        return (HEAD + root + "\n".join(norms) + "</dokumente>").encode()

    def pack(self) -> bytes:
        """As the site sends it: a zip with the one file."""
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"BJNR{len(self.slug):09}.xml", self.spell())
            archive.writestr("bild.gif", b"GIF89a")
        return packed.getvalue()


def _tag(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>" if text else ""


def _norm(meta: str, text: str) -> str:
    return f"<norm><metadaten>{meta}</metadaten><textdaten>{text}</textdaten></norm>"


def _spell(abbreviation: str, part: Unit | Text) -> str:
    meta = _tag("jurabk", abbreviation)
    if isinstance(part, Unit):
        unit = (_tag("gliederungskennzahl", part.code) + _tag("gliederungsbez", part.name)
                + _tag("gliederungstitel", part.title))
        return _norm(f"{meta}<gliederungseinheit>{unit}</gliederungseinheit>",
                     '<text format="XML"><Content><P/></Content></text><fussnoten/>')
    meta += f'<enbez>{escape(part.label)}</enbez><titel format="XML">{escape(part.title)}</titel>'
    notes = f"<fussnoten><Content><P>{part.notes}</P></Content></fussnoten>" if part.notes else "<fussnoten/>"
    foot = f"<Footnotes>{part.footnotes}</Footnotes>" if part.footnotes else ""
    return _norm(meta, f'<text format="XML"><Content>{part.content}</Content>{foot}</text>{notes}')


def paragraphs(*texts: str) -> str:
    return "".join(f"<P>{text}</P>" for text in texts)


def items(*pairs: tuple[str, str]) -> str:
    """A list: labels and words."""
    inner = "".join(f'<DT>{label}</DT><DD Font="normal"><LA Size="normal">{words}</LA></DD>' for label, words in pairs)
    return f'<DL Font="normal" Type="arabic">{inner}</DL>'


BGB = Statute(
    "bgb", "BGB", "Bürgerliches Gesetzbuch", official="BGB", issued="1896-08-18",
    as_of="Zuletzt geändert durch Art. 1 G v. 17.7.2025 I Nr. 163",
    parts=(
        Text("Inhaltsübersicht", "", '<TOC><Ident Class="S5">Buch 1<BR/></Ident><Title>Allgemeiner Teil</Title></TOC>'),
        Unit("010", "Buch 1", "Allgemeiner Teil"),
        Unit("010010", "Abschnitt 1", "Personen"),
        Text("§ 1", "Beginn der Rechtsfähigkeit",
             "<P>Die Rechtsfähigkeit des Menschen beginnt mit der Vollendung der Geburt.</P>"),
        Text("§ 14", "Unternehmer", paragraphs(
            '<FnR ID="F1"/>(1) Unternehmer ist eine natürliche oder juristische Person oder eine rechtsfähige '
            "Personengesellschaft, die bei Abschluss eines Rechtsgeschäfts in Ausübung ihrer gewerblichen oder "
            "selbständigen beruflichen Tätigkeit handelt.",
            "(2) Eine rechtsfähige Personengesellschaft ist eine Personengesellschaft, die mit der Fähigkeit "
            "ausgestattet ist, Rechte zu erwerben und Verbindlichkeiten einzugehen."),
            footnotes='<Footnote FnZ="*" ID="F1"><B>Amtlicher Hinweis:</B><BR/>Diese Vorschrift dient der '
                      "Umsetzung.</Footnote>"),
        Text("§ 15", "(weggefallen)", "<P>-</P>"),
        Text("§§ 16 bis 20", "(weggefallen)", "<P>-</P>"),
        Unit("020", "Buch 2", "Recht der Schuldverhältnisse"),
        Unit("020010", "Abschnitt 1", "Inhalt der Schuldverhältnisse"),
        Text("§ 242", "Leistung nach Treu und Glauben", "<P>Der Schuldner ist verpflichtet, die Leistung so zu "
             "bewirken, wie Treu und Glauben mit Rücksicht auf die Verkehrssitte es erfordern.</P>"),
        Unit("020080", "Abschnitt 8", "Einzelne Schuldverhältnisse"),
        Unit("020080010", "Titel 1", "Kauf, Tausch"),
        Text("§ 433", "Vertragstypische Pflichten beim Kaufvertrag", paragraphs(
            "(1) Durch den Kaufvertrag wird der Verkäufer einer Sache verpflichtet, dem Käufer die Sache zu übergeben "
            "und das Eigentum an der Sache zu verschaffen. Der Verkäufer hat dem Käufer die Sache frei von Sach- und "
            "Rechtsmängeln zu verschaffen.",
            "(2) Der Käufer ist verpflichtet, dem Verkäufer den vereinbarten Kaufpreis zu zahlen und die gekaufte "
            "Sache abzunehmen.")),
        Text("§ 434", "Sachmangel", paragraphs(
            "(1) Die Sache ist frei von Sachmängeln, wenn sie bei Gefahrübergang den subjektiven Anforderungen, den "
            "objektiven Anforderungen und den Montageanforderungen dieser Vorschrift entspricht.",
            "(2) Die Sache entspricht den subjektiven Anforderungen, wenn sie " + items(
                ("1.", "die vereinbarte Beschaffenheit hat,"),
                ("2.", "sich für die nach dem Vertrag vorausgesetzte Verwendung eignet und"),
                ("3.", "mit dem vereinbarten Zubehör und den vereinbarten Anleitungen, einschließlich Montage- und "
                       "Installationsanleitungen, übergeben wird.")) +
            "Zu der Beschaffenheit nach Satz 1 Nummer 1 gehören Art, Menge, Qualität, Funktionalität, Kompatibilität, "
            "Interoperabilität und sonstige Merkmale der Sache, für die die Parteien Anforderungen vereinbart haben.")),
        Text("§ 435", "Rechtsmangel", "<P>Die Sache ist frei von Rechtsmängeln, wenn Dritte in Bezug auf die Sache "
             "keine oder nur die im Kaufvertrag übernommenen Rechte gegen den Käufer geltend machen können. Einem "
             "Rechtsmangel steht es gleich, wenn im Grundbuch ein Recht eingetragen ist, das nicht besteht.</P>"),
        Unit("020080050", "Titel 5", "Mietvertrag, Pachtvertrag"),
        Unit("020080050010", "Untertitel 1", "Allgemeine Vorschriften für Mietverhältnisse"),
        Text("§ 535", "Inhalt und Hauptpflichten des Mietvertrags", paragraphs(
            "(1) Durch den Mietvertrag wird der Vermieter verpflichtet, dem Mieter den Gebrauch der Mietsache während "
            "der Mietzeit zu gewähren. Der Vermieter hat die Mietsache dem Mieter in einem zum vertragsgemäßen "
            "Gebrauch geeigneten Zustand zu überlassen und sie während der Mietzeit in diesem Zustand zu erhalten. Er "
            "hat die auf der Mietsache ruhenden Lasten zu tragen.",
            "(2) Der Mieter ist verpflichtet, dem Vermieter die vereinbarte Miete zu entrichten.")),
        Unit("020080270", "Titel 27", "Unerlaubte Handlungen"),
        Text("§ 823", "Schadensersatzpflicht", paragraphs(
            "(1) Wer vorsätzlich oder fahrlässig das Leben, den Körper, die Gesundheit, die Freiheit, das Eigentum "
            "oder ein sonstiges Recht eines anderen widerrechtlich verletzt, ist dem anderen zum Ersatz des daraus "
            "entstehenden Schadens verpflichtet.",
            "(2) Die gleiche Verpflichtung trifft denjenigen, welcher gegen ein den Schutz eines anderen bezweckendes "
            "Gesetz verstößt. Ist nach dem Inhalt des Gesetzes ein Verstoß gegen dieses auch ohne Verschulden möglich, "
            "so tritt die Ersatzpflicht nur im Falle des Verschuldens ein.")),
    ),
)
GG = Statute(
    "gg", "GG", "Grundgesetz für die Bundesrepublik Deutschland", issued="1949-05-23",
    as_of="Zuletzt geändert durch Art. 1 G v. 22.3.2025 I Nr. 94",
    parts=(
        Text("Eingangsformel", "", "<P>Der Parlamentarische Rat hat das vorstehende Grundgesetz beschlossen.</P>"),
        Unit("010", "I.", "Die Grundrechte"),
        Text("Art 1", "", paragraphs(
            "(1) Die Würde des Menschen ist unantastbar. Sie zu achten und zu schützen ist Verpflichtung aller "
            "staatlichen Gewalt.",
            "(2) Das Deutsche Volk bekennt sich darum zu unverletzlichen und unveräußerlichen Menschenrechten als "
            "Grundlage jeder menschlichen Gemeinschaft, des Friedens und der Gerechtigkeit in der Welt.",
            "(3) Die nachfolgenden Grundrechte binden Gesetzgebung, vollziehende Gewalt und Rechtsprechung als "
            "unmittelbar geltendes Recht.")),
        Unit("020", "II.", "Der Bund und die Länder"),
        Text("Art 20", "", paragraphs(
            "(1) Die Bundesrepublik Deutschland ist ein demokratischer und sozialer Bundesstaat.",
            "(2) Alle Staatsgewalt geht vom Volke aus. Sie wird vom Volke in Wahlen und Abstimmungen und durch "
            "besondere Organe der Gesetzgebung, der vollziehenden Gewalt und der Rechtsprechung ausgeübt.",
            "(3) Die Gesetzgebung ist an die verfassungsmäßige Ordnung, die vollziehende Gewalt und die Rechtsprechung "
            "sind an Gesetz und Recht gebunden.",
            "(4) Gegen jeden, der es unternimmt, diese Ordnung zu beseitigen, haben alle Deutschen das Recht zum "
            "Widerstand, wenn andere Abhilfe nicht möglich ist."),
            notes="Art. 20 Abs. 4: Eingef. durch § 1 Nr. 7 G v. 24.6.1968 I 709"),
        Text("Art 20a", "", "<P>Der Staat schützt auch in Verantwortung für die künftigen Generationen die natürlichen "
             "Lebensgrundlagen und die Tiere im Rahmen der verfassungsmäßigen Ordnung durch die Gesetzgebung und nach "
             "Maßgabe von Gesetz und Recht durch die vollziehende Gewalt und die Rechtsprechung.</P>"),
    ),
)
STGB = Statute(
    "stgb", "StGB", "Strafgesetzbuch", issued="1871-05-15", as_of="Zuletzt geändert durch Art. 1 G v. 17.7.2025",
    parts=(
        Unit("020", "Besonderer Teil"),
        Unit("020190", "Neunzehnter Abschnitt", "Diebstahl und Unterschlagung"),
        Text("§ 242", "Diebstahl", paragraphs(
            "(1) Wer eine fremde bewegliche Sache einem anderen in der Absicht wegnimmt, die Sache sich oder einem "
            "Dritten rechtswidrig zuzueignen, wird mit Freiheitsstrafe bis zu fünf Jahren oder mit Geldstrafe "
            "bestraft.",
            "(2) Der Versuch ist strafbar.")),
    ),
)
HGB = Statute(
    "hgb", "HGB", "Handelsgesetzbuch", issued="1897-05-10",
    parts=(
        Unit("010", "Erstes Buch", "Handelsstand"),
        Text("§ 1", "", paragraphs(
            "(1) Kaufmann im Sinne dieses Gesetzbuchs ist, wer ein Handelsgewerbe betreibt.",
            "(2) Handelsgewerbe ist jeder Gewerbebetrieb, es sei denn, daß das Unternehmen nach Art oder Umfang einen "
            "in kaufmännischer Weise eingerichteten Geschäftsbetrieb nicht erfordert.")),
    ),
)
# Made up, to have everything that the form allows and that a reader may fall over.
PROBE = Statute(
    "probg_2009", "ProbG 2009", "Gesetz über Proben & Muster", official="ProbG", short="Probengesetz",
    parts=(
        Text("§ 1", "Zweck", paragraphs(
            "Das Gesetz gilt am 1. Januar 2020 gem. Abs. 2 Nr. 3 und § 5. Es gilt auch danach, z. B. im Mai. "
            "Eine Fläche von 5 m<SUP>2</SUP> und CO<SUB>2</SUB> zählen mit.")),
        Text("§ 2", "Listen", paragraphs(
            "(1) <SUP class=\"Rec\">1</SUP>Erster Satz Nr. 1. <SUP class=\"Rec\">2</SUP>Zweiter Satz vom 3. Mai.",
            "(2) Es gelten:" + items(
                ("1.", "die Probe " + items(("a)", "im Feld,"), ("b)", "im Labor,"))),
                ("2.", "das Muster.")) + " Näheres regelt die Verordnung.",
            "(2a) Eingeschoben.")),
        Text("§ 3", "Tabelle", '<P>Es gilt die Tabelle:</P><table frame="all"><tgroup cols="2"><tbody><row><entry>Jahr'
             "</entry><entry>Wert</entry></row><row><entry>2024</entry><entry>7</entry></row></tbody></tgroup></table>"),
        Unit("010", "Art 232", "Übergang"),
        Text("§ 5", "Erste Übergangsregel", "<P>Die erste.</P>"),
        Unit("020", "Art 233", "Weiterer Übergang"),
        Text("§ 5", "Zweite Übergangsregel", "<P>Die zweite.</P>"),
        Text("Anlage 1 (zu § 2)", "Muster", "<P>Ein Muster.</P>"),
        Text("Anlage 2", "Formblatt", "<P>Ein Formblatt mit &uuml;berall &auml;hnlichen Zeichen.</P>"),
        Text("Art 1", "Ein Artikel", "<P>Ein Artikel mitten unter Paragraphen.</P>"),
    ),
)
STATUTES = (BGB, GG, STGB, HGB, PROBE)


def fill(store: Laws, statutes: Sequence[Statute] = STATUTES) -> None:
    for statute in statutes:
        store.put(read_law(BytesIO(statute.spell()), slug=statute.slug, source=f"{SITE}/{statute.slug}/",
                           retrieved=RETRIEVED))


@contextmanager
def open_laws(folder: Path, statutes: Sequence[Statute] = STATUTES) -> Iterator[Laws]:
    """A store in `folder` that holds them."""
    with closing(Laws(folder / "laws.sqlite")) as store:
        fill(store, statutes)
        yield store
