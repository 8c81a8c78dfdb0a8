"""Text to unit vectors: one protocol, ONNX encoders, and sentence-transformers for models that have no ONNX."""

from .base import CHARS_PER_TOKEN, MAX_TOKENS, Embedder, Kind, Rows, excerpt
from .lending import Lent
from .loading import Encoders, load_embedder
from .onnx import CARD, GRAPH, JoinedEmbedder, OnnxEmbedder, Quick, find_quick, open_encoder
from .openai_tokens import OpenAiTokens
from .readers import PIECES, TABLE, WORDS, Reader, open_reader
from .transformer import SentenceTransformerEmbedder

__all__ = [
    "CARD", "CHARS_PER_TOKEN", "GRAPH", "MAX_TOKENS", "PIECES", "TABLE", "WORDS", "Embedder", "Encoders",
    "JoinedEmbedder", "Kind", "Lent", "OnnxEmbedder", "OpenAiTokens", "Quick", "Reader", "Rows",
    "SentenceTransformerEmbedder", "excerpt", "find_quick", "load_embedder", "open_encoder", "open_reader",
]
