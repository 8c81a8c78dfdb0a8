"""Encoders out of a hub's repository, over a real socket: ready graphs, weights, cut and forged downloads."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from moe.encoders.recipes import MINILM
from moe.encoders.sources import WEIGHT_FILES, ready_file
from tests.fakes.hub import Hub, serve_hub

from .kit import ALIKE, TEXTS, UNLIKE, embed, make, tokenise
from .test_bert import encode_by_hand, random_weights, run

ROWS, WIDTH = 8009, 384  # 12 MB: the client keeps what it got of a cut file in steps of 10 MB


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
    ready = ready_file()
    files = {ready: bag_of_words()[0], "tokenizer.json": weight_files["tokenizer.json"].read_bytes()}
    with serve_hub(Hub(files)) as hub:
        yield hub


def test_the_hub_s_ready_graph_is_given_pooling_and_normalisation(hub: Hub, tmp_path: Path) -> None:
    done = make("--language", "en", models=tmp_path, hub=hub.url)
    assert done.returncode == 0, done.stdout
    folder = tmp_path / "encoder" / MINILM.name
    assert json.loads((folder / "encoder.json").read_text())["source"] == \
        f"sentence-transformers/all-MiniLM-L6-v2@1110a243 {ready_file()}"
    model = onnx.load(str(folder / "model.onnx"))
    assert [value.name for value in model.graph.input] == ["input_ids", "attention_mask"]
    assert [value.name for value in model.graph.output] == ["embedding"]
    rows = [tokenise(folder, text) for text in (ALIKE, UNLIKE)]
    mean = np.array([bag_of_words()[1][np.array(row) % ROWS].mean(axis=0) for row in rows])
    assert np.allclose(run(model, rows), mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-5)


def test_a_cut_download_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    ready = ready_file()
    hub.cut_at[ready] = [11_000_000]
    done = make("--language", "en", models=tmp_path, hub=hub.url)
    assert done.returncode == 0, done.stdout
    first, second = hub.ranges(ready)
    assert first is None and second is not None
    kept = int(second.removeprefix("bytes=").removesuffix("-"))
    assert 11_000_000 - 65_536 <= kept <= 11_000_000
    assert ready in json.loads((tmp_path / "encoder" / MINILM.name / "encoder.json").read_text())["source"]


def test_a_second_run_fetches_only_what_the_first_did_not_get(hub: Hub, tmp_path: Path) -> None:
    ready = ready_file()
    tokenizer = hub.files.pop("tokenizer.json")
    assert make("--language", "en", models=tmp_path, hub=hub.url).returncode == 1
    hub.files["tokenizer.json"] = tokenizer
    done = make("--language", "en", models=tmp_path, hub=hub.url)
    assert done.returncode == 0, done.stdout
    assert len(hub.ranges(ready)) == 1
    assert not (tmp_path / "encoder" / ".downloads").exists()


def test_a_file_with_another_checksum_than_the_hub_promised_is_refused(hub: Hub, tmp_path: Path) -> None:
    ready = ready_file()
    hub.checksums[ready] = "0" * 64
    done = make("--language", "en", models=tmp_path, hub=hub.url)
    assert done.returncode == 1
    assert f"{Path(ready).name} is refused: its checksum is" in done.stdout
    assert not (tmp_path / "encoder" / MINILM.name).exists()
    assert not list(tmp_path.rglob(Path(ready).name))


def test_a_tokenizer_that_is_not_the_pinned_one_is_refused_whatever_the_hub_says(hub: Hub, tmp_path: Path) -> None:
    hub.files["tokenizer.json"] += b" "
    done = make("--language", "en", models=tmp_path, hub=hub.url)
    assert done.returncode == 1
    assert "tokenizer.json is refused" in done.stdout


@pytest.mark.parametrize("part", ["input", "output"])
def test_a_ready_graph_of_another_shape_is_refused(hub: Hub, tmp_path: Path, part: str) -> None:
    model = onnx.load_from_string(hub.files[ready_file()])
    if part == "input":
        model.graph.input[1].name = "pixel_values"
    else:
        del model.graph.output[0].type.tensor_type.shape.dim[1]
    hub.files[ready_file()] = model.SerializeToString()
    done = make("--language", "en", models=tmp_path, hub=hub.url)
    assert done.returncode == 1
    assert "is not the graph that was expected" in done.stdout


def test_a_hub_without_the_ready_file_is_passed_over_for_pypi(hub: Hub, minilm_wheel: Path, tmp_path: Path) -> None:
    del hub.files[ready_file()]
    done = make("--language", "en", models=tmp_path, hub=hub.url, wheels=[minilm_wheel])
    assert done.returncode == 0, done.stdout
    assert re.search(f"gave no {ready_file()}: .*404", done.stdout)
    assert json.loads((tmp_path / "encoder" / MINILM.name / "encoder.json").read_text())["source"].startswith("gt-all-")


def test_the_other_encoders_are_built_from_the_hub_s_weights(hub: Hub, tmp_path: Path) -> None:
    config = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96,
              "layer_norm_eps": 1e-12, "vocab_size": 30522, "max_position_embeddings": 128}  # fmt: skip
    weights = random_weights(config)
    hub.files |= {"model.safetensors": save(weights), "config.json": json.dumps(config).encode()}
    pins = {name: hashlib.sha256(hub.files[name]).hexdigest() for name in WEIGHT_FILES}
    code = (
        "import sys, dataclasses, pathlib; from moe.encoders import recipes; from moe.encoders.__main__ import run;"
        f"recipe = dataclasses.replace(recipes.E5, sha256={pins});"
        f"sys.exit(run((recipe,), pathlib.Path({str(tmp_path / 'encoder')!r})))"
    )
    done = make(models=tmp_path, hub=hub.url, code=code)
    assert done.returncode == 0, done.stdout
    folder = tmp_path / "encoder" / "multilingual-e5-small"
    card = json.loads((folder / "encoder.json").read_text())
    assert (card["query_prefix"], card["passage_prefix"], card["max_tokens"]) == ("query: ", "passage: ", 512)
    assert card["dimension"] == 64
    assert card["source"] == "intfloat/multilingual-e5-small@614241f6 model.safetensors, quantised here"
    rows = [tokenise(folder, text) for text in TEXTS]
    exact = [encode_by_hand(weights, config, row, pooling="mean") for row in rows]
    assert ((embed(folder, TEXTS) * exact).sum(axis=1) > 0.97).all()
