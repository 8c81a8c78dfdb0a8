"""The values that cross a wall between rooms: frozen structs, no I/O, no clock, no Flask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from msgspec import Struct, field

from .experts import Expert, Tier
from .options import KeepAlive

# "control" is a switch that some models' templates know, as Granite's for thinking.
Role = Literal["system", "user", "assistant", "tool", "control"]
Stage = Literal["tool", "explicit", "raw", "vision", "embedding", "context", "classifier", "keyword", "fallback"]
Strategy = Literal["direct", "escalate", "council"]
Finish = Literal["stop", "length", "tool_calls", "content_filter", "load", "unload"]


class TokenLogprob(Struct, frozen=True, gc=False):
    """How likely a token was, as a natural logarithm, and the likeliest tokens in its place, the best first.

    Bytes of a token that make no whole character stand in it as surrogate escapes.
    """

    token: str
    logprob: float
    top: tuple[TokenLogprob, ...] = ()


class Text(Struct, frozen=True):
    """Plain text; in a stream, the next piece of the answer, with the log probabilities of its tokens if asked for."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


class Extract(Text, frozen=True):
    """What was read from a file that came along: text like any other for a model, but not the user's own words."""


class Refusal(Text, frozen=True):
    """What a model says instead of an answer: text like any other, where a dialect has no word of its own for it."""


class Thinking(Struct, frozen=True, gc=False):
    """A model's reasoning, kept apart from its answer."""

    text: str


class Image(Struct, frozen=True, gc=False):
    """An image as base64 text without a `data:` prefix; `detail` is OpenAI's word for how closely to look, or ""."""

    data: str
    media_type: str = "image/png"
    detail: str = ""


class ImageLink(Struct, frozen=True, gc=False):
    """An image that lies somewhere else: fetched before anybody is asked, or refused."""

    url: str


class Document(Struct, frozen=True, gc=False):
    """A file as base64 text without a `data:` prefix; it is read before anybody is asked. `name` may be "", `place` is
    where in the request it stands."""

    data: str
    media_type: str = ""
    name: str = ""
    place: str = ""


class ToolCall(Struct, frozen=True, gc=False):
    """A call the model wants made; `arguments` is JSON text, always whole."""

    id: str
    name: str
    arguments: str = "{}"


class ToolCallPiece(Struct, frozen=True, gc=False):
    """The next piece of the arguments of a call that is still being written; `id` and `name` are the call's.

    The whole call follows all the same, unless the answer is cut within it, and before any piece of another one. So a
    piece is for whoever shows calls as they grow, and for anybody else a sign that one is coming.
    """

    id: str
    name: str
    arguments: str = ""


class ToolResult(Struct, frozen=True, gc=False):
    """What a called tool gave back."""

    call_id: str
    name: str
    content: str


Part = Text | Thinking | Image | ImageLink | Document | ToolCall | ToolResult


class Message(Struct, frozen=True):
    """One turn of a conversation; `name` tells speakers of one role apart, "" for none."""

    role: Role
    parts: tuple[Part, ...] = ()
    name: str = ""

    @property
    def text(self) -> str:
        """The message's plain text, its text parts joined by newlines."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def own_words(self) -> str:
        """What was typed, without what was read from files."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text) and not isinstance(part, Extract))

    @property
    def has_image(self) -> bool:
        return any(isinstance(part, Image | ImageLink) for part in self.parts)

    @property
    def has_tools(self) -> bool:
        return self.role == "tool" or any(isinstance(part, ToolCall | ToolResult) for part in self.parts)


class Sampling(Struct, frozen=True, kw_only=True):
    """How to sample. None means: the backend's default. `options` holds an engine's own settings (Ollama names);
    `logit_bias` maps a token's id to what is added to its logit."""

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
    logit_bias: dict[str, float] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


