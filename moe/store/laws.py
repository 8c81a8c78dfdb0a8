"""Statutes that were imported: each law whole, its norms in order, found by name, by number and by their words."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import MoeError
from .database import Database
from .law_names import TITLE, find_keys, fold, make_keys, sort_key
from .statute import Law, LawCard, Norm, Section

MIGRATIONS = Path(__file__).with_name("laws_migrations")
PARAGRAPH = "\n\n"
MOST_FOUND = 2_000

_CARD = "id, slug, abbreviation, title, short, issued, as_of, source, retrieved, built, etag, kind, size"
_NORM = ("norms.id, norms.kind, norms.number, norms.label, words.title, norms.headings, words.text, norms.footnotes, "
         "norms.notes")
_JOIN = "norms JOIN words ON words.rowid = norms.id"
# In this order, which SQLite would not choose by itself: first what fits, then whose it is.
_SEARCHED = "words CROSS JOIN norms ON norms.id = words.rowid"


class NoFullText(MoeError):
    """Python's SQLite was built without its full-text search."""

    code = "no_full_text"

    def __init__(self) -> None:
        super().__init__("this Python's SQLite lacks the full-text search FTS5, which the statutes need: use another "
                         "build of Python, such as python.org's or your system's")


class Laws:
    """Thread-safe, and of several processes; a reader beside an import sees the law as it was or as it is.

    Each method raises NotStored when the file cannot be used.
    """

    def __init__(self, file: Path) -> None:
        self._database = Database(file, migrations=MIGRATIONS, is_shared=True)

    def put(self, law: Law) -> None:
        """In place of what there was of it before."""
        with self._writing() as connection:
            number = _put_card(connection, law)
            _clear(connection, number)
            _put_norms(connection, number, law)
            connection.executemany(
                "INSERT INTO sections (law, level, heading, first, last, folded) VALUES (?, ?, ?, ?, ?, ?)",
                ((number, each.level, each.heading, each.first, each.last, _pad(each.heading))
                 for each in law.sections),
            )
            keys = dict(sorted(make_keys(abbreviations=(law.abbreviation, law.slug, *law.names),
                                         titles=(law.short, law.title)), key=lambda pair: -pair[1]))
            connection.executemany("INSERT INTO names VALUES (?, ?, ?)",
                                   ((key, number, rank) for key, rank in keys.items() if key))

    def renew(self, card: LawCard, *, retrieved: str, etag: str) -> None:
        """Notes that it was looked up again and had not changed."""
        with self._writing() as connection:
            connection.execute("UPDATE laws SET retrieved = ?, etag = ? WHERE id = ?", (retrieved, etag, card.id))

    def remove(self, card: LawCard) -> None:
        with self._writing() as connection:
            _clear(connection, card.id)
            connection.execute("DELETE FROM laws WHERE id = ?", (card.id,))

    def cards(self) -> tuple[LawCard, ...]:
        """All of them, by abbreviation."""
        with self._reading() as connection:
            rows = _ask(connection, f"SELECT {_CARD} FROM laws ORDER BY abbreviation COLLATE NOCASE")
            return tuple(map(_read_card, rows))

    def count(self) -> int:
        with self._reading() as connection:
            return sum(count for count, in _ask(connection, "SELECT count(*) FROM laws"))

    def find_slug(self, slug: str) -> LawCard | None:
        with self._reading() as connection:
            rows = _ask(connection, f"SELECT {_CARD} FROM laws WHERE slug = ?", slug)
            return next(map(_read_card, rows), None)

    def find_law(self, name: str) -> LawCard | None:
        """By abbreviation or title, however it is written; of several versions with a year the newest."""
        with self._reading() as connection:
            for key in find_keys(name):
                rows = _ask(connection, f"SELECT rank, {_CARD} FROM laws JOIN names ON names.law = laws.id "
                                        "WHERE names.key = ? ORDER BY rank, slug DESC", key)
                if rows and (rows[0][0] < TITLE or [row[0] for row in rows].count(rows[0][0]) == 1):
                    return _read_card(rows[0][1:])
        return None

    def find_norms(self, card: LawCard, kind: str, first: str, last: str = "") -> list[Norm]:
        """Those of one number, or from one to another, in the law's order; a text that several numbers share is found
        by each of them."""
        with self._reading() as connection:
            rows = _ask(connection, f"SELECT {_NORM} FROM {_JOIN} WHERE norms.law = ? AND norms.kind = ? "
                                    "AND norms.key <= ? AND norms.last_key >= ? ORDER BY norms.id",
                        card.id, kind, sort_key(last or first), sort_key(first))
            return list(map(_read_norm, rows))

    def find_following(self, card: LawCard, norm: Norm, most: int) -> list[Norm]:
        """The next ones of its kind under the same heading."""
        with self._reading() as connection:
            rows = _ask(connection, f"SELECT {_NORM} FROM {_JOIN} WHERE norms.law = ? AND norms.kind = ? "
                                    "AND norms.id > ? AND norms.headings = ? ORDER BY norms.id LIMIT ?",
                        card.id, norm.kind, norm.id, _dump(norm.headings), most)
            return list(map(_read_norm, rows))

    def find_kinds(self, card: LawCard, number: str) -> list[str]:
        """The kinds of norm that have this number."""
        key = sort_key(number)
        with self._reading() as connection:
            return [kind for kind, in _ask(connection, "SELECT DISTINCT kind FROM norms WHERE law = ? AND key <= ? "
                                                       "AND last_key >= ? AND kind != ''", card.id, key, key)]

    def read_outline(self, card: LawCard, most: int) -> tuple[list[Section], list[Norm]]:
        """All headings, and the first norms without their words."""
        with self._reading() as connection:
            sections = _ask(connection, "SELECT level, heading, first, last FROM sections WHERE law = ? ORDER BY id",
                            card.id)
            norms = _ask(connection, "SELECT norms.id, kind, number, label, title, headings, '', '', '' "
                                     f"FROM {_JOIN} WHERE law = ? ORDER BY norms.id LIMIT ?", card.id, most)
        return [Section(level=row[0], heading=row[1], first=row[2], last=row[3]) for row in sections], \
            list(map(_read_norm, norms))

    def search_titles(self, words: Sequence[Sequence[str]]) -> tuple[list[LawCard], list[tuple[LawCard, Section]]]:
        """The laws, and the headings, in which each of `words` occurs in one of the forms given for it, be it within
        a longer word. The forms are folded."""
        condition = " AND ".join(f"({' OR '.join(['instr(%s.folded, ?)'] * len(forms))})" for forms in words)
        values = [form for forms in words for form in forms]
        columns = ", ".join(f"laws.{name}" for name in _CARD.split(", "))
        with self._reading() as connection:
            laws = _ask(connection, f"SELECT {_CARD} FROM laws WHERE "
                                    f"{condition.replace('%s', 'laws')} LIMIT {MOST_FOUND}", *values)
            sections = _ask(
                connection, f"SELECT {columns}, level, heading, first, last FROM sections "
                            f"JOIN laws ON laws.id = sections.law WHERE {condition.replace('%s', 'sections')} "
                            f"ORDER BY sections.id LIMIT {MOST_FOUND}", *values)
        size = len(_CARD.split(", "))
        return list(map(_read_card, laws)), [
            (_read_card(row[:size]), Section(level=row[-4], heading=row[-3], first=row[-2], last=row[-1]))
            for row in sections
        ]

    def search(self, wanted: str, card: LawCard | None, most: int) -> tuple[int, list[tuple[LawCard, Norm]]]:
        """How many norms fit, and the best of them; `wanted` is in the language of FTS5."""
        condition = "words MATCH ?" + (" AND norms.law = ?" if card else "")
        values = (wanted, card.id) if card else (wanted,)
        columns = ", ".join(f"laws.{name}" for name in _CARD.split(", "))
        with self._reading() as connection:
            ((count,),) = _ask(connection, f"SELECT count(*) FROM {_SEARCHED} WHERE {condition}", *values)
            rows = _ask(connection, f"SELECT {columns}, {_NORM} FROM {_SEARCHED} "
                                    f"JOIN laws ON laws.id = norms.law WHERE {condition} "
                                    "ORDER BY bm25(words, 5.0, 1.0), norms.id LIMIT ?", *values, most)
        size = len(_CARD.split(", "))
        return count, [(_read_card(row[:size]), _read_norm(row[size:])) for row in rows]

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """One state of the file for all that is asked in the block; None where there is no file yet."""
        if not self._database.exists:
            yield None
            return
        with self._database.transaction() as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Raises NoFullText before anything is made."""
        check_full_text()
        with self._database.transaction() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection


def check_full_text() -> None:
    """Raises NoFullText."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE words USING fts5 (text)")
    except sqlite3.OperationalError as error:
        raise NoFullText from error
    finally:
        connection.close()


