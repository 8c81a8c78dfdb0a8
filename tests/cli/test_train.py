"""`train`: a classifier from labelled prompts, which then serves. It begins from a very small BERT, and is real."""

from __future__ import annotations

import json
import os
import pty
import signal
from argparse import Namespace
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import requests

from moe.cli.terminal import Terminal
from moe.cli.train import leave_out, read_all
from moe.config import read_config
from tests.cli.house import HANG_S, LEARNERS, House
from tests.cli.test_batch import write_rows
from tests.fakes import RefusedPort, fake_ollama
from tests.live import live_server
from tests.routing.prompts import ASKED
from tests.training.kit import make_prompts, make_start

QUICK = ("--start", "tiny", "--epochs", "3", "--batch-size", "16", "--learning-rate", "0.006", "--max-tokens", "16")
NEW = make_prompts(25, seed=7)
OF_NOBODY = ("banana", "weather", "holiday", "music", "river")


class Trained(NamedTuple):
    """One run to its end: `shown` is what a terminal got for standard error."""

    house: House
    code: int
    told: list[str]
    shown: str


def prepare(house: House) -> House:
    """Four experts in keyword mode, prompts for them in rows.jsonl, and a BERT to begin from."""
    house.write(experts=LEARNERS)
    make_start(house.folder / "tiny")
    write_rows(house.folder / "rows.jsonl", [{"text": each.text, "label": each.label} for each in make_prompts()])
    return house


