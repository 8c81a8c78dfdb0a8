"""Choosing tokens: one chain of llama.cpp's samplers for each sequence, and a grammar that they may not leave."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import BadAnswer, UpstreamRefusal
from ..dialogue.plan import Plan
from .runner import Row

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])

class Sampler:
    """Chooses one sequence's tokens. Its grammar stands beside the chain: a choice that fits costs one check, not
    one for every token of the vocabulary, and a grammar that no token fits is an error and not the end of the process.
    """

    def __init__(
        self, library: Any, plan: Plan, grammar: str, *, context: Any, vocabulary: Any, cells: int
    ) -> None:
        self._c = library
        self._context = context
        self._vocabulary = vocabulary
        self._count: int = library.llama_vocab_n_tokens(vocabulary)
        self._cells = cells
        self._grammar = self._make_grammar(grammar) if grammar else None
        self._chain = self._make_chain(plan)

    def close(self) -> None:
        self._c.llama_sampler_free(self._chain)
        if self._grammar is not None:
            self._c.llama_sampler_free(self._grammar)

    def accept(self, tokens: Sequence[int]) -> None:
        """Tells of tokens that were read, for the penalties' sake."""
        for token in tokens:
            self._c.llama_sampler_accept(self._chain, token)

    def sample(self, place: int, row: Row) -> int:
        """The next token, for the last batch's token at `place`, whose logits are `row`.

        Raises BadAnswer when the grammar leaves none.
        """
        if self._grammar is None:
            return int(self._c.llama_sampler_sample(self._chain, self._context, place))
        token = self._choose(row, is_bound=False)
        if not self._fits(token):
            token = self._choose(row, is_bound=True)
        self._c.llama_sampler_accept(self._grammar, token)
        self._c.llama_sampler_accept(self._chain, token)
        return token

    def _choose(self, row: Row, *, is_bound: bool) -> int:
        found = np.zeros(self._count, _CANDIDATE)
        found["id"] = np.arange(self._count, dtype=np.int32)
        found["logit"] = row
        array = self._as_candidates(found)
        if is_bound:
            self._c.llama_sampler_apply(self._grammar, ctypes.byref(array))
        self._c.llama_sampler_apply(self._chain, ctypes.byref(array))
        place = array.selected
        if not 0 <= place < len(found) or found["logit"][place] == -math.inf:
            raise BadAnswer("no token fits the required format", reason="the format cannot be met")
        return int(found["id"][place])

    def _fits(self, token: int) -> bool:
        one = np.array([(token, 0.0, 0.0)], _CANDIDATE)
        self._c.llama_sampler_apply(self._grammar, ctypes.byref(self._as_candidates(one)))
        return bool(one["logit"][0] == 0.0)

    def _as_candidates(self, found: npt.NDArray[Any]) -> Any:
        pointer = ctypes.cast(found.ctypes.data, ctypes.POINTER(self._c.llama_token_data))
        return self._c.llama_token_data_array(data=pointer, size=len(found), selected=-1, sorted=False)

    def _make_grammar(self, text: str) -> Any:
        made = self._c.llama_sampler_init_grammar(self._vocabulary, text.encode(), b"root")
        if not made:
            raise UpstreamRefusal("the format is a schema that cannot be followed here")
        return made

    def _make_chain(self, plan: Plan) -> Any:
        """In llama.cpp's own order: what shifts logits first, then what cuts, then temperature and the draw."""
        c, count = self._c, self._count
        chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        parts = []
        biases = [(token, bias) for token, bias in plan.logit_bias if 0 <= token < count]
        if biases:
            table = (c.llama_logit_bias * len(biases))(*(c.llama_logit_bias(*pair) for pair in biases))
            parts.append(c.llama_sampler_init_logit_bias(count, len(biases), table))
        if plan.penalizes:
            last = plan.repeat_last_n if plan.repeat_last_n > 0 else self._cells
            parts.append(c.llama_sampler_init_penalties(
                count, last, plan.repeat_penalty, plan.frequency_penalty, plan.presence_penalty
            ))
        parts += [c.llama_sampler_init_greedy()] if plan.is_greedy else self._draw(plan)
        for part in parts:
            c.llama_sampler_chain_add(chain, part)
        return chain

    def _draw(self, plan: Plan) -> list[Any]:
        c, count = self._c, self._count
        warmth = c.llama_sampler_init_temp(plan.temperature)
        if plan.mirostat == 1:
            return [warmth, c.llama_sampler_init_mirostat(count, plan.seed, plan.mirostat_tau, plan.mirostat_eta, 100)]
        if plan.mirostat == 2:
            return [warmth, c.llama_sampler_init_mirostat_v2(plan.seed, plan.mirostat_tau, plan.mirostat_eta)]
        parts = []
        if plan.top_k > 0:
            parts.append(c.llama_sampler_init_top_k(plan.top_k))
        if 0 < plan.typical_p < 1:
            parts.append(c.llama_sampler_init_typical(plan.typical_p, 1))
        if plan.top_p < 1:
            parts.append(c.llama_sampler_init_top_p(max(0.0, plan.top_p), 1))
        if plan.min_p > 0:
            parts.append(c.llama_sampler_init_min_p(min(1.0, plan.min_p), 1))
        return [*parts, warmth, c.llama_sampler_init_dist(plan.seed)]
