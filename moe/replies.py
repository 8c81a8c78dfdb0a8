"""What replies are written from: the whole of an answer, its stamp and its ending, and the entries of a model list."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from .core import ChatRequest, Done, TokenLogprob, ToolCall


class Whole(Struct, frozen=True, kw_only=True):
    """A finished answer, gathered from its chunks; `others` are the further ones, where several were asked for.

    `text_at` is where in the text the tokens of `logprobs` begin; `refusal` is how it ends, where the model refuses.
    """

    text: str = ""
    refusal: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    done: Done = Done()
    logprobs: tuple[TokenLogprob, ...] = ()
    text_at: int = 0
    others: tuple[Whole, ...] = ()

    @property
    def said(self) -> str:
        """The text without a refusal, for a dialect that has a place of its own for it."""
        return self.text.removesuffix(self.refusal)


class Head(Struct, frozen=True, kw_only=True):
    """What a reply is stamped with: `created` in Unix seconds; `asked` is what it replies to, `sent` that as the model
    got it, where that is known."""

    request_id: str
    model: str
    created: float
    asked: ChatRequest = ChatRequest()
    sent: ChatRequest | None = None


class Ending(Struct, frozen=True, kw_only=True):
    """What is known only when an answer is over; times in nanoseconds since the request came in.

    `extras` becomes the reply's `x_moe` object.
    """

    done: Done
    elapsed_ns: int
    first_token_ns: int
    extras: dict[str, Any] = field(default_factory=dict)


class ModelCard(Struct, frozen=True, kw_only=True):
    """One entry of a model list: a virtual model, an expert, a name made here for one, or an upstream model.

    `size` in bytes, `modified` in Unix seconds, `expires` likewise or 0. `routes_to` says in words what a
    virtual model or expert leads to, `model` names the upstream or local model that it is, "" where that depends.
    `form` is that of the weights; `info` is what they say of themselves.
    """

    name: str
    kind: Literal["virtual", "expert", "alias", "model"] = "expert"
    description: str = ""
    system: str = ""
    routes_to: str = ""
    size: int = 0
    size_vram: int = 0
    digest: str = ""
    modified: float = 0.0
    expires: float = 0.0
    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    context_length: int = 0
    capabilities: tuple[str, ...] = ("completion",)
    model: str = ""
    form: str = ""
    template: str = ""
    license: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    messages: tuple[tuple[str, str], ...] = ()
    info: dict[str, Any] = field(default_factory=dict)
