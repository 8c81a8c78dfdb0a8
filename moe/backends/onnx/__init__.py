"""ONNX models in this process: language models with a cache or without, and encoder-decoders such as T5."""