def _ask(connection: sqlite3.Connection | None, query: str, *values: Any) -> list[Any]:
    return [] if connection is None else connection.execute(query, values).fetchall()


def _put_card(connection: sqlite3.Connection, law: Law) -> int:
    """Its number, which stays the same as long as it is here."""
    kinds = [norm.kind for norm in law.norms]
    kind = "Art" if kinds.count("Art") > kinds.count("§") else "§"
    folded = _pad(" ".join((law.abbreviation, *law.names, law.short, law.title)))
    row = (law.slug, law.abbreviation, law.title, law.short, law.issued, law.as_of, law.source, law.retrieved,
           law.built, law.etag, kind, len(law.norms), folded)
    columns = f"{_CARD.removeprefix('id, ')}, folded"
    marks = ", ".join("?" * len(row))
    found = connection.execute("SELECT id FROM laws WHERE slug = ?", (law.slug,)).fetchone()
    if found:
        connection.execute(f"UPDATE laws SET ({columns}) = ({marks}) WHERE id = ?", (*row, found[0]))
        return int(found[0])
    made = connection.execute(f"INSERT INTO laws ({columns}) VALUES ({marks})", row)
    return int(made.lastrowid or 0)


def _clear(connection: sqlite3.Connection, law: int) -> None:
    connection.execute("DELETE FROM words WHERE rowid IN (SELECT id FROM norms WHERE law = ?)", (law,))
    for table in ("norms", "sections", "names"):
        connection.execute(f"DELETE FROM {table} WHERE law = ?", (law,))


