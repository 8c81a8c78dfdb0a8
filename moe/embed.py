"""Text to unit vectors: one protocol, an ONNX encoder, and sentence-transformers for models that have no ONNX."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from . import engines
from .errors import NotReady

Kind = Literal["query", "passage"]
Rows = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Rows]

MAX_TOKENS = 128
CHARS_PER_TOKEN = 4
BATCH_ROWS = 16
QUERIES_KEPT = 1024


class Embedder(Protocol):
    """`fingerprint` changes whenever a passage's vector would: a cache of vectors is keyed by it."""

    name: str
    fingerprint: str
    dimension: int

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Rows:
        """One unit row for each text; safe to call from many threads."""


def load_embedder(model_path: str | None, models_folder: Path) -> Embedder | None:
    """The encoder a config asks for; None where it asks for none, or where set-up has made none.

    `model_path`: None = the encoder made at set-up, "" = no encoder, else a folder or a model's name.
    Raises NotReady with the command that mends it.
    """
    if model_path == "":
        return None
    encoders = models_folder / "encoder"
    if model_path is None:
        pointer = encoders / "current"
        return OnnxEmbedder(encoders / pointer.read_text(encoding="utf-8").strip()) if pointer.is_file() else None
    places = (Path(model_path), models_folder.parent / model_path, encoders / Path(model_path).name)
    found = next((place for place in places if (place / "model.onnx").is_file()), None)
    if found is not None:
        return OnnxEmbedder(found)
    folder = next((place for place in places if place.is_dir()), None)
    return SentenceTransformerEmbedder(str(folder) if folder is not None else model_path)


class Encoders:
    """Opens encoders and keeps the last: a reload that leaves it alone opens nothing. For one thread at a time."""

    def __init__(self, models_folder: Path) -> None:
        self._folder = models_folder
        self._kept: tuple[tuple[object, ...], Embedder | None] | None = None

    def open(self, model_path: str | None) -> Embedder | None:
        """As `load_embedder`."""
        key = (model_path, _stamp(self._folder / "encoder" / "current"))
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, load_embedder(model_path, self._folder))
        return self._kept[1]


def _stamp(file: Path) -> tuple[int, int] | None:
    """What changes when a file is written anew; None when there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class Batch:
    """Texts that will be encoded in one run; whoever put in the first one runs it for all."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.rows: Rows | None = None
        self.over = threading.Event()


