"""`laws`: statutes from a site, a mirror, files; what goes wrong is told, and nothing half is kept."""

from __future__ import annotations

import os
import pty
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest

from moe.cli import statutes as module
from moe.cli.statutes import NoStatute, Web, open_files
from moe.store import Laws
from tests.cli.house import HANG_S, clean_environment, command
from tests.fakes import RefusedPort
from tests.statute_site import Site, serve_statutes
from tests.statutes import BGB, GG, HGB, STATUTES, Statute, Text


class Desk:
    """A data folder, and the command line run beside a site."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.env = clean_environment() | {"MOE_DATA": str(folder / "data"), "MOE_LAWS_URL": url,
                                          "MOE_CONFIG": str(folder / "config")}

    def laws(self, *words: str, **env: str) -> tuple[int, str, str]:
        done = subprocess.run(command("laws", *words), capture_output=True, timeout=HANG_S, check=False, text=True,
                              env=self.env | env, cwd=self.folder)
        return done.returncode, done.stdout, done.stderr

    def imported(self) -> dict[str, int]:
        with closing(Laws(self.folder / "data" / "laws.sqlite")) as store:
            return {card.abbreviation: card.size for card in store.cards()}


@pytest.fixture
def site() -> Iterator[Site]:
    with serve_statutes() as served:
        yield served


@pytest.fixture
def desk(tmp_path: Path, site: Site) -> Desk:
    return Desk(tmp_path, site.url)


def test_statutes_are_imported_by_abbreviation_or_title_and_listed(desk: Desk, site: Site) -> None:
    code, out, err = desk.laws("import", "BGB", "gg", "Strafgesetzbuch", "ProbG")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "BGB: 11 norms imported (Bürgerliches Gesetzbuch)",
        "GG: 4 norms imported (Grundgesetz für die Bundesrepublik Deutschland)",
        "StGB: 1 norm imported (Strafgesetzbuch)", "ProbG: 8 norms imported (Gesetz über Proben & Muster)"]
    assert [path for path, _ in site.asked].count("/gii-toc.xml") == 1
    code, out, _ = desk.laws("list")
    assert code == 0
    assert out.splitlines()[0].split() == ["law", "title", "norms", "retrieved", "source"]
    assert f"{site.url}/bgb/" in out


def test_nothing_imported_is_told_with_the_way_to_import(desk: Desk) -> None:
    assert desk.laws("list") == (0, "no statutes are imported yet; for the four usual ones: python -m moe laws import "
                                    "BGB StGB HGB GG\n", "")
    assert not (desk.folder / "data").exists()


def test_an_unchanged_statute_is_not_sent_again(desk: Desk, site: Site) -> None:
    desk.laws("import", "BGB")
    code, out, _ = desk.laws("import", "BGB")
    assert (code, out) == (0, "BGB: unchanged, 11 norms\n")
    assert [tag != "" for path, tag in site.asked if path == "/bgb/xml.zip"] == [False, True]


def test_a_changed_statute_takes_the_place_of_the_old_one(desk: Desk, site: Site) -> None:
    desk.laws("import", "BGB")
    site.publish([BGB._replace(parts=BGB.parts[1:5], built="20270101000000")])
    code, out, _ = desk.laws("import", "BGB")
    assert (code, out) == (0, "BGB: 2 norms imported (Bürgerliches Gesetzbuch)\n")
    assert desk.imported() == {"BGB": 2}


def test_all_are_imported_and_a_run_that_was_cut_goes_on(desk: Desk, site: Site) -> None:
    pages = dict(site.pages)
    site.pages["/stgb/xml.zip"] = 500
    code, out, err = desk.laws("import", "--all")
    assert code == 1
    assert "stgb:" in err and "status 500" in err
    assert out.splitlines()[-1] == "4 of 5 are imported"
    site.pages = pages
    site.asked.clear()
    code, out, _ = desk.laws("import", "--all")
    assert (code, out) == (0, "StGB: 1 norm imported (Strafgesetzbuch)\n1 of 1 are imported\n")
    assert [path for path, _ in site.asked] == ["/gii-toc.xml", "/stgb/xml.zip"]
    assert len(desk.imported()) == len(STATUTES)


def test_an_address_of_a_zip_of_a_file_or_of_a_whole_site_is_taken(desk: Desk, site: Site) -> None:
    site.pages["/gg.xml"] = GG.spell()
    code, _, err = desk.laws("import", f"{site.url}/hgb/xml.zip", f"{site.url}/gg.xml")
    assert (code, err) == (0, "")
    assert desk.imported() == {"GG": 4, "HGB": 1}
    code, out, _ = desk.laws("import", f"{site.url}/gii-toc.xml")
    assert (code, out.splitlines()[-1]) == (0, "5 of 5 are imported")


def test_files_and_folders_are_taken_without_a_network(tmp_path: Path) -> None:
    (tmp_path / "files" / "bgb").mkdir(parents=True)
    (tmp_path / "files" / "bgb" / "BJNR001950896.xml").write_bytes(BGB.spell())
    (tmp_path / "files" / "two.zip").write_bytes(pack({"a/gg.xml": GG.spell(), "b/hgb.xml": HGB.spell()}))
    (tmp_path / "files" / "bad.xml").write_bytes(b"<html/>")
    (tmp_path / "files" / "bad.zip").write_bytes(b"PK nonsense")
    (tmp_path / "files" / "notes.txt").write_text("not looked at", encoding="utf-8")
    with RefusedPort() as nobody:
        desk = Desk(tmp_path, nobody.url)
        code, out, err = desk.laws("import", "files")
        assert code == 1
        assert "bad.xml: it is no statute in the form of gesetze-im-internet.de" in err
        assert "bad.zip: " in err and "no sound zip file" in err
        assert out.splitlines()[-1] == "2 of 4 are imported"
        assert desk.imported() == {"BGB": 11, "GG": 4, "HGB": 1}
        assert desk.laws("import", "files/bgb/BJNR001950896.xml")[0] == 0
    assert "BJNR001950896.xml" in desk.laws("list")[1]


def test_without_a_network_it_says_so_once_and_keeps_what_is_there(desk: Desk) -> None:
    desk.laws("import", "BGB")
    with RefusedPort() as nobody:
        code, out, err = desk.laws("import", "BGB", "StGB", MOE_LAWS_URL=nobody.url)
    assert (code, out) == (1, "")
    assert err.count("does not answer") == 1 and "importing needs the network, or official XML files" in err
    assert desk.imported() == {"BGB": 11}


@pytest.mark.parametrize(("source", "told"), [
    ("XYZG", "has no law called 'XYZG'"), ("Strafgesetz", "did you mean Strafgesetzbuch?"),
    ("DSGVO", "law of the European Union"), ("GDPR", "law of the European Union"),
    ("no/such/folder", "there is no file or folder no/such/folder"), ("missing.xml", "No such file"),
    ("http://192.0.2.1/bgb/xml.zip", "statutes are taken over https only"),
    ("https://169.254.169.254/bgb/xml.zip", "169.254.169.254 is a link-local address"),
    ("https://user:secret@localhost/x.zip", "must not carry a user name"),
    ("http://", "names no valid host"), ("http://[:", "is not a URL"), ("", "is empty"),
    ("HTTP://192.0.2.1/bgb/xml.zip", "over https only"),
])
def test_what_cannot_be_had_is_told(desk: Desk, source: str, told: str) -> None:
    code, out, err = desk.laws("import", source)
    assert (code, out) == (1, "")
    assert told in err and "Traceback" not in err and "secret" not in err.replace("user:secret", "")


@pytest.mark.parametrize(("page", "told"), [
    (404, "status 404"), (500, "status 500"), (b"<html>hello</html>", "no statute in the form"), (b"", "no sound XML"),
    (b"PK\x03\x04 cut off", "no sound zip file"), ("http://192.0.2.1/x.zip", "over https only"),
    ("https://169.254.169.254/latest", "link-local"), ("/bgb/xml.zip", "leads on more than 5 times"),
    (BGB.spell()[:3000], "no sound XML"), ("http://[::", "no address"), ("http://localhost/x.zip", "another site"),
    ("https://10.0.0.1/xml.zip", "another site"),
])
def test_a_bad_answer_leaves_nothing_behind(desk: Desk, site: Site, page: bytes | int | str, told: str) -> None:
    site.pages["/bgb/xml.zip"] = page
    code, out, err = desk.laws("import", "BGB")
    assert (code, out) == (1, "")
    assert told in err and "Traceback" not in err
    assert desk.imported() == {}


def test_an_address_of_the_site_that_is_none_is_told(desk: Desk) -> None:
    code, _, err = desk.laws("import", "BGB", MOE_LAWS_URL="http://[")
    assert code == 1 and "is not a URL" in err and "Traceback" not in err


def test_one_bad_link_in_the_contents_is_skipped(desk: Desk, site: Site) -> None:
    page = site.pages["/gii-toc.xml"]
    assert isinstance(page, bytes)
    bad = b"<items><item><title>X</title><link>http://[x/bgb/xml.zip</link></item>"
    site.pages["/gii-toc.xml"] = page.replace(b"<items>", bad)
    code, out, err = desk.laws("import", "--all")
    assert (code, out.splitlines()[-1], err) == (0, "5 of 5 are imported", "")


def test_a_download_that_breaks_off_is_tried_again_and_does_not_end_the_import(desk: Desk, site: Site) -> None:
    site.broken.add("/bgb/xml.zip")
    code, out, err = desk.laws("import", "BGB", "GG")
    assert code == 1 and "broke off after" in err and "does not answer" not in err
    assert out.startswith("GG: 4 norms imported")
    assert [path for path, _ in site.asked].count("/bgb/xml.zip") == 2


def test_a_statute_that_is_not_filed_under_its_abbreviation_is_found(desk: Desk, site: Site) -> None:
    text = [Text("§ 1", "", "<P>Eins.</P>")]
    site.publish([*STATUTES, Statute("tstg", "TestG", "Gesetz über Tests", text),
                  Statute("woeigg", "WEG", "Gesetz über das Wohnungseigentum", text),
                  Statute("filed", "AnderG", "Gesetz über anderes (Anderesgesetz - AnderG)", text)])
    code, out, err = desk.laws("import", "TestG", "WEG", "AnderG")
    assert (code, err) == (0, "")
    assert [line.split(":")[0] for line in out.splitlines()] == ["TestG", "WEG", "AnderG"]
    code, out, err = desk.laws("import", "TesterG")
    assert (code, out) == (1, "") and "has no law called 'TesterG'" in err


def test_what_cannot_be_kept_is_told_with_the_statute_and_the_file(desk: Desk) -> None:
    (desk.folder / "data").mkdir()
    (desk.folder / "data" / "laws.sqlite").write_bytes(b"no database" * 100)
    code, _, err = desk.laws("import", "BGB")
    assert code == 1 and "bgb" in err.casefold() and "laws.sqlite" in err and "not a database" in err


def test_a_place_that_moved_on_the_same_site_is_followed(desk: Desk, site: Site) -> None:
    site.pages["/old/xml.zip"] = "/bgb/xml.zip"
    assert desk.laws("import", f"{site.url}/old/xml.zip")[0] == 0
    assert desk.imported() == {"BGB": 11}


def test_the_enacting_statute_is_found_where_the_site_files_it(desk: Desk, site: Site) -> None:
    law = Statute("bgbeg", "BGBEG", "Einführungsgesetz zum Bürgerlichen Gesetzbuche",
                  [Text("Art 1", "", "<P>Eins.</P>")], official="EGBGB")
    site.publish([*STATUTES, law])
    assert desk.laws("import", "EGBGB")[1].startswith("EGBGB: 1 norm imported")


def test_statutes_are_removed(desk: Desk) -> None:
    desk.laws("import", "BGB", "GG")
    assert desk.laws("remove", "Grundgesetz", "HGB") == (1, "GG is removed\n", "moe: HGB is not imported\n")
    assert desk.imported() == {"BGB": 11}


@pytest.mark.parametrize("words", [(), ("import",), ("remove",), ("export",), ("import", "--some")])
def test_what_makes_no_sense_is_misuse(desk: Desk, words: tuple[str, ...]) -> None:
    code, out, err = desk.laws(*words)
    assert (code, out) == (2, "") and err


def test_a_person_at_a_terminal_sees_a_bar(desk: Desk) -> None:
    leader, follower = pty.openpty()
    done = subprocess.run(command("laws", "import", "BGB"), stdout=subprocess.PIPE, stderr=follower, env=desk.env,
                          timeout=HANG_S, check=True, text=True)
    os.close(follower)
    shown = os.read(leader, 65536).decode()
    os.close(leader)
    assert "BGB: 11 norms imported" in done.stdout
    assert "[" in shown and "100%  bgb" in shown


def pack(files: dict[str, bytes]) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def test_a_zip_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_UNPACKED_BYTES", 1 << 20)
    bomb = pack({"a.xml": bytes(2 << 20)})
    assert len(bomb) < 1 << 14
    with pytest.raises(NoStatute, match="unpacks to more than"), open_files(bomb, "bomb"):
        pass


@pytest.mark.parametrize(("data", "told"), [(pack({"a.txt": b"x"}), "no XML file"), (b"PK", "no sound zip")])
def test_a_zip_without_a_statute_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(NoStatute, match=told), open_files(data, "x"):
        pass


def test_a_download_that_is_too_large_is_cut(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ZIP_BYTES", 1000)
    with closing(Web()) as web, pytest.raises(NoStatute, match="it has more than"):
        web.fetch(f"{site.url}/bgb/xml.zip")
