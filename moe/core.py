"""The values that cross a wall between rooms: frozen structs, no I/O, no clock, no Flask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

Role = Literal["system", "user", "assistant", "tool"]
Stage = Literal["explicit", "raw", "vision", "embedding", "context", "classifier", "keyword", "fallback"]
Finish = Literal["stop", "length", "tool_calls", "load", "unload"]
KeepAlive = str | int | float


class Text(Struct, frozen=True, gc=False):
    """Plain text; in a stream, the next piece of the answer."""

    text: str


class Thinking(Struct, frozen=True, gc=False):
    """A model's reasoning, kept apart from its answer."""

    text: str


class Image(Struct, frozen=True, gc=False):
    """An image as base64 text without a `data:` prefix."""

    data: str
    media_type: str = "image/png"


class ToolCall(Struct, frozen=True, gc=False):
    """A call the model wants made; `arguments` is JSON text, always whole."""

    id: str
    name: str
    arguments: str = "{}"


class ToolResult(Struct, frozen=True, gc=False):
    """What a called tool gave back."""

    call_id: str
    name: str
    content: str


Part = Text | Thinking | Image | ToolCall | ToolResult


class Message(Struct, frozen=True):
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...] = ()

    @property
    def text(self) -> str:
        """The message's plain text, its text parts joined by newlines."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def has_image(self) -> bool:
        return any(isinstance(part, Image) for part in self.parts)

    @property
    def has_tools(self) -> bool:
        return self.role == "tool" or any(isinstance(part, ToolCall | ToolResult) for part in self.parts)


class Sampling(Struct, frozen=True, kw_only=True):
    """How to sample. None means: the backend's default. `options` holds an engine's own settings (Ollama names)."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


class Completion(Struct, frozen=True, kw_only=True):
    """A bare prompt that must not be dressed as a chat: fill-in-the-middle, raw prompts, own templates."""

    prompt: str = ""
    suffix: str = ""
    system: str | None = None
    template: str = ""
    raw: bool = False
    context: tuple[int, ...] = ()
    images: tuple[Image, ...] = ()


class ChatRequest(Struct, frozen=True, kw_only=True):
    """What a client asked, free of any dialect. `format` is "json", a JSON schema, or None.

    `format_name` and `format_strict` are what OpenAI's clients say of a schema beside it.
    """

    model: str = ""
    messages: tuple[Message, ...] = ()
    completion: Completion | None = None
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    sampling: Sampling = Sampling()
    format: Literal["json"] | dict[str, Any] | None = None
    format_name: str = ""
    format_strict: bool | None = None
    think: bool | str | None = None
    stream: bool = False
    include_usage: bool = False
    keep_alive: KeepAlive | None = None

    @property
    def user_texts(self) -> tuple[str, ...]:
        """The texts of the user's turns, oldest first; turns without text are left out."""
        return tuple(text for m in self.messages if m.role == "user" and (text := m.text).strip())

    @property
    def has_image(self) -> bool:
        """Whether a turn of the user carries an image: what is asked later is mostly about it."""
        if self.completion is not None:
            return bool(self.completion.images)
        return any(message.has_image for message in self.messages if message.role == "user")

    @property
    def has_tools(self) -> bool:
        """Whether the conversation carries tools: offers them, or shows a call or its result."""
        return bool(self.tools) or any(message.has_tools for message in self.messages)

    @property
    def only_loads(self) -> bool:
        """Whether nothing is asked: Ollama's way to load or unload a model."""
        if self.completion is not None:
            return not self.completion.prompt and not self.completion.suffix
        return not self.messages


class Usage(Struct, frozen=True, gc=False, kw_only=True):
    """Tokens and times of one answer; times in nanoseconds, 0 where unknown."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    load_ns: int = 0
    prompt_ns: int = 0
    completion_ns: int = 0
    estimated: bool = False


class Heartbeat(Struct, frozen=True, gc=False):
    """Nothing yet, still waiting: yielded several times a second so that no wall is silent for long."""


class Started(Struct, frozen=True, kw_only=True):
    """Who answers: the first chunk that leaves dispatch, just before the answer's own first chunk."""

    expert: str
    model: str
    failed: tuple[str, ...] = ()


class Done(Struct, frozen=True, kw_only=True):
    """The end of an answer: comes last, exactly once. `context` is Ollama's opaque token list; the log probabilities
    of its tokens, their mean and the least, say how sure a local model was."""

    finish: Finish = "stop"
    usage: Usage | None = None
    context: tuple[int, ...] = ()
    mean_logprob: float | None = None
    min_logprob: float | None = None


Chunk = Text | Thinking | ToolCall | Heartbeat | Started | Done


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


class Decision(Struct, frozen=True, kw_only=True):
    """Who should answer and why.

    `confidence` is the probability, 0 to 1, that the decision is right (for the stage `fallback`: that no
    expert fits). `scores` maps each routable expert's label to its signals, `score` among them.
    `model` is set where the stage settled it (stage `raw`); else the expert's backend knows.
    """

    expert: Expert
    stage: Stage
    confidence: float
    model: str = ""
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    elapsed_ms: float = 0.0
    virtual: bool = False


class Answer(Struct, frozen=True):
    """A decision and the chunks that follow from it; whoever takes the chunks closes them."""

    decision: Decision
    chunks: Iterator[Chunk]


Clock = Callable[[], float]


class Whole(Struct, frozen=True, kw_only=True):
    """A finished answer, gathered from its chunks."""

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    done: Done = Done()


class Head(Struct, frozen=True, kw_only=True):
    """What a reply is stamped with: `created` in Unix seconds."""

    request_id: str
    model: str
    created: float


class Ending(Struct, frozen=True, kw_only=True):
    """What is known only when an answer is over; times in nanoseconds since the request came in.

    `extras` becomes the reply's `x_moe` object.
    """

    done: Done
    elapsed_ns: int
    first_token_ns: int
    extras: dict[str, Any] = field(default_factory=dict)


class ModelCard(Struct, frozen=True, kw_only=True):
    """One entry of a model list: a virtual model, an expert, or an upstream model.

    `size` in bytes, `modified` in Unix seconds, `expires` likewise or 0. `routes_to` says in words what a
    virtual model or expert leads to.
    """

    name: str
    kind: Literal["virtual", "expert", "model"] = "expert"
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
