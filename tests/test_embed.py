from __future__ import annotations

import json
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from moe.embed import BatchEncoder, OnnxEmbedder, Rows, SentenceTransformerEmbedder, excerpt, load_embedder
from moe.errors import NotReady

GUARD_S = 20
WORDS = ("[UNK]", "query", "passage", ":", "soup", "salt", "fever")


def make_encoder(folder: Path, **about: object) -> Path:
    """An encoder folder whose graph gives the normalised mean of its words' axes."""
    folder.mkdir(parents=True)
    mean = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "two"], ["column"]),
        helper.make_node("Mul", ["words", "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["embedding"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        mean, "words",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "t"]),
         helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["b", "t"])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["b", len(WORDS)])],
        [numpy_helper.from_array(np.eye(len(WORDS), dtype=np.float32), "table"),
         numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
         numpy_helper.from_array(np.array([2], dtype=np.int64), "two")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    card = {"name": folder.name, "sha256": "ab", "dimension": len(WORDS), "max_tokens": 16, "query_prefix": "",
            "passage_prefix": "", **about}
    (folder / "encoder.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def encoder(tmp_path: Path) -> OnnxEmbedder:
    return OnnxEmbedder(make_encoder(tmp_path / "words"))


def watch(embedder: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of texts in each run of the model from now on."""
    sizes: list[int] = []
    run = embedder._run_one

    def count(tokens: Sequence[int]) -> Rows:
        sizes.append(1)
        return run(tokens)

    monkeypatch.setattr(embedder, "_run_one", count)
    return sizes


def axes(*words: str) -> np.ndarray:
    row = np.zeros(len(WORDS), dtype=np.float32)
    row[[WORDS.index(word) for word in words]] = 1
    return row / np.linalg.norm(row)


def test_each_text_becomes_a_unit_row_in_its_own_place(encoder: OnnxEmbedder) -> None:
    texts = ["soup salt", "fever", "soup soup soup salt salt salt fever fever fever soup", "salt"]
    rows = encoder.embed(texts, kind="passage")
    assert rows.dtype == np.float32 and rows.shape == (4, encoder.dimension)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(4), abs=1e-6)
    assert rows[0] == pytest.approx(axes("soup", "salt")) and rows[1] == pytest.approx(axes("fever"))
    assert rows[3] == pytest.approx(axes("salt"))
    alone = [encoder.embed([text], kind="query")[0] for text in texts]
    assert np.stack(alone) == pytest.approx(rows, abs=1e-6)


def test_nothing_gives_no_rows(encoder: OnnxEmbedder) -> None:
    assert encoder.embed([], kind="query").shape == encoder.embed([], kind="passage").shape == (0, len(WORDS))


def test_each_kind_gets_its_prefix(tmp_path: Path) -> None:
    e5 = OnnxEmbedder(make_encoder(tmp_path / "e5", query_prefix="query: ", passage_prefix="passage: "))
    assert e5.embed(["soup"], kind="query")[0] == pytest.approx(axes("query", ":", "soup"))
    assert e5.embed(["soup"], kind="passage")[0] == pytest.approx(axes("passage", ":", "soup"))


def test_a_lone_surrogate_is_embedded_like_any_text(encoder: OnnxEmbedder) -> None:
    assert np.isfinite(encoder.embed(["\ud800 soup", "\udfff"], kind="query")).all()
    assert np.isfinite(encoder.embed(["\ud800"], kind="query")).all()


def test_a_huge_text_is_cut_before_it_reaches_the_tokenizer(encoder: OnnxEmbedder,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    run = encoder._batches._encode

    def measure(texts: Sequence[str]) -> Rows:
        lengths.extend(map(len, texts))
        return run(texts)

    monkeypatch.setattr(encoder._batches, "_encode", measure)
    encoder.embed(["soup " * 200_000], kind="query")
    assert lengths == [64]


def test_an_excerpt_has_both_ends() -> None:
    assert excerpt("short", 5) == "short"
    assert excerpt("begin" + "." * 1000 + "end", 20) == "begin.......... .end"


def test_a_query_asked_again_is_not_run_again(encoder: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = watch(encoder, monkeypatch)
    first, again = (encoder.embed(["soup"], kind="query") for _ in range(2))
    assert sizes == [1] and np.array_equal(first, again)
    encoder.embed(["soup"], kind="passage")
    assert sizes == [1, 1]


def test_no_caller_can_spoil_a_kept_row(encoder: OnnxEmbedder) -> None:
    row = encoder.embed(["soup"], kind="query")
    with pytest.raises(ValueError, match="read-only"):
        row[0, 0] = 9


def test_only_so_many_queries_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = OnnxEmbedder(make_encoder(tmp_path / "words"), queries_kept=2)
    sizes = watch(encoder, monkeypatch)
    for text in ("soup", "salt", "fever", "soup"):
        encoder.embed([text], kind="query")
    assert len(sizes) == 4



class Gate:
    """An encoder for BatchEncoder that waits to be let go, and gives each text's length as its row."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.entered = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)

    def __call__(self, texts: Sequence[str]) -> Rows:
        self.batches.append(list(texts))
        self.entered.release()
        assert self.let_go.acquire(timeout=GUARD_S)
        if "poison" in texts:
            raise RuntimeError("poison")
        return np.array([[len(text)] for text in texts], dtype=np.float32)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as threads:
        yield threads


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(GUARD_S * 200):
        if is_so():
            return
        threading.Event().wait(0.005)
    pytest.fail("it never came to that")


def test_queries_that_come_while_one_runs_share_the_next_run(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    encoder = BatchEncoder(gate)
    first = pool.submit(encoder.encode_one, "a")
    assert gate.entered.acquire(timeout=GUARD_S)
    others = [pool.submit(encoder.encode_one, "b" * n) for n in range(2, 8)]
    wait_until(lambda: len(encoder._open.texts) == 6)
    gate.let_go.release(2)
    assert first.result(GUARD_S)[0] == 1
    assert [other.result(GUARD_S)[0] for other in others] == [2, 3, 4, 5, 6, 7]
    assert [len(batch) for batch in gate.batches] == [1, 6]


def test_a_batch_that_is_full_opens_another(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    encoder = BatchEncoder(gate)
    gate.let_go.release(100)
    with encoder._engine:
        jobs = [pool.submit(encoder.encode_one, "b" * n) for n in range(1, 36)]
        wait_until(lambda: len(encoder._open.texts) == 3)
    assert [job.result(GUARD_S)[0] for job in jobs] == list(range(1, 36))
    assert sorted(map(len, gate.batches)) == [3, 16, 16]


def test_when_the_leader_fails_the_others_run_alone_and_nobody_waits_for_ever(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    encoder = BatchEncoder(gate)
    gate.let_go.release(100)
    jobs = {}
    with encoder._engine:
        for text in ("poison", "b", "cc"):
            jobs[text] = pool.submit(encoder.encode_one, text)
            wait_until(lambda: len(encoder._open.texts) == len(jobs))
    with pytest.raises(RuntimeError, match="poison"):
        jobs["poison"].result(GUARD_S)
    assert (jobs["b"].result(GUARD_S)[0], jobs["cc"].result(GUARD_S)[0]) == (1, 2)
    assert encoder.encode_one("after")[0] == 5


def test_the_chosen_encoder_is_the_one_set_up_made(tmp_path: Path) -> None:
    make_encoder(tmp_path / "encoder" / "words")
    assert load_embedder(None, tmp_path) is None
    (tmp_path / "encoder" / "current").write_text("words\n")
    chosen = load_embedder(None, tmp_path)
    assert chosen is not None and chosen.name == "words"
    assert load_embedder("", tmp_path) is None


@pytest.mark.parametrize("model_path", ["words", "someone/words", "models/encoder/words", "{folder}/encoder/words"])
def test_an_encoder_may_be_named_by_path_or_by_name(tmp_path: Path, model_path: str) -> None:
    folder = tmp_path / "models"
    make_encoder(folder / "encoder" / "words")
    embedder = load_embedder(model_path.format(folder=folder), folder)
    assert embedder is not None and embedder.name == "words"


def test_the_fingerprint_follows_what_changes_a_passages_vector(tmp_path: Path) -> None:
    cards: list[dict[str, object]] = [{}, {"sha256": "cd"}, {"passage_prefix": "passage: "}, {"max_tokens": 8}]
    prints = [OnnxEmbedder(make_encoder(tmp_path / str(i) / "words", **card)).fingerprint
              for i, card in enumerate(cards)]
    assert len(set(prints)) == 4
    assert OnnxEmbedder(make_encoder(tmp_path / "again" / "words")).fingerprint == prints[0]


@pytest.mark.parametrize("spoil", [
    lambda folder: (folder / "encoder.json").unlink(), lambda folder: (folder / "encoder.json").write_text("{"),
    lambda folder: (folder / "encoder.json").write_text("[]"), lambda folder: (folder / "model.onnx").write_bytes(b"?"),
    lambda folder: (folder / "tokenizer.json").write_text("{}"), lambda folder: (folder / "tokenizer.json").unlink(),
])
def test_a_spoilt_folder_names_the_command_that_mends_it(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    folder = make_encoder(tmp_path / "words")
    spoil(folder)
    with pytest.raises(NotReady, match=r"\./setup\.sh"):
        OnnxEmbedder(folder)


class Transformer:
    """What is used of sentence-transformers: gives each text's length as its vector, and remembers the texts."""

    def __init__(self, model: str, *, device: str, local_files_only: bool) -> None:
        if not local_files_only or "absent" in model:
            raise OSError("not in the cache")
        self.texts: list[str] = []

    def encode(self, texts: list[str], *, normalize_embeddings: bool, **_: object) -> np.ndarray:
        self.texts += texts
        return np.array([[len(text), 1] for text in texts])


@pytest.fixture
def transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, part in (("sentence_transformers", "SentenceTransformer"), ("torch", "set_num_threads")):
        module = types.ModuleType(name)
        setattr(module, part, Transformer if part == "SentenceTransformer" else lambda threads: None)
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("transformers")
@pytest.mark.parametrize(("model", "prefix"), [
    ("intfloat/multilingual-e5-small", "query: "), ("e5_mine", "query: "), ("all-MiniLM-L6-v2", ""), ("the5th", "")])
def test_only_e5_models_get_its_prefixes(tmp_path: Path, model: str, prefix: str) -> None:
    embedder = load_embedder(model, tmp_path)
    assert isinstance(embedder, SentenceTransformerEmbedder) and embedder.dimension == 2
    embedder.embed(["soup"], kind="query")
    assert embedder._model.texts[-1] == f"{prefix}soup"


@pytest.mark.usefixtures("transformers")
def test_a_model_that_is_not_on_the_machine_is_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="absent/model.*run ./setup.sh"):
        load_embedder("absent/model", tmp_path)


def test_a_model_without_onnx_asks_for_sentence_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(NotReady, match=r"\./setup\.sh --with torch"):
        load_embedder("intfloat/multilingual-e5-small", tmp_path)
