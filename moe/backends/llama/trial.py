"""What a GGUF file has to stand before it is trusted; runs in a process of its own."""

from __future__ import annotations

import math
from pathlib import Path

from ...core import Message, Text
from ...errors import NotReady
from ..dialogue.plan import Plan
from ..dialogue.template import Template
from .native import Native
from .parts import list_parts, read_headers
from .runner import Shape

CELLS = 256


def try_out(file: Path) -> None:
    """Loads it, lets it read a conversation and write a word. Raises NotReady."""
    header = read_headers(list_parts(file))
    native = Native(file, Shape(cells=CELLS, sequences=1, threads=1, batch_tokens=CELLS, is_mapped=True))
    template = Template(header.template, bos=native.text_of(native.bos), eos=native.text_of(native.eos))
    text = template.render([Message("user", (Text("Hello"),))])
    tokens = native.tokenize(text)[:CELLS] or [0]
    native.control_texts()
    if native.decode([(0, 0, tokens, True)]):
        raise NotReady(f"{file.name} loads but cannot be run", reason="broken model file")
    row = native.logits(1)[0]
    if not math.isfinite(native.log_total(row)):
        raise NotReady(f"{file.name} loads but computes no numbers: it is damaged", reason="broken model file")
    sampler = native.sampler(Plan())
    native.piece(sampler.sample(len(tokens) - 1, row))
    sampler.close()
    native.close()
