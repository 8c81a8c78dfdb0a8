"""How much room a model gets: threads, the length of a conversation, and the cache that all conversations share."""

from __future__ import annotations

from msgspec import Struct

from ...config import EngineConfig
from ..machine import usable_cores
from .header import Header
from .runner import Shape

DEFAULT_CONTEXT = 4096
SMALL_BYTES = 50 << 20
# More sequences than answers at a time: the rest hold conversations that may go on. A model whose memory is one
# state for each sequence pays for every one of them.
SEQUENCES, STATE_SEQUENCES = 32, 8
CACHE_FACTOR = 4
CACHE_BYTES = 512 << 20
SPARE_BYTES = 96 << 20
CELLS_STEP = 256
LEAST_BATCH, BATCH_TOKENS = 64, 512


class Size(Struct, frozen=True, kw_only=True):
    """`context_length`: tokens of one conversation; `least_bytes`: what the model takes with room for one only."""

    context_length: int
    threads: int
    batch_tokens: int
    sequences: int
    least_bytes: int


def choose_size(header: Header, engine: EngineConfig, *, context: int | None = None) -> Size:
    """`context` is what an expert asks for, else ai_engine.n_ctx, else 4096; no more than the model was trained on."""
    length = max(CELLS_STEP, context or engine.n_ctx or DEFAULT_CONTEXT)
    length = min(length, header.context_length or length)
    has_state = header.value("ssm.state_size") or header.value("wkv.head_size")
    return Size(
        context_length=length, threads=choose_threads(header.file_bytes, engine),
        batch_tokens=max(LEAST_BATCH, engine.n_batch or BATCH_TOKENS),
        sequences=STATE_SEQUENCES if has_state else SEQUENCES,
        least_bytes=header.file_bytes + _padded(length) * header.cell_bytes + SPARE_BYTES,
    )


def choose_shape(header: Header, size: Size, *, spare_bytes: int) -> Shape:
    """The cache, which all conversations share, holds up to four of full length: many short ones at once are the rule.

    But beyond the first it takes no more than `spare_bytes`, and no more than the weights do, or 512 MB.
    """
    length, cell_bytes = size.context_length, max(1, header.cell_bytes)
    more = min(max(CACHE_BYTES, header.file_bytes) - length * cell_bytes, spare_bytes) // cell_bytes
    cells = length + max(0, min(more, length * (CACHE_FACTOR - 1)))
    # Some models turn to other factors for long contexts, and take the cache's length for the conversation's.
    original = header.number("rope.scaling.original_context_length")
    if length <= original < cells:
        cells = original
    return Shape(
        cells=_padded(cells), sequences=size.sequences, threads=size.threads,
        batch_tokens=min(size.batch_tokens, _padded(cells)),
    )


def _padded(cells: int) -> int:
    """llama.cpp's caches grow in steps."""
    return -(-cells // CELLS_STEP) * CELLS_STEP


def choose_threads(file_bytes: int, engine: EngineConfig) -> int:
    """One core is left to everybody else; a small model is done before a second thread has woken up."""
    if engine.n_threads is not None:
        return engine.n_threads
    return 1 if file_bytes < SMALL_BYTES else max(1, usable_cores() - 1)
