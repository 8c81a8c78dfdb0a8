"""This server's own tools, put to a model: which ones fit a conversation, and whether a model takes any."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from typing import Any

from msgspec import structs

from ..backends.base import Backend
from ..config.schema import ToolsConfig
from ..core import ChatRequest, Decision, ToolCall
from ..errors import BackendError, MoeError, UpstreamFailure, UpstreamRefusal
from ..experts import Expert
from ..routing.text import find_question, is_housekeeping
from ..tools.base import LawBook, Tool
from ..tools.known import Toolkit
from ..tools.law import TOOLS as LAW
from ..tools.questions.recogniser import MOST_OFFERED

# So much of each turn is searched, and of all turns together, the oldest first, so that what is offered only grows.
LONGEST_TURN = 4_000
MOST_SEARCHED, LEAST_SEARCHED = 20_000, 100
MOST_TURNS_KEPT = 4096
COUNTED_AGAIN_AFTER_S = 5.0
# Beside the tools that an expert always has, as many others as make so many in all.
MOST_TOGETHER = 12
# Whoever is to work with tools has these whatever is asked.
HANDY = ("arithmetic", "dates", "measures")
OF_LAW = frozenset(tool.name for tool in LAW)

TOO_LONG, TOO_MANY = "context_length_exceeded", 429
# How upstreams say that a model, or a server as it was started, takes no tools; LM Studio takes them for every model.
#   Ollama              registry.ollama.ai/library/gemma3:4b does not support tools
#   llama.cpp's server  tools param requires --jinja flag
#   vLLM                "auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set
#   OpenRouter          No endpoints found that support tool use
#   OpenAI              tools is not supported in this model
#   Azure               Functions are not supported for this API version or this model version
#   Groq                `tool calling` is not supported with this model
#   Mistral             Function calling is not enabled for this model
#   DeepSeek            deepseek-reasoner does not support Function Calling
_TAKES_NONE = re.compile(
    r"(?:do|does|did)(?: not|n't) support (?:tool|function)|--jinja\b|--enable-auto-tool-choice|"
    r"no endpoints found that support tool|"
    r"\b(?:tool|function)s?(?:[ _](?:use|call|calls|calling))?[`'\"]? (?:is|are) not (?:supported|enabled)",
    re.IGNORECASE,
)
_ODDS = re.compile(r"log[\s_-]?prob", re.IGNORECASE)
# It takes them, and wrote a call that it cannot read itself: Ollama quotes it.
_FAILED_CALL = re.compile(r"pars(?:e|ing) (?:the )?(?:tool|function)", re.IGNORECASE)


class Fitting:
    """Which tools a conversation may need; the turns of one that goes on are looked through once."""

    def __init__(self, toolkit: Toolkit) -> None:
        self._recogniser = toolkit.recogniser
        self._families: dict[str, list[str]] = {}
        for tool in toolkit.toolbox:
            self._families.setdefault(tool.family, []).append(tool.name)
        self._known: OrderedDict[int, tuple[str, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def choose(self, request: ChatRequest, expert: Expert, *, always: bool = False) -> list[str]:
        """Those of the families that `expert` always has, all of them, then those that the conversation asks for, and
        with `always` what is handy for any work."""
        own = self._gather(expert.families)
        names = dict.fromkeys((*own, *self.find(request), *(self._gather(HANDY) if always else ())))
        return list(names)[:max(MOST_TOGETHER, len(own))]

    def find(self, request: ChatRequest) -> list[str]:
        """By the user's own words, in the order they came up, so that what is offered first stays first; a long
        conversation's newest turn counts though its length is used up."""
        texts = [find_question(text)[:LONGEST_TURN] for text in request.user_texts]
        names: dict[str, None] = {}
        searched = 0
        for place, text in enumerate(texts):
            searched += max(len(text), LEAST_SEARCHED)
            if searched <= MOST_SEARCHED or place == len(texts) - 1:
                names |= dict.fromkeys(self._look_up(text))
            if len(names) >= MOST_OFFERED:
                break
        return list(names)[:MOST_OFFERED]

    def _gather(self, families: tuple[str, ...]) -> list[str]:
        return [name for family in families for name in self._families.get(family, ())]

    def _look_up(self, text: str) -> tuple[str, ...]:
        key = hash(text)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        names = tuple(tool.name for tool in self._recogniser.fitting(text))
        with self._lock:
            self._known[key] = names
            while len(self._known) > MOST_TURNS_KEPT:
                self._known.popitem(last=False)
        return names


