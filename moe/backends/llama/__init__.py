"""GGUF models in this process: llama.cpp through its low-level API, many answers from one batch."""