class BatchEncoder:
    """Gathers the texts that arrive while the encoder is busy, and encodes them together when it is free."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._engine = threading.Lock()
        self._gate = threading.Lock()
        self._open = Batch()

    def encode_one(self, text: str) -> Rows:
        """The text's row [d]. When a batch fails its leader gets the error and each of the others runs alone."""
        with self._gate:
            if len(self._open.texts) == BATCH_ROWS:
                self._open = Batch()
            batch = self._open
            place = len(batch.texts)
            batch.texts.append(text)
        if place == 0:
            self._lead(batch)
        else:
            batch.over.wait()
        rows = batch.rows
        row: Rows = self.encode_all([text])[0] if rows is None else rows[place].copy()
        row.flags.writeable = False  # the cache gives the same row to everyone
        return row

    def encode_all(self, texts: Sequence[str]) -> Rows:
        """Rows [n, d], made in runs of similar length so that little is padded."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        parts = []
        for start in range(0, len(order), BATCH_ROWS):
            with self._engine:
                parts.append(self._encode([texts[i] for i in order[start:start + BATCH_ROWS]]))
        rows = np.concatenate(parts)
        rows[order] = rows.copy()
        return rows

    def _lead(self, batch: Batch) -> None:
        try:
            with self._engine:
                with self._gate:
                    if self._open is batch:
                        self._open = Batch()
                batch.rows = self._encode(batch.texts)
        finally:
            batch.over.set()


class CachedEmbedder:
    """What both encoders share: prefixes, the cut, the cache of queries, batching."""

    dimension: int

    def __init__(self, encode: Encode, *, prefixes: dict[Kind, str], max_chars: int, kept: int) -> None:
        self._prefixes = prefixes
        self._max_chars = max_chars
        self._batches = BatchEncoder(encode)
        self._encode_query = lru_cache(maxsize=kept)(self._batches.encode_one)

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Rows:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        prefix = self._prefixes[kind]
        ready = [prefix + _valid(excerpt(text, self._max_chars)) for text in texts]
        if kind == "query" and len(ready) == 1:
            return self._encode_query(ready[0])[np.newaxis]
        return self._batches.encode_all(ready)


class OnnxEmbedder(CachedEmbedder):
    """An encoder folder made at set-up: model.onnx, tokenizer.json and encoder.json."""

    def __init__(self, folder: Path, *, queries_kept: int = QUERIES_KEPT) -> None:
        try:
            about = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
            self.name = str(about["name"])
            self.dimension = int(about["dimension"])
            self._max_tokens = min(int(about["max_tokens"]), MAX_TOKENS)
            prefixes: dict[Kind, str] = {"query": about["query_prefix"], "passage": about["passage_prefix"]}
            sha256 = str(about["sha256"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotReady(f"{folder} is not an encoder ({error}): run ./setup.sh") from error
        self._tokenizer, self._session = _open_onnx(folder, self._max_tokens)
        self.fingerprint = _digest(sha256, str(self._max_tokens), prefixes["passage"])
        super().__init__(self._run, prefixes=prefixes, max_chars=CHARS_PER_TOKEN * self._max_tokens,
                         kept=queries_kept)

    def _run(self, texts: Sequence[str]) -> Rows:
        """Each text is a run of its own: an int8 model scales a whole batch at once, so that a text's vector
        would depend on its neighbours, and a batch gains next to nothing on one thread."""
        return np.concatenate([self._run_one(self._tokenizer.encode(text).ids) for text in texts])

    def _run_one(self, tokens: Sequence[int]) -> Rows:
        ids = np.array([tokens], dtype=np.int64)
        rows: Rows = self._session.run(["embedding"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
        return rows


class SentenceTransformerEmbedder(CachedEmbedder):
    """A folder of sentence-transformers, or a name its cache already holds; nothing is downloaded here."""

    def __init__(self, model: str, *, queries_kept: int = QUERIES_KEPT) -> None:
        self.name = Path(model).name
        self._model = _open_transformer(model)
        is_e5 = "e5" in re.split(r"[-_.]", self.name.lower())
        prefixes: dict[Kind, str] = {kind: f"{kind}: " if is_e5 else "" for kind in get_args(Kind)}
        super().__init__(self._run, prefixes=prefixes, max_chars=CHARS_PER_TOKEN * MAX_TOKENS, kept=queries_kept)
        probe = self.embed(["The quick brown fox jumps over the lazy dog."], kind="passage")
        self.dimension = int(probe.shape[1])
        self.fingerprint = _digest(self.name, probe.round(3).tobytes().hex())

    def _run(self, texts: Sequence[str]) -> Rows:
        rows = self._model.encode(list(texts), normalize_embeddings=True, convert_to_numpy=True,
                                  show_progress_bar=False)
        return np.asarray(rows, dtype=np.float32)


def excerpt(text: str, max_chars: int) -> str:
    """`text` if it is short, else its beginning and its end: a question stands before or after what it is about."""
    if len(text) <= max_chars:
        return text
    head = 3 * max_chars // 4
    return f"{text[:head]} {text[head + 1 - max_chars:]}"


def _open_onnx(folder: Path, max_tokens: int) -> tuple[Any, Any]:
    """The folder's tokenizer and its session."""
    try:
        tokenizer = engines.open_tokenizer(folder / "tokenizer.json")
        session = engines.open_session(folder / "model.onnx")
    except NotReady as error:
        raise NotReady(f"the encoder in {folder} cannot be loaded ({error}): run ./setup.sh") from error
    tokenizer.enable_truncation(max_length=max_tokens)
    return tokenizer, session


def _open_transformer(model: str) -> Any:
    try:
        import torch  # noqa: PLC0415
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415
    except ImportError as error:
        raise NotReady(f'the encoder "{model}" needs sentence-transformers: run ./setup.sh --with torch') from error
    try:
        torch.set_num_threads(1)
        return SentenceTransformer(model, device="cpu", local_files_only=True)
    except (OSError, ValueError) as error:
        raise NotReady(f'no encoder "{model}" on this machine: run ./setup.sh, or put its folder there') from error


def _valid(text: str) -> str:
    """`text` without lone surrogates, which JSON can carry and no tokenizer takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
