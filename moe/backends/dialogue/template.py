"""A model's own chat template (Jinja, as Hugging Face defined them): a conversation -> the text the model reads."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from time import monotonic
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ...core import Message, Thinking, ToolCall, ToolResult
from ...errors import NotReady, UpstreamRefusal

log = logging.getLogger("moe.dialogue")

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MOST_REPEATED = 1_000_000
LARGEST_POWER = 64
# What no honest template needs for a conversation that fits a model.
RENDER_LIMIT_S = 5.0
LONGEST_PROMPT = 32 << 20
_FAILURES = (TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError,
             MemoryError)
_TOOLS = re.compile(r"\b(?:custom_)?tools\b")
Guard = Callable[[str], str]


class Template:
    """Compiled once, in a sandbox: a model file is somebody else's program. Thread-safe."""

    def __init__(self, source: str, *, bos: str = "", eos: str = "") -> None:
        """An empty `source`, or one that is no template, becomes ChatML."""
        environment = _Environment(
            trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols, _Generation]
        )
        environment.filters |= {"tojson": _to_json, _IN_TIME: _in_time}
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _format_now}
        try:
            self._template = environment.from_string(source or CHATML)
        except (*_FAILURES, SyntaxError) as error:
            log.warning("the chat template is no template (%s); ChatML is used", error)
            source = ""
            self._template = environment.from_string(CHATML)
        self.is_own = bool(source)
        self.thinks = may_think(source)
        self._marks = {"bos_token": bos, "eos_token": eos}

    def render(
        self, messages: Sequence[Message], *, tools: Sequence[dict[str, Any]] = (), think: bool | str | None = None,
        guard: Guard = str,
    ) -> str:
        """The prompt, ending where the model's answer begins. `guard` is applied to every text that people wrote.

        A template that takes no system message, or wants the roles to alternate, gets the conversation in that
        form. Raises UpstreamRefusal with the template's words when it refuses that too.
        """
        turns = [_write(message, guard) for message in messages]
        given: dict[str, Any] = {"add_generation_prompt": True, **self._marks, "tools": _guarded(tools, guard) or None}
        if think is not None:
            given["enable_thinking"] = given["thinking"] = bool(think)
        if isinstance(think, str):
            given["reasoning_effort"] = think
        try:
            try:
                return self._write_out({**given, "messages": turns})
            except SecurityError:
                raise
            except (_Refusal, TemplateError):
                return self._write_out({**given, "messages": _simplify(turns)})
        except _Refusal as error:
            raise UpstreamRefusal(f"the model's chat template refuses this conversation: {error}") from error
        except _FAILURES as error:
            raise NotReady(f"the model's chat template fails: {error}", reason="broken chat template") from error


    def _write_out(self, given: dict[str, Any]) -> str:
        """A file is tried out with one short conversation only; a longer one may be what its template waits for."""
        pieces, length = [], 0
        for piece in self._template.generate({**given, _DUE: monotonic() + RENDER_LIMIT_S}):
            pieces.append(piece)
            length += len(piece)
            if length > LONGEST_PROMPT:
                raise SecurityError("it writes without end")
        return "".join(pieces)


def takes_tools(source: str) -> bool:
    """Whether a template writes out tools; read from its text, since a file that was not tried out is not run."""
    return _TOOLS.search(source) is not None


def may_think(source: str) -> bool:
    return any(mark in source for mark in ("</think>", "[/THINK]", "enable_thinking"))


class _Refusal(Exception):
    """The template's own words against a conversation."""


_DUE, _IN_TIME = "moe_due", "moe_in_time"


@jinja2.pass_context
def _in_time(context: jinja2.runtime.Context, items: Iterable[Any]) -> Iterator[Any]:
    due = context.parent[_DUE]
    for item in items:
        if monotonic() > due:
            raise SecurityError("it runs without end")
        yield item


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox bounds `range`; this one bounds repetition too, and the time that all loops take together."""

    intercepted_binops = frozenset({"*", "**"})

    def _parse(self, source: str, name: str | None, filename: str | None) -> jinja2.nodes.Template:
        parsed = super()._parse(source, name, filename)
        for loop in list(parsed.find_all(jinja2.nodes.For)):
            loop.iter = jinja2.nodes.Filter(loop.iter, _IN_TIME, [], [], None, None, lineno=loop.lineno)
        return parsed

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and abs(right) > LARGEST_POWER:
            raise SecurityError("too large a power")
        for value, count in ((left, right), (right, left)):
            if isinstance(value, (str, list, tuple)) and len(value) * count > MOST_REPEATED:
                raise SecurityError("too many repetitions")
        return super().call_binop(context, operator, left, right)


class _Generation(jinja2.ext.Extension):
    """Hugging Face's mark for what the model said, `{% generation %}`: its content is kept as it is."""

    tags = {"generation"}

    def parse(self, parser: Any) -> Any:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _write(message: Message, guard: Guard) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": guard(message.text)}
    calls = []
    for part in message.parts:
        if isinstance(part, Thinking):
            written["reasoning_content"] = guard(part.text)
        elif isinstance(part, ToolCall):
            function = {"name": guard(part.name), "arguments": _guarded(_read_arguments(part.arguments), guard)}
            calls.append({"id": _short(part.id), "type": "function", "function": function})
        elif isinstance(part, ToolResult):
            written |= {"content": guard(part.content), "name": guard(part.name), "tool_call_id": _short(part.call_id)}
    if calls:
        written["tool_calls"] = calls
    return written


def _guarded(value: Any, guard: Guard) -> Any:
    if isinstance(value, str):
        return guard(value)
    if isinstance(value, dict):
        return {guard(key): _guarded(inner, guard) for key, inner in value.items()}
    return [_guarded(inner, guard) for inner in value] if isinstance(value, (list, tuple)) else value


def _simplify(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """System messages become the beginning of the next user's, and what one role says in a row becomes one turn."""
    simple: list[dict[str, Any]] = []
    preface: list[str] = []
    for turn in turns:
        if turn["role"] == "system":
            preface.append(turn["content"])
            continue
        if turn["role"] == "user" and preface:
            turn = turn | {"content": "\n\n".join((*preface, turn["content"]))}
            preface = []
        before = simple[-1] if simple else {"role": ""}
        if before["role"] == turn["role"] and before.keys() == turn.keys() == {"role", "content"}:
            simple[-1] = before | {"content": f"{before['content']}\n\n{turn['content']}"}
        else:
            simple.append(turn)
    if preface:
        simple.append({"role": "user", "content": "\n\n".join(preface)})
    return simple


def _read_arguments(text: str) -> Any:
    """Templates write the arguments out themselves, so they get the value; what is no JSON stays a text."""
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return text


def _short(call_id: str) -> str:
    """Nine letters and digits, the only form that Mistral's templates take; others do not look at it."""
    kept = "".join(letter for letter in call_id if letter.isascii() and letter.isalnum())
    return kept[-9:].rjust(9, "0")


def _refuse(words: str) -> NoReturn:
    raise _Refusal(words)


def _format_now(form: str) -> str:
    return datetime.now().strftime(form)


def _to_json(value: Any, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