def _put_norms(connection: sqlite3.Connection, law: int, found: Law) -> None:
    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM norms").fetchone()
    norms = list(enumerate(found.norms, newest + 1))
    connection.executemany(
        "INSERT INTO norms VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((place, law, norm.kind, norm.number, sort_key(norm.number), sort_key(norm.until or norm.number), norm.label,
          _dump(norm.headings), norm.footnotes, norm.notes) for place, norm in norms),
    )
    connection.executemany("INSERT INTO words (rowid, title, text) VALUES (?, ?, ?)",
                           ((place, norm.title, PARAGRAPH.join(norm.paragraphs)) for place, norm in norms))


def _pad(text: str) -> str:
    """With a blank before each word and after the last."""
    return f" {fold(text)} "


def _dump(headings: tuple[str, ...]) -> str:
    return json.dumps(headings, ensure_ascii=False)


def _read_card(row: Sequence[Any]) -> LawCard:
    return LawCard(**dict(zip(_CARD.split(", "), row, strict=True)))


def _read_norm(row: Sequence[Any]) -> Norm:
    number, kind, own, label, title, headings, text, footnotes, notes = row
    paragraphs = tuple(text.split(PARAGRAPH)) if text else ()
    return Norm(id=number, kind=kind, number=own, label=label, title=title, headings=tuple(json.loads(headings)),
                paragraphs=paragraphs, footnotes=footnotes, notes=notes)
