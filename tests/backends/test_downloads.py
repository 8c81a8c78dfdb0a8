"""Models from a hub, fetched by processes of their own and followed by all who asked: against a hub over sockets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moe.backends.downloads import Downloads, Fetched, NotFetched, is_of_a_hub, spell
from moe.errors import Busy
from tests.adversarial.kit import becomes_true
from tests.backends.tiny import GENERAL
from tests.fakes.hub import Hub, serve_hub

REPO = "acme/tiny"
FILE = "tiny-q4_k_m.gguf"
NAME = f"hf.co/{REPO}"
TINY = GENERAL.read_bytes()
STEP = 10 << 20  # as large as the library's own pieces would be, were they not made smaller
LARGE = TINY + bytes(2 * STEP)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub(Hub({FILE: TINY}, repo=REPO)) as served:
        yield served


@pytest.fixture
def downloads(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Downloads]:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "*")
    made = Downloads(tmp_path / "models")
    yield made
    made.close()


def follow(
    downloads: Downloads, name: str = NAME, ours: dict[str, str] | None = None
) -> tuple[list[dict[str, Any]], Fetched]:
    work = downloads.follow(name, ours)
    steps = []
    while True:
        try:
            line = next(work)
        except StopIteration as over:
            return steps, over.value
        if line:
            steps.append(json.loads(line))


def test_the_steps_are_ollama_s(downloads: Downloads, hub: Hub, tmp_path: Path) -> None:
    steps, fetched = follow(downloads)
    checksum = hub.checksum(FILE)
    assert fetched == Fetched(FILE, checksum, len(TINY), True, f"{REPO}/{FILE}")
    assert (tmp_path / "models" / FILE).read_bytes() == TINY
    whole = {"status": f"pulling {checksum[:12]}", "digest": f"sha256:{checksum}", "total": len(TINY),
             "completed": len(TINY)}
    assert [step for step in steps if step.get("completed") != 0] == [
        {"status": "pulling manifest"}, whole, {"status": "verifying sha256 digest"}, {"status": "writing manifest"},
    ]
    assert [path.name for path in (tmp_path / "models").iterdir()] == [FILE]


def test_a_file_that_is_there_is_compared_and_not_fetched_again(downloads: Downloads, hub: Hub) -> None:
    follow(downloads)
    steps, fetched = follow(downloads, f"huggingface.co/{REPO}:latest")
    assert not fetched.is_new
    assert [step["status"] for step in steps] == ["pulling manifest", "verifying sha256 digest"]
    assert len(hub.ranges(FILE)) == 1


def test_who_comes_later_joins(downloads: Downloads, hub: Hub) -> None:
    hub.files[FILE] = LARGE
    hub.hang_at[FILE] = STEP + 5
    told: list[Any] = []
    first = downloads.follow(NAME)
    assert any(b"pulling " in line and b"completed" in line for line in first if line and b"completed" in line)
    second = downloads.follow(f"huggingface.co/{REPO}:latest")
    told = [json.loads(line)["status"] for line in (next(second), next(second)) if line]
    assert told[0] == "pulling manifest"
    assert len(hub.ranges(FILE)) == 1
    first.close()
    time.sleep(0.3)
    assert next(second) is not None  # it goes on for the one who stayed
    second.close()


def test_when_the_last_one_leaves_it_stops_and_the_next_goes_on_from_there(
    downloads: Downloads, hub: Hub, tmp_path: Path
) -> None:
    hub.files[FILE] = LARGE
    hub.hang_at[FILE] = STEP + 5
    work = downloads.follow(NAME)
    part = tmp_path / "models" / ".downloads"
    assert next(line for line in work if b"completed" in line)
    assert becomes_true(lambda: any(file.stat().st_size >= STEP for file in part.glob("*.part")))
    work.close()
    assert not (tmp_path / "models" / FILE).exists()
    steps, fetched = follow(downloads)
    assert (tmp_path / "models" / FILE).read_bytes() == LARGE
    assert fetched.is_new
    assert hub.ranges(FILE) == [None, f"bytes={STEP}-"]
    assert [path.name for path in (tmp_path / "models").iterdir()] == [FILE]
    assert steps[1]["completed"] == STEP


def test_two_at_once_get_one_download(downloads: Downloads, hub: Hub) -> None:
    found: list[Fetched] = []
    names = (NAME, NAME, f"{NAME}:Q4_K_M")  # the last is another name of the same file
    threads = [threading.Thread(target=lambda name=name: found.append(follow(downloads, name)[1])) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.file for each in found} == {FILE}
    assert len(hub.ranges(FILE)) == 1


def test_only_a_few_run_at_once(downloads: Downloads, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moe.backends.downloads.MOST_AT_ONCE", 1)
    hub.files[FILE] = LARGE
    hub.hang_at[FILE] = 5
    work = downloads.follow(NAME)
    next(work)
    with pytest.raises(Busy):
        next(downloads.follow("hf.co/acme/other"))
    assert next(downloads.follow(NAME)) is not None  # to join is no second one
    work.close()


@pytest.mark.parametrize(("name", "told"), [
    ("hf.co/acme/nothing", "has no repository acme/nothing"), (f"{NAME}:Q2_K", "has no Q2_K"),
    ("hf.co/half", "names no repository"),
])
def test_what_there_is_not_is_told(downloads: Downloads, name: str, told: str) -> None:
    with pytest.raises(NotFetched, match=told) as caught:
        follow(downloads, name)
    assert "./setup.sh" not in caught.value.message


def test_a_file_with_another_checksum_never_arrives(downloads: Downloads, hub: Hub, tmp_path: Path) -> None:
    hub.checksums[FILE] = "0" * 64
    with pytest.raises(NotFetched, match="its checksum is"):
        follow(downloads)
    assert not list((tmp_path / "models").rglob("*.gguf*"))


def test_what_is_no_gguf_never_arrives(downloads: Downloads, hub: Hub, tmp_path: Path) -> None:
    hub.files[FILE] = b"MZ" + bytes(100)
    with pytest.raises(NotFetched, match="it is no GGUF file"):
        follow(downloads)
    assert not list((tmp_path / "models").rglob("*.gguf"))


def test_a_file_put_there_by_hand_is_never_written_over(downloads: Downloads, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for name in (FILE, f"acme-{FILE}"):
        (models / name).write_bytes(b"GGUF mine")
    fetched = follow(downloads)[1]
    assert (fetched.file, fetched.is_new) == (f"acme-tiny-{FILE}", True)
    (models / fetched.file).write_bytes(b"GGUF mine")
    with pytest.raises(NotFetched, match="move it away first") as caught:
        follow(downloads)
    assert str(tmp_path) not in caught.value.message
    assert {file.read_bytes() for file in models.iterdir()} == {b"GGUF mine"}


def test_only_what_came_from_the_same_place_is_replaced(downloads: Downloads, hub: Hub, tmp_path: Path) -> None:
    first = follow(downloads)[1]
    hub.files[FILE] = TINY + b"newer"
    elsewhere = {f"acme/other/{FILE}": FILE, f"{REPO}/old/{FILE}": FILE, f"{REPO}/{FILE}": "../outside.gguf"}
    assert follow(downloads, ours=elsewhere)[1].file == "outside.gguf"
    (tmp_path / "models" / "outside.gguf").unlink()
    assert follow(downloads, ours={f"acme/other/{FILE}": FILE})[1].file == f"acme-{FILE}"
    assert (tmp_path / "models" / FILE).read_bytes() == TINY
    hub.files[FILE] = newest = TINY + b"newest"
    again = follow(downloads, ours={first.origin: FILE})[1]
    assert (again.file, again.is_new, (tmp_path / "models" / FILE).read_bytes()) == (FILE, True, newest)


def test_its_progress_is_told_long_before_ten_megabytes(downloads: Downloads, hub: Hub) -> None:
    hub.files[FILE], hub.drip_s = LARGE, 0.25
    work = downloads.follow(NAME)
    told = (json.loads(line).get("completed", 0) for line in work if line)
    steps = [next(completed for completed in told if completed) for _ in range(4)]
    assert 0 < steps[0] < steps[1] < steps[2] < steps[3] <= 5 << 20
    work.close()


def test_without_a_hub_it_says_so(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(NotFetched, match="cannot be reached"):
        follow(downloads)


def test_when_the_server_ends_so_do_they(downloads: Downloads, hub: Hub) -> None:
    hub.files[FILE] = LARGE
    hub.hang_at[FILE] = 5
    work = downloads.follow(NAME)
    assert next(line for line in work if b"pulling manifest" in line)
    downloads.close()
    with pytest.raises(NotFetched):
        list(work)
    with pytest.raises(NotFetched, match="shutting down"):
        follow(downloads)


@pytest.mark.parametrize("name", ["hf.co/a/b", "HF.co/a/b:Q4", "huggingface.co/a/b:latest"])
def test_names_of_a_hub_are_known(name: str) -> None:
    assert is_of_a_hub(name)
    assert spell(name).startswith("hf.co/a/b")
    assert not spell(name).endswith(":latest")


@pytest.mark.parametrize("name", ["phi4", "a/b", "registry.example/a/b", "my-hf.co/a/b"])
def test_other_names_are_not(name: str) -> None:
    assert not is_of_a_hub(name)