class Completion(Struct, frozen=True, kw_only=True):
    """A bare prompt that must not be dressed as a chat: fill-in-the-middle, raw prompts, own templates.

    `further` are more prompts, each to be answered by itself; with `echo` an answer begins with its prompt.
    """

    prompt: str = ""
    suffix: str = ""
    system: str | None = None
    template: str = ""
    raw: bool = False
    context: tuple[int, ...] = ()
    images: tuple[Image, ...] = ()
    further: tuple[str, ...] = ()
    echo: bool = False


class ChatRequest(Struct, frozen=True, kw_only=True):
    """What a client asked, free of any dialect. `format` is "json", a JSON schema, or None.

    `format_name` and `format_strict` are what OpenAI's clients say of a schema beside it. `logprobs` asks for the log
    probability of each token with so many of the likeliest in its place, None for none. `n` answers are given.
    `effort` is the client's own word for `think`, where it used one. `beside` holds, under OpenAI's names, what only an
    API of its kind understands; `unheeded` names what it asked and nobody here can give. `calls_functions`: it knows
    calls only as they were before there were tools. `client` is whose turn it uses up where requests have to wait.
    `offered` are tools of this server's own, for a model that takes any; their calls are made here and never shown to
    the client. `tools_inline`: whether a tool may answer in a model's place. `notes` are joined to the system prompt of
    whoever answers. It may be one `of` several that are answered one after the other for the same client's request.
    `truncate` and `shift`: whether a prompt, or an answer, that is too long may push out what came first, None for
    whatever is usual. `verb` is what is asked of a model in Ollama's word, "" by clients who have another.
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
    effort: str = ""
    logprobs: int | None = None
    n: int = 1
    beside: dict[str, Any] = field(default_factory=dict)
    unheeded: tuple[str, ...] = ()
    calls_functions: bool = False
    stream: bool = False
    include_usage: bool = False
    keep_alive: KeepAlive | None = None
    truncate: bool | None = None
    shift: bool | None = None
    verb: Literal["", "chat", "generate"] = ""
    client: str = ""
    offered: tuple[dict[str, Any], ...] = ()
    tools_inline: bool = True
    notes: tuple[str, ...] = ()
    of: int = 1

    @property
    def user_texts(self) -> tuple[str, ...]:
        """What the user typed, turn by turn, oldest first; turns without text are left out."""
        return tuple(text for m in self.messages if m.role == "user" and (text := m.own_words).strip())

    @property
    def has_image(self) -> bool:
        """Whether there is an image to be seen: of the user's in any turn, since what is asked later is mostly about
        it; of anybody's in the running turn."""
        if self.completion is not None:
            return bool(self.completion.images)
        users = (message for message in self.messages if message.role == "user")
        return any(message.has_image for message in (*users, *self.running_turn))

    @property
    def running_turn(self) -> tuple[Message, ...]:
        """What the next answer is for: the user's last question, all that came after it, and the system's words.

        What a user shows after a tool's result belongs to the same turn, as some dialects have no other place for it.
        """
        begin = len(self.messages) - 1
        while begin > 0 and not self._begins_turn(begin):
            begin -= 1
        return tuple(message for place, message in enumerate(self.messages)
                     if place >= begin or message.role == "system")

    def _begins_turn(self, place: int) -> bool:
        before, message = self.messages[place - 1:place + 1]
        return message.role == "user" and before.role not in ("user", "tool")

    @property
    def has_tools(self) -> bool:
        """Whether the conversation carries tools: offers them, or shows a call or its result."""
        return bool(self.tools) or any(message.has_tools for message in self.messages)

    @property
    def needs_objects(self) -> bool:
        """Whether its dialect tells the arguments of a call as an object, not as text."""
        return bool(self.verb)

    @property
    def only_loads(self) -> bool:
        """Whether nothing is asked: Ollama's way to load or unload a model."""
        if self.completion is not None:
            return not self.completion.prompt and not self.completion.suffix
        return not self.messages


