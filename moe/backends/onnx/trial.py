"""What a folder of ONNX graphs has to stand before it is trusted; runs in a process of its own."""

from __future__ import annotations

from pathlib import Path

from ...core import ChatRequest, Message, Text
from .files import find_files
from .model import OnnxModel


def try_out(place: Path) -> None:
    """Loads it, lets it compute two tokens and write down a conversation. Raises NotReady, UpstreamRefusal."""
    model = OnnxModel(find_files(place), threads=1)
    model.write(ChatRequest(messages=(Message("user", (Text("Hello"),)),)))
