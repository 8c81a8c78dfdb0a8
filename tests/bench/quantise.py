"""Quantises a GGUF file with llama.cpp: `python quantise.py FROM Q8_0|Q4_K_M TO`."""

from __future__ import annotations

import ctypes
import sys

import llama_cpp


def quantise(source: str, kind: str, target: str) -> int:
    """0 when it worked. Rows that are no multiple of 256 get the next best kind, as in files from a hub."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    return int(llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)))


if __name__ == "__main__":
    sys.exit(quantise(*sys.argv[1:4]))