class EmbedRequest(Struct, frozen=True, kw_only=True):
    """Vectors asked for texts, or for lists of OpenAI's tokens; free of any dialect.

    A text that is too long is cut, unless `truncate` is False: then it is refused. `dimensions`: only so many of each
    vector's numbers, its length made 1 again. `is_single`: Ollama's old form, in which no length is promised.
    `packs`: the reply carries each vector as base64.
    """

    model: str = ""
    inputs: tuple[str | tuple[int, ...], ...] = ()
    truncate: bool = True
    dimensions: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    keep_alive: KeepAlive | None = None
    is_single: bool = False
    packs: bool = False
    client: str = ""


class Embedded(Struct, frozen=True, kw_only=True):
    """A row for each text, made by `model`; `tokens` counts those of all texts as far as they were read."""

    model: str
    rows: list[list[float]]
    tokens: int = 0
    load_ns: int = 0


class Usage(Struct, frozen=True, gc=False, kw_only=True):
    """Tokens and times of one answer; times in nanoseconds, 0 where unknown.

    Of the prompt's tokens `cached_tokens` had been read before, of the answer's `reasoning_tokens` were thought; None
    where nobody says.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    load_ns: int = 0
    prompt_ns: int = 0
    completion_ns: int = 0
    estimated: bool = False

    def plus(self, other: Usage | None) -> Usage:
        """What both took together; half of a figure would be taken for all of it, so it is unknown where one is."""
        if other is None:
            return self
        figures: dict[str, Any] = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        for name in _SHARES:
            one, two = getattr(self, name), getattr(other, name)
            figures[name] = None if one is None or two is None else one + two
        return Usage(**figures, estimated=self.estimated or other.estimated)


_COUNTS = ("prompt_tokens", "completion_tokens", "load_ns", "prompt_ns", "completion_ns")
_SHARES = ("cached_tokens", "reasoning_tokens")


class Heartbeat(Struct, frozen=True, gc=False):
    """Nothing yet, still waiting: yielded several times a second so that no wall is silent for long.

    `is_queued`: nobody has been asked yet, because others come first. `is_held`: something came, which is held back
    until it is certain what it is.
    """

    is_queued: bool = False
    is_held: bool = False


class Started(Struct, frozen=True, kw_only=True):
    """Who answers: the first chunk that leaves dispatch, just before the answer's own first chunk.

    `ignored` names what was asked and cannot be had of this model; `sent` is what it was asked.
    """

    expert: str
    model: str
    failed: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    sent: ChatRequest | None = None


class Done(Struct, frozen=True, kw_only=True):
    """The end of an answer: comes last, exactly once. `stop_sequence` is the one that ended it, "" where none did or
    nobody knows. `tools` are those of this server that the model called. `context` is Ollama's opaque token list; the
    log probabilities of its tokens, their mean and the least, say how sure a local model was."""

    finish: Finish = "stop"
    stop_sequence: str = ""
    usage: Usage | None = None
    tools: tuple[str, ...] = ()
    context: tuple[int, ...] = ()
    mean_logprob: float | None = None
    min_logprob: float | None = None


Chunk = Text | Thinking | ToolCallPiece | ToolCall | Heartbeat | Started | Done


class Decision(Struct, frozen=True, kw_only=True):
    """Who should answer and why.

    `confidence` is the probability, 0 to 1, that the decision is right (for the stage `fallback`: that no
    expert fits). `scores` maps each routable expert's label to its signals, `score` among them.
    `model` is set where the stage settled it (stage `raw`) or the `tier` did; else the expert's backend knows. At the
    stage `tool` nobody is asked: `tool` has the answer. `strategy` is how the answer is come by, `reason` why so.
    `is_alone`: nobody stands in.
    """

    expert: Expert
    stage: Stage
    confidence: float
    model: str = ""
    tool: str = ""
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    elapsed_ms: float = 0.0
    virtual: bool = False
    strategy: Strategy = "direct"
    reason: str = ""
    tier: Tier | None = None
    is_alone: bool = False


class Answer(Struct, frozen=True):
    """A decision and the chunks that follow from it; whoever takes the chunks closes them."""

    decision: Decision
    chunks: Iterator[Chunk]


Clock = Callable[[], float]