def may_offer(request: ChatRequest, decision: Decision, config: ToolsConfig) -> bool:
    """Not to a model by its own name, nor to a client that wants a certain form, or looks after tools itself."""
    if config.offer == "never" or (decision.stage == "raw" and not decision.virtual):
        return False
    if config.offer == "auto" and request.has_tools:
        return False
    has_form = request.format is not None or request.completion is not None or request.logprobs is not None
    if has_form or request.only_loads or request.tool_choice not in (None, "auto"):
        return False
    return not is_housekeeping(request)


def specify(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": function}


def names_of(tools: tuple[dict[str, Any], ...]) -> frozenset[str]:
    return frozenset(tool["function"]["name"] for tool in tools)


def join(prepared: ChatRequest, backend: Backend) -> ChatRequest:
    """With this server's own tools beside the client's, for a model that takes any."""
    joined = structs.replace(prepared, tools=(*prepared.tools, *prepared.offered))
    return structs.replace(prepared, offered=()) if backend.misfit(joined) else joined


def part(prepared: ChatRequest, request: ChatRequest) -> ChatRequest:
    """Without them again, for one that took none."""
    return structs.replace(prepared, tools=request.tools, offered=())


def may_lie_in_tools(error: BackendError) -> bool:
    """Whether a request may pass without the tools that were added to it, and may be sent again at once."""
    if not isinstance(error, UpstreamFailure):
        return isinstance(error, UpstreamRefusal) and not _ODDS.search(error.message)
    told = error.message.casefold()
    is_busy = error.upstream_status == TOO_MANY or error.retry_after_s is not None
    return not is_busy and ("tool" in told or "function" in told)


def refuses_tools(error: BackendError) -> bool:
    """Whether an upstream says that it takes no tools, neither these nor others."""
    if not isinstance(error, (UpstreamFailure, UpstreamRefusal)) or not may_lie_in_tools(error):
        return False
    is_too_long = isinstance(error, UpstreamRefusal) and error.code == TOO_LONG
    told = error.message
    return not is_too_long and bool(_TAKES_NONE.search(told)) and not _FAILED_CALL.search(told)


class Imported:
    """Whether there are statutes to look anything up in; what was found holds for a few seconds. Thread-safe."""

    def __init__(self, laws: LawBook | None) -> None:
        self._laws = laws
        self._known = (False, 0.0)

    def __bool__(self) -> bool:
        found, until = self._known
        if time.monotonic() >= until:
            found = self._count() > 0
            self._known = (found, time.monotonic() + COUNTED_AGAIN_AFTER_S)
        return found

    def _count(self) -> int:
        try:
            return self._laws.count() if self._laws is not None else 0
        except MoeError:  # a store that cannot be read says so in the log; nothing can be looked up in it
            return 0


class Refusers:
    """The models that took no tools though nothing had told so before: none are offered to them again, as long as the
    config stays. Thread-safe."""

    def __init__(self) -> None:
        self._ways: set[tuple[int, str]] = set()

    def join(self, prepared: ChatRequest, backend: Backend) -> ChatRequest:
        """As `join`, for one that has not refused."""
        if (id(backend), prepared.model) in self._ways:
            return structs.replace(prepared, offered=())
        return join(prepared, backend)

    def add(self, prepared: ChatRequest, backend: Backend) -> None:
        self._ways.add((id(backend), prepared.model))


def is_offered(call: ToolCall, prepared: ChatRequest) -> bool:
    return any(tool["function"]["name"] == call.name for tool in prepared.offered)
