"""Where experts.json may be: `categories_file` and what it must not lead to."""

from __future__ import annotations

from pathlib import Path

import pytest

from moe.config import read_config
from tests.config.files import FALLBACK, expert, problems_of, write_folder

OTHERS = [FALLBACK, expert(1, "other")]


def test_without_a_name_it_is_experts_json_in_the_config_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, config={"router": {"categories_file": ""}})
    assert read_config(folder).files == (folder / "config.json", folder / "experts.json")


def test_lemoes_name_means_the_file_beside_config_json(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, config={"router": {"categories_file": "config/experts.json"}}, experts=OTHERS)
    assert read_config(folder).expert("other") is not None


def test_lemoes_name_means_that_also_in_a_folder_of_another_name(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, config={"router": {"categories_file": "config/experts.json"}}, experts=OTHERS)
    folder = folder.rename(tmp_path / "etc-moe")
    assert read_config(folder).expert("other") is not None
    write_folder(tmp_path)  # and also where there is another folder "config"
    assert read_config(folder).expert("other") is not None


@pytest.mark.parametrize("name", ["team/mine.json", "./team/mine.json", "config/../team/mine.json", "mine.json"])
def test_a_name_counts_from_the_config_folders_parent(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path, config={"router": {"categories_file": name}})
    (tmp_path / "team").mkdir()
    text = (write_folder(tmp_path / "elsewhere", experts=OTHERS) / "experts.json").read_text()
    (tmp_path / name).write_text(text)
    assert read_config(folder).expert("other") is not None


def test_an_absolute_name_is_fine_inside_and_refused_outside(tmp_path: Path) -> None:
    parent = tmp_path / "home"
    folder = write_folder(parent, experts=OTHERS)
    (folder / "config.json").write_text(f'{{"router": {{"categories_file": "{folder}/experts.json"}}}}')
    assert read_config(folder).expert("other") is not None
    outside = write_folder(tmp_path / "outside", experts=OTHERS) / "experts.json"
    (folder / "config.json").write_text(f'{{"router": {{"categories_file": "{outside}"}}}}')
    (problem,) = problems_of(folder)
    assert problem == (
        f"config.json:1: at $.router.categories_file: {outside} leads to {outside}, outside of {parent}"
    )


@pytest.mark.parametrize("name", ["../secret.json", "config/../../secret.json", "/etc/passwd", "../../../../etc"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path / "home", config={"router": {"categories_file": name}})
    (tmp_path / "secret.json").write_text("{}")
    (problem,) = problems_of(folder)
    assert problem.startswith("config.json:3: at $.router.categories_file: ")
    assert "outside of" in problem


def test_a_link_in_place_of_experts_json_must_not_lead_out(tmp_path: Path) -> None:
    outside = write_folder(tmp_path / "outside", experts=OTHERS) / "experts.json"
    folder = write_folder(tmp_path / "home")
    (folder / "experts.json").unlink()
    (folder / "experts.json").symlink_to(outside)
    (problem,) = problems_of(folder)
    assert f"leads to {outside}" in problem


def test_a_link_on_the_way_must_not_lead_out(tmp_path: Path) -> None:
    write_folder(tmp_path / "outside", experts=OTHERS)
    folder = write_folder(tmp_path / "home", config={"router": {"categories_file": "team/experts.json"}})
    (tmp_path / "home" / "team").symlink_to(tmp_path / "outside" / "config")
    (problem,) = problems_of(folder)
    assert "outside of" in problem


def test_the_file_of_the_same_name_in_the_config_folder_must_not_lead_out_either(tmp_path: Path) -> None:
    outside = write_folder(tmp_path / "outside", experts=OTHERS) / "experts.json"
    folder = write_folder(tmp_path / "home", config={"router": {"categories_file": "config/mine.json"}})
    folder = folder.rename(tmp_path / "home" / "etc-moe")
    (folder / "mine.json").symlink_to(outside)
    (problem,) = problems_of(folder)
    assert "outside of" in problem


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, experts=OTHERS)
    (folder / "experts.json").rename(folder / "real.json")
    (folder / "experts.json").symlink_to("real.json")
    assert read_config(folder).expert("other") is not None


def test_a_config_folder_that_is_a_link_itself_is_its_target(tmp_path: Path) -> None:
    router = {"categories_file": "config/experts.json"}
    real = write_folder(tmp_path / "real", config={"router": router}, experts=OTHERS)
    (tmp_path / "app").mkdir()
    link = tmp_path / "app" / "settings"
    link.symlink_to(real)
    assert read_config(link).expert("other") is not None


@pytest.mark.parametrize("name", ["a\x00b", "x" * 5000, "loop/mine.json"])
def test_a_name_that_no_file_can_have_is_a_fault(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path, config={"router": {"categories_file": name}})
    (tmp_path / "loop").symlink_to("loop")
    assert len(problems_of(folder)) == 1


def test_a_named_file_that_is_missing_is_told_with_its_place(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, config={"router": {"categories_file": "team/mine.json"}})
    assert problems_of(folder) == (f"{tmp_path}/team/mine.json: cannot be read: No such file or directory",)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, config={"router": {"categories_file": "config"}})
    assert problems_of(folder) == (f"{tmp_path}/config: cannot be read: Is a directory",)
