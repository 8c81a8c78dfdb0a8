"""One model in llama.cpp: its vocabulary, its cache and its arithmetic, in Python's terms."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import NotReady
from ..dialogue.plan import Plan
from ..dialogue.speech import MARKS
from .library import load_library
from .runner import Part, Row, Shape
from .sampler import Sampler

LONGEST_PIECE = 256
# Many of llama.cpp's tokenizers match words by std::regex, which needs up to 400 bytes of stack for each letter: a word
# of 40,000 ends the process.
LONGEST_RUN = 2048


class Native:
    """One model with one context. `tokenize` may be called from every thread, all else from one at a time.

    Of the tokens that stand for something, -1 where there is none, `first_token` has to open every prompt, and
    `fill_tokens` come before a prefix, a suffix and the middle that is to be filled in. They are read once, as the
    model may be gone when a prompt is written.
    """

    def __init__(self, file: Path, shape: Shape) -> None:
        """Raises NotReady when llama-cpp-python is missing or llama.cpp refuses the file."""
        self._c, self._complaints = load_library()
        self._complaints.clear()
        self._context: Any = None
        self._model = self._open(file, shape)
        try:
            self._check_kind(file)
            self._context = self._make_context(file, shape)
        except NotReady:
            self._c.llama_model_free(self._model)
            raise
        c = self._c
        self.shape = shape
        self._vocabulary = c.llama_model_get_vocab(self._model)
        self.token_count: int = c.llama_vocab_n_tokens(self._vocabulary)
        self.bos = int(c.llama_vocab_bos(self._vocabulary))
        self.eos = int(c.llama_vocab_eos(self._vocabulary))
        self.first_token = self.bos if c.llama_vocab_get_add_bos(self._vocabulary) else -1
        self.fill_tokens = (c.llama_vocab_fim_pre(self._vocabulary), c.llama_vocab_fim_suf(self._vocabulary),
                            c.llama_vocab_fim_mid(self._vocabulary))
        has_words = c.llama_vocab_type(self._vocabulary) == c.LLAMA_VOCAB_TYPE_BPE
        self.longest_run = LONGEST_RUN if has_words else 0
        self.weight_bytes: int = c.llama_model_size(self._model)
        self.trained_context: int = c.llama_model_n_ctx_train(self._model)
        # Where past tokens melt into one state, none of them can be taken away again.
        self.can_cut = not (c.llama_model_is_recurrent(self._model) or c.llama_model_is_hybrid(self._model))
        self._memory = c.llama_get_memory(self._context)
        self._batch = _Batch(c, shape.batch_tokens)
        self._pieces: dict[int, bytes] = {}
        self._readers = 0
        self._readers_changed = threading.Condition()
        self._is_closed = False
        self._scratch = np.empty(self.token_count, np.float32)

    def close(self) -> None:
        """Waits for those who tokenize just now; whoever comes later gets NotReady."""
        with self._readers_changed:
            self._is_closed = True
            self._readers_changed.wait_for(lambda: not self._readers)
        self._batch.free()
        self._c.llama_free(self._context)
        self._c.llama_model_free(self._model)

    # -- the vocabulary

    def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """Without a token for the beginning; `special`: texts of control tokens become these tokens."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        with self._reading():
            while True:
                tokens = (ctypes.c_int32 * room)()
                count = self._c.llama_tokenize(self._vocabulary, data, len(data), tokens, room, False, special)
                if count >= 0:
                    return tokens[:count]
                room = -count

    def piece(self, token: int) -> bytes:
        """The bytes that a token adds to an answer; b"" for control tokens, but not for those that mark calls."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._spell(token)
        return known

    def text_of(self, token: int) -> str:
        """A token's own text, control tokens too; "" for none (-1)."""
        return self._render(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def is_end(self, token: int) -> bool:
        return bool(self._c.llama_vocab_is_eog(self._vocabulary, token))

    def control_texts(self) -> list[str]:
        """The texts that stand for control tokens."""
        is_control = self._c.llama_vocab_is_control
        texts = (self.text_of(token) for token in range(self.token_count) if is_control(self._vocabulary, token))
        return [text for text in texts if text]

    # -- the cache

    def cut(self, sequence: int, length: int) -> bool:
        """Forgets all but the first `length` tokens; False when a part cannot be taken away."""
        return bool(self._c.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def share(self, source: int, target: int, start: int, end: int) -> None:
        """Lets `target` have the tokens [start, end) of `source` too; nothing is copied."""
        self._c.llama_memory_seq_cp(self._memory, source, target, start, end)

    def forget_all(self) -> None:
        self._c.llama_memory_clear(self._memory, True)

    # -- running

    def decode(self, parts: Sequence[Part]) -> int:
        """Evaluates one batch while other threads run on.

        0 = done, 1 = no room in the cache, and nothing has changed, else an error.
        """
        self._batch.fill(parts)
        return int(self._c.llama_decode(self._context, self._batch.raw))

    def logits(self, count: int) -> Row:
        """One row for each part whose logits were wanted, in order; valid until the next `decode`."""
        found = self._c.llama_get_logits(self._context)
        return np.ctypeslib.as_array(found, (count, self.token_count))

    def log_total(self, row: Row) -> float:
        """The logarithm of the sum of a row's exponentials: a token's logit less this is its log probability."""
        top = float(row.max())
        np.subtract(row, top, out=self._scratch)
        np.exp(self._scratch, out=self._scratch)
        return top + math.log(float(self._scratch.sum())) if math.isfinite(top) else math.nan

    def sampler(self, plan: Plan, grammar: str = "") -> Sampler:
        """The caller closes it. Raises UpstreamRefusal for a grammar that llama.cpp does not take."""
        return Sampler(
            self._c, plan, grammar, context=self._context, vocabulary=self._vocabulary, cells=self.shape.cells
        )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._readers_changed:
            if self._is_closed:
                raise NotReady("the model was unloaded", reason="unloaded")
            self._readers += 1
        try:
            yield
        finally:
            with self._readers_changed:
                self._readers -= 1
                self._readers_changed.notify_all()

    def _open(self, file: Path, shape: Shape) -> Any:
        c = self._c
        params = c.llama_model_default_params()
        # Weights are read, not mapped: a file that shrinks under a mapping kills the process, and memory that was
        # read is memory that can be counted and comes back.
        params.load_mode = c.LLAMA_LOAD_MODE_MMAP if shape.is_mapped else c.LLAMA_LOAD_MODE_NONE
        params.use_extra_bufts = not shape.is_mapped
        model = c.llama_model_load_from_file(str(file).encode(), params)
        if not model:
            raise NotReady(f"{file.name} could not be loaded: {self._complaint()}", reason="model cannot be loaded")
        return model

    def _check_kind(self, file: Path) -> None:
        c, model = self._c, self._model
        is_decoder = c.llama_model_has_decoder(model) and not c.llama_model_has_encoder(model)
        if not is_decoder or c.llama_model_is_diffusion(model):
            raise NotReady(f"{file.name} is no model that writes text from left to right", reason="unfit model")
        if not c.llama_vocab_n_tokens(c.llama_model_get_vocab(model)):
            raise NotReady(f"{file.name} has no vocabulary", reason="unfit model")

    def _make_context(self, file: Path, shape: Shape) -> Any:
        c = self._c
        params = c.llama_context_default_params()
        params.n_ctx = shape.cells
        params.n_batch = params.n_ubatch = shape.batch_tokens
        params.n_seq_max = params.n_outputs_max = shape.sequences
        params.n_threads = params.n_threads_batch = shape.threads
        params.kv_unified = params.swa_full = params.no_perf = True
        context = c.llama_init_from_model(self._model, params)
        if not context:
            raise NotReady(f"{file.name} cannot be run: {self._complaint()}", reason="model cannot be run")
        return context

    def _complaint(self) -> str:
        """The first error since the loading began: what comes after it only tells that there was one."""
        return self._complaints[0].rpartition(": error loading model: ")[2] if self._complaints else "no reason given"

    def _spell(self, token: int) -> bytes:
        if not self._c.llama_vocab_is_control(self._vocabulary, token):
            return self._render(token, special=False)
        text = self._render(token, special=True)
        return text if text.decode("utf-8", "replace") in MARKS else b""

    def _render(self, token: int, *, special: bool) -> bytes:
        room = LONGEST_PIECE
        while True:
            buffer = ctypes.create_string_buffer(room)
            length = self._c.llama_token_to_piece(self._vocabulary, token, buffer, room, 0, special)
            if length >= 0:
                return buffer.raw[:length]
            room = -length


class _Batch:
    """llama_batch with its arrays as numpy's, so that a step is filled without a call for every token."""

    def __init__(self, c: Any, size: int) -> None:
        self._c = c
        self.raw = c.llama_batch_init(size, 0, 1)
        self._tokens = _view(self.raw.token, ctypes.c_int32, size)
        self._positions = _view(self.raw.pos, ctypes.c_int32, size)
        self._wanted = _view(self.raw.logits, ctypes.c_int8, size)
        _view(self.raw.n_seq_id, ctypes.c_int32, size)[:] = 1
        self._sequences = [_view(self.raw.seq_id[place], ctypes.c_int32, 1) for place in range(size)]

    def fill(self, parts: Sequence[Part]) -> None:
        start = 0
        for sequence, position, tokens, is_wanted in parts:
            end = start + len(tokens)
            self._tokens[start:end] = tokens
            self._positions[start:end] = range(position, position + len(tokens))
            self._wanted[start:end] = 0
            self._wanted[end - 1] = is_wanted
            for place in range(start, end):
                self._sequences[place][0] = sequence
            start = end
        self.raw.n_tokens = start

    def free(self) -> None:
        self._c.llama_batch_free(self.raw)


def _view(pointer: Any, kind: Any, size: int) -> npt.NDArray[Any]:
    return np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(kind)), (size,))
