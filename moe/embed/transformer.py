"""Encoders that have no ONNX, through sentence-transformers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ..errors import NotReady
from .base import CHARS_PER_TOKEN, MAX_TOKENS, Kind, Rows
from .batches import QUERIES_KEPT, CachedEmbedder


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
        self.fingerprint = hashlib.sha256(self.name.encode() + b"\0" + probe.round(3).tobytes()).hexdigest()

    def _run(self, texts: Sequence[str]) -> Rows:
        rows = self._model.encode(list(texts), normalize_embeddings=True, convert_to_numpy=True,
                                  show_progress_bar=False)
        return np.asarray(rows, dtype=np.float32)


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
