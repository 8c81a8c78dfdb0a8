"""The experts as experts.json has them: each default of theirs stands here and nowhere else."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from .options import KeepAlive


class Expert(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One expert as configured in experts.json; each default stands here and nowhere else."""

    id: int
    label: str
    description: str = ""
    keywords: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    examples_file: str = ""
    aliases: tuple[str, ...] = ()
    type: Literal["ollama", "api", "local", "builtin", "echo"] = "ollama"
    model_name: str = ""
    url: str = ""
    urls: tuple[str, ...] = ()
    provider: str = ""
    api_base: str = ""
    api_key_env: str = ""
    format: Literal["gguf", "onnx", "huggingface", ""] = ""
    model_path: str = ""
    system_prompt: str = ""
    system_prompt_mode: Literal["replace", "prepend"] = "replace"
    vision: bool = False
    tier: Literal[1, 2] = 1
    options: dict[str, Any] = field(default_factory=dict)
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    keep_alive: KeepAlive | None = None
    first_token_timeout_s: Annotated[float, Meta(gt=0)] | None = None
    fallback: str = ""
    routable: bool = True
    allow_cloud: bool = False

    @property
    def is_fallback(self) -> bool:
        return self.id == 0


class Example(Struct, frozen=True, gc=False):
    """A prompt that an expert should get; `source` says where it was found, "" where nobody said."""

    text: str
    source: str = ""
