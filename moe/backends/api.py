"""Cloud APIs and any OpenAI-compatible server, through LiteLLM."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import wait
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from ..config import RunnerConfig, secret
from ..core import ChatRequest, Chunk, Completion, Embedded, EmbedRequest
from ..errors import BackendError, BadAnswer, NotReady
from ..experts import Expert
from .api_wire import write_completion, write_extras, write_request
from .base import BEAT, HEARTBEAT_S, Chunks
from .embedding import Steps
from .engine import INSTALL, Arrived, Engine
from .insist import insist
from .thinkers import always_thinks
from .wishes import find_asked, obey

# Servers of open models, which take more than OpenAI's own API, where an unknown field is an error.
OPEN_PROVIDERS = frozenset({"", "hosted_vllm", "openai_like", "custom_openai", "llamafile", "lm_studio"})


OPENAI = "https://api.openai.com/v1"
# Whose models lose the thread in a row of calls when they are not told again what they thought.
RECALLING = frozenset({"deepseek", "moonshot"})
_RECALLING_HOSTS = ("deepseek.com", "moonshot.ai", "moonshot.cn")
# What LiteLLM would drop for a model it does not know.
ALWAYS_PASSED = ("reasoning_effort", "logprobs", "top_logprobs", "logit_bias", "parallel_tool_calls", "tool_choice")
_TRANSLATED = ("seed", "presence_penalty", "frequency_penalty", "stop", "logprobs", "logit_bias", "reasoning_effort")
_EXTRAS = ("top_k", "min_p", "repeat_penalty")


class Api:
    """One model behind an API."""

    routes = 1

    def __init__(self, expert: Expert, runner: RunnerConfig, engine: Engine) -> None:
        self._expert = expert
        self._runner = runner
        self._engine = engine
        base = expert.api_base or expert.url
        self._takes_extras = expert.provider in OPEN_PROVIDERS
        self._base = _complete_base(base) if expert.provider in ("", "openai") else base
        takes_text = self._takes_extras or expert.provider == "openai"
        self._text_base = (self._base or (OPENAI if expert.provider == "openai" else "")) if takes_text else ""
        self._recalls = expert.provider in RECALLING or _is_below(base, _RECALLING_HOSTS)

    def chat(self, request: ChatRequest) -> Chunks:
        """Not every provider heeds `tool_choice` and `parallel_tool_calls`, so both are seen to here too."""
        if request.completion is not None:
            return self._complete(request, request.completion)
        return obey(insist(self._ask, request, takes_format=False), request)

    def _ask(self, request: ChatRequest) -> Chunks:
        key = self._key()
        call = write_request(request, recalls=self._recalls) | {
            "model": self.spell_model(request.model),
            "api_key": key or "none",  # LiteLLM insists on some key; servers without one ignore it
            "num_retries": 0,
            "max_retries": 0,
            "drop_params": True,
            "_skip_mcp_handler": True,  # else tools need a package that LiteLLM does not bring, and may call out
        }
        if self._base:
            call["api_base"] = self._base
            if self._takes_extras:
                call["allowed_openai_params"] = [name for name in (*ALWAYS_PASSED, *request.beside) if name in call]
                if extras := write_extras(request):
                    call["extra_body"] = extras
        task, arrived = self._engine.start(call, connect_s=self._runner.connect_timeout_s, key=key)
        try:
            yield from _take(arrived)
        finally:
            task.cancel()

    def _complete(self, request: ChatRequest, completion: Completion) -> Chunks:
        key = self._key()
        name = request.model.removeprefix(f"{self._expert.provider}/") if self._expert.provider else request.model
        body = write_completion(request, completion) | {"model": name}
        if self._takes_extras:
            body |= write_extras(request)
        url = f"{self._text_base.rstrip('/')}/completions"
        task, arrived = self._engine.continue_text(url, body, connect_s=self._runner.connect_timeout_s, key=key)
        try:
            yield from _take(arrived)
        finally:
            task.cancel()

    def embed(self, request: EmbedRequest) -> Steps:
        """Tokens are passed on as they are: only this API knows them."""
        key = self._key()
        inputs = [each if isinstance(each, str) else list(each) for each in request.inputs]
        call: dict[str, Any] = {"model": self.spell_model(request.model), "api_key": key or "none", "input": inputs,
                                "max_retries": 0, "encoding_format": "float"}
        if self._base:
            call["api_base"] = self._base
        if request.dimensions is not None:
            call |= {"dimensions": request.dimensions, "allowed_openai_params": ["dimensions"]}
        task = self._engine.embed(call, connect_s=self._runner.connect_timeout_s, key=key)
        try:
            while not task.done():
                wait([task], HEARTBEAT_S)
                yield BEAT
            rows, tokens = task.result()
        finally:
            task.cancel()
        if len(rows) != len(inputs):
            raise BadAnswer(f"{len(rows)} vectors for {len(inputs)} texts")
        return Embedded(model=request.model, rows=rows, tokens=tokens)

    def misfit(self, request: ChatRequest) -> str:
        completion = request.completion
        if completion is not None and not (self._text_base and _is_simple(completion)):
            return "does not support raw completions"
        has_image = request.has_image or any(m.has_image for m in request.messages)
        return "does not support images" if has_image and not self._expert.vision else ""

    def ignores(self, request: ChatRequest) -> tuple[str, ...]:
        """What LiteLLM leaves out for this provider, as far as it says so."""
        ollamas = find_asked(request, "truncate", "shift")
        if self._takes_extras:
            return ollamas
        if request.completion is not None:
            return (*find_asked(request, *_EXTRAS), *ollamas)
        known = self._engine.parameters(self.spell_model(request.model))
        missing = [name for name in _TRANSLATED if known and name not in known]
        beside = [name for name in request.beside if known and name not in known]
        return (*find_asked(request, *missing, *_EXTRAS), *beside, *ollamas)

    def begins_inside(self, request: ChatRequest) -> bool:
        """Providers tell thoughts apart; a server of open models may not."""
        return self._takes_extras and always_thinks(request.model)

    def is_remote(self, model: str) -> bool:
        return True

    def trouble(self, model: str) -> str:
        if self._expert.api_key_env and not secret(self._expert.api_key_env):
            return f"the environment variable {self._expert.api_key_env} is not set"
        return "" if find_spec("litellm") else f"LiteLLM is not installed: run `{INSTALL}`"

    def first_token_limit_s(self, request: ChatRequest) -> float:
        return self._runner.first_token_timeout_s

    def idle_limit_s(self, model: str) -> float:
        return self._runner.api_timeout or self._runner.idle_timeout_s

    def context_tokens(self, model: str) -> int:
        return self._engine.context_tokens(model)

    def spell_model(self, name: str) -> str:
        """LiteLLM's "provider/model". A server given by its address alone speaks OpenAI's API, and its models'
        names are sent as they stand ("openai/gpt-oss-20b" too)."""
        provider = self._expert.provider
        if provider:
            return name if name.startswith(f"{provider}/") else f"{provider}/{name}"
        return f"openai/{name}" if self._base else name

    def _key(self) -> str:
        name = self._expert.api_key_env
        value = secret(name) if name else ""
        if name and not value:
            raise NotReady(f"set the environment variable {name}", reason="no API key")
        return value


def _take(arrived: Arrived) -> Iterator[Chunk]:
    while True:
        try:
            item = arrived.get(timeout=HEARTBEAT_S)
        except queue.Empty:
            yield BEAT
            continue
        if isinstance(item, BackendError):
            raise item
        if item is None:
            return
        yield item


def _is_simple(completion: Completion) -> bool:
    """Whether it asks for nothing that only Ollama has."""
    return not (completion.system or completion.template or completion.context or completion.images)


def _is_below(url: str, hosts: tuple[str, ...]) -> bool:
    host = urlsplit(url).hostname or ""
    return any(host == each or host.endswith(f".{each}") for each in hosts)


def _complete_base(url: str) -> str:
    """The base URL of an OpenAI-compatible server; a bare address means its /v1, where all of them serve."""
    if not url or urlsplit(url).path.strip("/"):
        return url.rstrip("/")
    return f"{url.rstrip('/')}/v1"