@pytest.fixture
def school(inside: House) -> House:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return prepare(inside)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """On prompts of which some fit nobody and two cannot be used."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    with fake_ollama(["gemma3:4b"]) as ollama, RefusedPort() as port:
        house = prepare(House(tmp_path_factory.mktemp("trained"), ollama, port.port))
        rows = [{"text": f"the {a} and {b} of {c}", "label": "oos"} for a in OF_NOBODY for b in OF_NOBODY
                for c in OF_NOBODY if len({a, b, c}) == 3]
        with (house.folder / "rows.jsonl").open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.write('nonsense\n{"text": "boil an egg", "label": "chefs"}\n')
        yield watch(house, "train", "rows.jsonl", *QUICK, "--no-compare", "--out", "models/mine")


def watch(house: House, *words: str) -> Trained:
    master, slave = pty.openpty()
    with house.running(*words, stderr=slave) as process:
        os.close(slave)
        shown = b""
        try:
            while data := os.read(master, 65536):
                shown += data
        except OSError:  # how Linux tells the end of a pty
            os.close(master)
        told, _ = process.communicate(timeout=HANG_S)
    return Trained(house, process.returncode, told.decode().splitlines(), shown.decode())


def test_what_is_learnt_and_made_is_told(trained: Trained) -> None:
    assert trained.told[0] == "300 prompts for 5 experts, 30 of them held out; starting from tiny"
    assert trained.told[1].startswith("the encoder as it was: held out, accuracy 0.")
    assert [line.split(":")[0] for line in trained.told[2:5]] == ["epoch 1", "epoch 2", "epoch 3"]
    assert [file.name for file in (trained.house.folder / "models").iterdir()] == ["mine"]


def test_rows_that_cannot_be_used_are_told_and_the_others_are_learnt_from(trained: Trained) -> None:
    assert trained.code == 1
    assert "moe: rows.jsonl:301: not a labelled prompt" in trained.shown
    assert 'moe: no expert is called "chefs"; did you mean "chef"? 1 row is left out' in trained.shown


def test_a_bar_shows_the_progress_to_whoever_watches(trained: Trained) -> None:
    assert "reading the prompts" in trained.shown and "epoch 3 of 3" in trained.shown
    assert "Traceback" not in trained.shown


def test_what_it_makes_serves(trained: Trained) -> None:
    router = json.loads("{" + trained.told[-1] + "}")["router"]
    assert router == {"router_type": "classification", "model_path": "models/mine"}
    with live_server(trained.house.folder, config={"router": router}, experts=LEARNERS) as live:
        told = [requests.get(f"{live.url}/v1/route", {"text": each.text}, timeout=HANG_S).json() for each in NEW]
        nobody = requests.get(f"{live.url}/v1/route", {"text": "the music of holiday and river"}, timeout=HANG_S).json()
    right = [each["expert"] == row.label for each, row in zip(told, NEW, strict=True)]
    assert {each["stage"] for each in told} <= {"classifier", "fallback"}
    assert sum(right) / len(right) > 0.7
    assert (nobody["expert"], nobody["stage"]) == ("fallback", "classifier")
    assert set(told[0]["scores"]) == set(ASKED)


def test_eval_judges_it_by_the_same_config(trained: Trained) -> None:
    house = trained.house
    house.write(config=json.loads("{" + trained.told[-1] + "}"), experts=LEARNERS)
    write_rows(house.folder / "new.jsonl", [{"text": each.text, "label": each.label} for each in NEW])
    told = json.loads(house.moe("eval", "new.jsonl", "--json").stdout)
    assert told["strict"] > 0.7 and told["stages"]["classifier"] > 50


def test_the_hybrid_is_judged_beside_it_taught_by_the_same_prompts(fitted: House) -> None:
    pytest.importorskip("torch")
    prepare(fitted)
    fitted.write(config={"router": {"model_path": None}}, experts=LEARNERS)
    before = sorted(file.name for file in (fitted.folder / "data" / "heads").iterdir())
    done = fitted.moe("train", "rows.jsonl", *QUICK, "--epochs", "0", "--out", "models/mine")
    assert (done.returncode, done.stderr) == (0, "")
    head, classifier, hybrid = (line.split() for line in done.stdout.splitlines()[-6:-3])
    assert head == ["held", "out", "accuracy", "macro-F1", "calibration", "error", "p50", "ms"]
    assert (classifier[0], hybrid[0]) == ("classifier", "hybrid")
    assert all(0.4 < float(row[1]) <= 1 and float(row[3]) < 0.5 and float(row[4]) > 0 for row in (classifier, hybrid))
    assert sorted(file.name for file in (fitted.folder / "data" / "heads").iterdir()) == before


def test_without_a_file_the_experts_own_examples_are_learnt_from_and_without_an_encoder_there_is_no_hybrid(
    school: House
) -> None:
    done = school.moe("train", *QUICK, "--epochs", "0", "--hold-out", "0.2", "--out", "models/mine")
    assert done.returncode == 0
    assert done.stdout.startswith("32 prompts for 4 experts, 8 of them held out")
    assert done.stderr == ('moe: there is no hybrid to compare with: model_path is "": experts are chosen by their '
                           "keywords\n")
    assert [line.split()[0] for line in done.stdout.splitlines()[-5:-3]] == ["held", "classifier"]


@pytest.mark.parametrize(("file", "packs", "count"), [("rows.jsonl", True, 272), ("rows.jsonl", False, 240),
                                                      (None, False, 32)])
def test_own_examples_are_added_to_a_file_s_prompts_when_asked_for(
    inside: House, file: str | None, packs: bool, count: int
) -> None:
    prepare(inside)
    options = Namespace(file=file and str(inside.folder / file), packs=packs)
    read = read_all(options, read_config(inside.folder / "config"), Terminal())
    assert (len(read.cases), read.bad) == (count, 0)


def test_prompts_for_an_expert_that_no_text_leads_to_are_left_out(
    inside: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house = prepare(inside)
    house.write(experts=[{**expert, "routable": expert["label"] != "chef"} for expert in LEARNERS])
    config = read_config(house.folder / "config")
    options = Namespace(file=str(house.folder / "rows.jsonl"), packs=False)
    kept = leave_out(read_all(options, config, Terminal()).cases, config, Terminal())
    assert (len(kept), {case.label for case in kept}) == (180, set(ASKED) - {"chef"})
    assert capsys.readouterr().err == 'moe: "chef" is not routable: its 60 prompts are left out\n'


@pytest.mark.parametrize(("words", "told"), [
    (("few.jsonl",), "19 prompts for 4 experts are too few to learn from: 20 for two experts are the least"),
    (("alone.jsonl",), "30 prompts for 1 experts are too few"),
    (("rows.jsonl", "--out", "photos"), "photos is there already, and no classifier that this command has made"),
    (("rows.jsonl", "--epochs", "some"), "invalid number value: 'some'"),
    (("rows.jsonl", "--hold-out", "0.9"), "0.9 is not from 0.01 to 0.5"),
])
def test_what_makes_no_sense_is_a_misuse(inside: House, words: tuple[str, ...], told: str) -> None:
    prepare(inside)
    (inside.folder / "photos").mkdir()
    (inside.folder / "photos" / "a.jpg").write_text("")
    rows = [{"text": each.text, "label": each.label} for each in make_prompts(30)]
    write_rows(inside.folder / "few.jsonl", rows[::6][:19])
    write_rows(inside.folder / "alone.jsonl", rows[:30])
    done = inside.moe("train", "--out", "models/mine", "--start", "tiny", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert not (inside.folder / "models" / "mine").exists()
    assert [file.name for file in (inside.folder / "photos").iterdir()] == ["a.jpg"]


@pytest.mark.parametrize(("words", "told"), [
    (("missing.jsonl",), "moe: missing.jsonl: No such file or directory"),
    (("rows.jsonl", "--start", "photos"), "photos is nothing to begin from: it has no model.safetensors"),
    (("rows.jsonl",), "--fetch gets them once"),
])
def test_what_is_not_there_is_told_in_a_line(inside: House, words: tuple[str, ...], told: str) -> None:
    prepare(inside)
    done = inside.moe("train", "--out", "models/mine", *words)
    assert done.returncode == 1
    assert told in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (inside.folder / "models" / "mine").exists()


def test_without_torch_it_says_how_to_get_it(inside: House) -> None:
    prepare(inside)
    (inside.folder / "torch.py").write_text('raise ImportError("No module named torch")')
    done = inside.moe("train", "rows.jsonl", *QUICK, "--out", "models/mine")
    assert (done.returncode, done.stderr) == (1, "moe: training needs torch: run ./setup.sh --with torch\n")
    assert not (inside.folder / "models").exists()


def test_ctrl_c_leaves_nothing_behind(school: House) -> None:
    words = ("train", "rows.jsonl", *QUICK, "--epochs", "100", "--learning-rate", "1e-7", "--out", "models/mine")
    with school.running(*words) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith(b"epoch 1"):
            assert process.poll() is None
        assert len(list((school.folder / "models").iterdir())) == 1  # it is being made
        process.send_signal(signal.SIGINT)
        assert process.wait(HANG_S) == 130
        assert process.stderr is not None and process.stderr.read() == b""
    assert list((school.folder / "models").iterdir()) == []
