"""Imported statutes: put whole, found by name and number, replaced while somebody reads."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from moe.config.settings import ROOT
from moe.store import Law, Laws, Norm, NotStored
from moe.store import laws as module
from moe.store.law_names import find_keys, fold, sort_key
from tests.statutes import BGB, GG, PROBE, RETRIEVED, SITE, fill, open_laws


@pytest.fixture
def laws(tmp_path: Path) -> Iterator[Laws]:
    with open_laws(tmp_path) as store:
        yield store


def make(slug: str, *numbers: str, text: str = "words") -> Law:
    return Law(slug=slug, abbreviation=slug.upper(), title=f"the law {slug}", norms=tuple(
        Norm(kind="§", number=number, label=f"§ {number}", paragraphs=(text,)) for number in numbers))


def test_no_file_is_made_for_nothing(tmp_path: Path) -> None:
    store = Laws(tmp_path / "data" / "laws.sqlite")
    assert (store.count(), store.cards(), store.find_law("BGB"), store.find_slug("bgb")) == (0, (), None, None)
    assert not (tmp_path / "data").exists()


def test_what_is_imported_is_there_after_a_restart_and_whole(tmp_path: Path) -> None:
    with open_laws(tmp_path):
        pass
    store = Laws(tmp_path / "laws.sqlite")
    card = store.find_law("BGB")
    assert card is not None
    assert (card.title, card.source, card.retrieved) == ("Bürgerliches Gesetzbuch", f"{SITE}/bgb/", RETRIEVED)
    assert card.as_of == "Zuletzt geändert durch Art. 1 G v. 17.7.2025 I Nr. 163"
    (norm,) = store.find_norms(card, "§", "433")
    assert len(norm.paragraphs) == 2 and norm.paragraphs[1].endswith("Sache abzunehmen.")
    assert norm.headings == ("Buch 2 Recht der Schuldverhältnisse", "Abschnitt 8 Einzelne Schuldverhältnisse",
                             "Titel 1 Kauf, Tausch")
    store.close()


@pytest.mark.parametrize("name", [
    "BGB", "bgb", " B G B ", "Bürgerliches Gesetzbuch", "Buergerliches Gesetzbuch",
    "des Bürgerlichen Gesetzbuches", "Bürgerlichen Gesetzbuchs", "BÜRGERLICHES GESETZBUCH",
])
def test_a_law_is_found_however_it_is_named(laws: Laws, name: str) -> None:
    card = laws.find_law(name)
    assert card is not None and card.slug == "bgb"


@pytest.mark.parametrize(("name", "slug"), [
    ("Grundgesetz", "gg"), ("Grundgesetzes", "gg"), ("Strafgesetzbuch", "stgb"), ("ProbG", "probg_2009"),
    ("ProbG 2009", "probg_2009"), ("probg_2009", "probg_2009"), ("Probengesetz", "probg_2009"),
    ("Gesetz über Proben & Muster", "probg_2009"),
])
def test_short_and_long_names_and_years_are_known(laws: Laws, name: str, slug: str) -> None:
    card = laws.find_law(name)
    assert card is not None and card.slug == slug


@pytest.mark.parametrize("name", ["", " ", "§", "B", "BGBX", "Gesetzbuch", "Bürger", "gesetz", "x" * 10_000, "\0", "%"])
def test_another_name_is_none_of_them(laws: Laws, name: str) -> None:
    assert laws.find_law(name) is None


def test_of_several_years_the_newest_is_meant_and_a_title_that_several_share_means_none(laws: Laws) -> None:
    for year in (1999, 2009, 2004):
        laws.put(structs.replace(make(f"x_{year}", "1"), abbreviation=f"X {year}", title="Gesetz über Xe"))
    card = laws.find_law("X")
    assert card is not None and card.abbreviation == "X 2009"
    assert laws.find_law("Gesetz über Xe") is None
    assert laws.find_law("X 1999") is not None


def test_the_books_of_the_social_code_have_roman_and_arabic_numbers(laws: Laws) -> None:
    laws.put(structs.replace(make("sgb_5", "1"), abbreviation="SGB 5"))
    for name in ("SGB V", "sgb 5", "SGB5", "Sgb v"):
        card = laws.find_law(name)
        assert card is not None and card.slug == "sgb_5", name
    assert laws.find_law("SGB IV") is None


def test_kinds_of_norm_are_kept_apart(laws: Laws) -> None:
    card = laws.find_law("ProbG")
    assert card is not None
    titles = {kind: [norm.title for norm in laws.find_norms(card, kind, "1")] for kind in ("§", "Art", "Anlage")}
    assert titles == {"§": ["Zweck"], "Art": ["Ein Artikel"], "Anlage": ["Muster"]}
    assert sorted(laws.find_kinds(card, "1")) == ["Anlage", "Art", "§"]


def test_numbers_stand_in_their_order_with_letters_between(laws: Laws) -> None:
    laws.put(make("x", "9", "10", "312", "312a", "312b", "313", "1000"))
    card = laws.find_law("X")
    assert card is not None
    assert [norm.number for norm in laws.find_norms(card, "§", "10", "313")] == ["10", "312", "312a", "312b", "313"]
    assert [norm.number for norm in laws.find_norms(card, "§", "312")] == ["312"]
    assert [norm.number for norm in laws.find_norms(card, "§", "312 A")] == ["312a"]


@pytest.mark.parametrize("number", ["16", "17", "20"])
def test_each_of_several_numbers_with_one_text_finds_it(laws: Laws, number: str) -> None:
    card = laws.find_law("BGB")
    assert card is not None
    assert [norm.label for norm in laws.find_norms(card, "§", number)] == ["§§ 16 bis 20"]
    assert laws.find_norms(card, "§", "21") == []


def test_an_import_replaces_the_law_whole_and_leaves_the_others(laws: Laws) -> None:
    before = {card.slug: card.id for card in laws.cards()}
    laws.put(make("bgb", "1", text="ein neues Wort"))
    card = laws.find_law("BGB")
    assert card is not None and card.size == 1
    assert {each.slug: each.id for each in laws.cards()} == before
    assert laws.find_norms(card, "§", "433") == []
    assert laws.search('"Kaufvertrag"', None, 5)[0] == 0
    assert laws.search('"neues"', None, 5)[0] == 1
    assert laws.find_law("Bürgerliches Gesetzbuch") is None
    assert laws.search_titles([["pachtvertrag"]]) == ([], [])
    assert laws.find_law("GG") is not None


def test_what_is_removed_is_gone_with_its_words(laws: Laws) -> None:
    card = laws.find_law("BGB")
    assert card is not None
    laws.remove(card)
    assert laws.find_law("BGB") is None and laws.count() == 4
    assert laws.search('"Kaufvertrag"', None, 5) == (0, [])


def test_an_import_that_breaks_off_leaves_the_law_as_it_was(laws: Laws) -> None:
    broken = structs.replace(make("bgb", "1"), norms=(Norm(kind="§", number="1", label=object()),))  # type: ignore[arg-type]
    with pytest.raises(NotStored):
        laws.put(broken)
    card = laws.find_law("BGB")
    assert card is not None and card.size == 11
    assert len(laws.find_norms(card, "§", "433")) == 1


def test_words_are_found_without_accents_and_in_any_case(laws: Laws) -> None:
    for wanted in ('"kaufer"', '"KÄUFER"', '"käufer"'):
        assert laws.search(wanted, None, 5)[0] > 1
    card = laws.find_law("GG")
    assert laws.search('"käufer"', card, 5) == (0, [])


def test_a_reader_beside_an_import_sees_the_law_as_it_was_or_as_it_is(tmp_path: Path) -> None:
    """In another process, as a server reads while the command line imports."""
    script = ("import sys\nfrom pathlib import Path\nfrom moe.store import Law, Laws, Norm\n"
              "store = Laws(Path(sys.argv[1]))\n"
              "for turn in range(2000):\n"
              "    if Path(sys.argv[1]).with_name('enough').exists(): break\n"
              "    store.put(Law(slug='x', abbreviation='X', title='x', norms=tuple(Norm(kind='§', number=str(n),\n"
              "        label=f'§ {n}', paragraphs=(f'turn{turn}',)) for n in range(1, 201))))\n")
    file = tmp_path / "laws.sqlite"
    with subprocess.Popen([sys.executable, "-c", script, str(file)], cwd=ROOT) as writer:
        store, seen = Laws(file), set()
        while writer.poll() is None:
            card = store.find_law("X")
            if card is not None:
                norms = store.find_norms(card, "§", "1", "999")
                assert len(norms) == 200
                assert len({norm.paragraphs for norm in norms}) == 1
                seen.add(norms[0].paragraphs)
                if len(seen) == 5:
                    file.with_name("enough").touch()
        assert writer.returncode == 0
        store.close()
    assert len(seen) >= 5


def test_processes_that_make_the_file_at_the_same_time_do_not_trip_over_each_other(tmp_path: Path) -> None:
    script = ("import sys\nfrom pathlib import Path\nfrom moe.store import Law, Laws, Norm\nsys.stdin.read()\n"
              "store = Laws(Path(sys.argv[1]))\nstore.count()\n"
              "store.put(Law(slug=sys.argv[2], abbreviation=sys.argv[2], title='x',\n"
              "    norms=(Norm(kind='§', number='1', label='§ 1', paragraphs=('Wort',)),)))\n")
    words = [sys.executable, "-c", script, str(tmp_path / "laws.sqlite")]
    started = [subprocess.Popen([*words, f"law{n}"], cwd=ROOT, stdin=subprocess.PIPE) for n in range(4)]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait() for process in started] == [0] * 4
    assert Laws(tmp_path / "laws.sqlite").count() == 4


def test_many_readers_and_writers_in_one_process(laws: Laws) -> None:
    faults: list[Exception] = []

    def work(number: int) -> None:
        try:
            for turn in range(8):
                laws.put(make(f"y{number}", *map(str, range(1, 20)), text=f"wort{turn}"))
                card = laws.find_law(f"Y{number}")
                assert card is not None and len(laws.find_norms(card, "§", "1", "99")) == 19
        except Exception as error:  # noqa: BLE001 - whatever it is, the test tells it
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == [] and laws.count() == 9


def test_a_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    file = tmp_path / "laws.sqlite"
    file.write_bytes(b"this is no database" * 100)
    with pytest.raises(NotStored):
        Laws(file).count()


def test_a_file_that_was_deleted_and_made_anew_is_read_anew(tmp_path: Path) -> None:
    with open_laws(tmp_path, (BGB,)) as store:
        assert store.count() == 1
        for each in tmp_path.glob("laws.sqlite*"):
            each.unlink()
        assert store.count() == 0
        with open_laws(tmp_path, (BGB, GG)):
            assert store.count() == 2
        card = store.find_law("GG")
        assert card is not None and len(store.find_norms(card, "Art", "1")) == 1


def test_what_lies_in_a_folder_that_cannot_be_written_is_read() -> None:
    """As a user for whom it is so: root may write everywhere."""
    folder = Path(tempfile.mkdtemp())
    try:
        with open_laws(folder, (BGB,)):
            pass
        (folder / "laws.sqlite").chmod(0o444)
        folder.chmod(0o555)
        script = ("import sys\nfrom pathlib import Path\nfrom moe.store import Laws\n"
                  "import os\nif os.getuid() == 0: os.setgid(65534), os.setuid(65534)\n"
                  "store = Laws(Path(sys.argv[1]))\ncard = store.find_law('BGB')\n"
                  "print(store.count(), store.find_norms(card, '§', '242')[0].title)")
        done = subprocess.run([sys.executable, "-c", script, str(folder / "laws.sqlite")], cwd=ROOT, check=False,
                              capture_output=True, text=True)
        assert (done.stdout, done.returncode) == ("1 Leistung nach Treu und Glauben\n", 0), done.stderr
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_without_full_text_search_it_says_so_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite3.connect

    class Plain(sqlite3.Connection):
        def execute(self, query: str, *rest: object) -> sqlite3.Cursor:
            if "fts5" in query:
                raise sqlite3.OperationalError("no such module: fts5")
            return super().execute(query, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module.sqlite3, "connect", lambda name: real(name, factory=Plain))
    store = Laws(tmp_path / "laws.sqlite")
    with pytest.raises(module.NoFullText, match="FTS5"):
        fill(store, (GG,))
    assert not (tmp_path / "laws.sqlite").exists()


def test_migrations_are_numbered_without_a_gap(laws: Laws, tmp_path: Path) -> None:
    numbers = [int(script.name.partition("_")[0]) for script in sorted(module.MIGRATIONS.glob("*.sql"))]
    assert numbers == list(range(1, len(numbers) + 1))
    with sqlite3.connect(tmp_path / "laws.sqlite") as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (numbers[-1],)
    raw.close()


def test_headings_are_found_within_longer_words(laws: Laws) -> None:
    found, headings = laws.search_titles([["pacht"]])
    assert found == [] and [section.heading for _, section in headings] == ["Titel 5 Mietvertrag, Pachtvertrag"]
    assert [section.first for _, section in headings] == ["§ 535"]
    assert laws.search_titles([["proben"], ["muster"]])[0][0].slug == PROBE.slug
    assert laws.search_titles([["proben"], ["kauf"]]) == ([], [])


@pytest.mark.parametrize(("text", "folded"), [("Straße", "strasse"), ("Übergangs-Vorschrift", "ubergangs vorschrift"),
                                              ("§ 1 & 2", "1 2"), ("", "")])
def test_words_are_folded(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_keys() -> None:
    assert find_keys("  ") == ()
    assert sort_key("9") < sort_key("10") < sort_key("10a") < sort_key("10b") < sort_key("11")
    assert BGB.slug in find_keys("BGB")
