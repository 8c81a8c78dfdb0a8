"""Ollama servers: /api/chat streamed over pooled connections, /api/generate for bare completions."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import msgspec

from ..config import RunnerConfig
from ..core import ChatRequest, Done, Image
from ..errors import Unreachable, UpstreamRefusal
from .base import BEAT, Chunks
from .duration import unloads
from .insist import insist
from .inventory import UpstreamModel
from .nodes import Node, NodeState
from .ollama_wire import digest, read_chunks, write_completion, write_keep_alive, write_message, write_options
from .preference import Conversations, rank, rank_known
from .thinkers import always_thinks
from .wishes import find_asked, must_call, obey, offer_tools

DEFAULT_CONTEXT = 4096
OUTPUT_RESERVE = 1024
# A limit is no wish: agents send one of 128,000 with each short question, and memory is taken for what is reserved.
MOST_RESERVED = 4096
IMAGE_TOKENS = 1024
BYTES_PER_TOKEN = 2.5
LONGEST_TOKEN = 128  # white space and dashes in a row
PROMPT_TOKENS_PER_S = 50


class Ollama:
    """The models of one group of nodes."""

    def __init__(self, nodes: list[Node], runner: RunnerConfig, conversations: Conversations) -> None:
        self.routes = len(nodes)
        self._nodes = nodes
        self._runner = runner
        self._conversations = conversations
        self._contexts: dict[str, int] = {}

    def chat(self, request: ChatRequest) -> Chunks:
        """Ollama knows neither `tool_choice` nor `parallel_tool_calls`: both are seen to here."""
        return obey(insist(self._ask, request, takes_format=True), request)

    def _ask(self, request: ChatRequest) -> Chunks:
        node = self._enter_one(request)
        try:
            _check_reachable(node)
            yield from node.lane.pass_through(self._exchange(request, node), request)
        finally:
            node.leave(request.model)
        if self.routes > 1:
            self._conversations.remember(_conversation(request), node.url)
        is_leaving = unloads(request.keep_alive)
        if is_leaving:
            node.forget(request.model)
        if is_leaving or request.model not in node.last_state.loaded:
            node.expect_change()

    def _exchange(self, request: ChatRequest, node: Node) -> Chunks:
        path, body = self._encode(request, node)
        doubt_s = self._runner.breaker_cooldown_s
        try:
            with closing(node.transport.stream(path, body, idle_s=self.idle_limit_s(request.model))) as pieces:
                for chunk in read_chunks(pieces, asked=body):
                    if chunk is not BEAT:
                        doubt_s = 0.0
                        node.hear(request.model)
                    if isinstance(chunk, Done) and chunk.usage is not None:
                        node.measure(request.model, chunk.usage)
                    yield chunk
        except UpstreamRefusal:
            doubt_s = 0.0  # it read the request, so it is well
            raise
        except Unreachable as error:
            node.mark_down(error)
            raise
        finally:
            node.doubt(doubt_s)

    def misfit(self, request: ChatRequest) -> str:
        model = self._describe(request.model)
        if model is None or request.only_loads or not any(node.last_state.is_up for node in self._nodes):
            return ""
        if not model.can_chat:
            return f"does not support {request.verb or 'chat'}"
        if offer_tools(request) and model.lacks("tools"):
            return "does not support tools"
        has_image = request.has_image or any(m.has_image for m in request.messages)
        if has_image and model.lacks("vision"):
            return "does not support images"
        if request.completion is not None and request.completion.suffix and model.lacks("insert"):
            return "does not support insert"
        return ""

    def ignores(self, request: ChatRequest) -> tuple[str, ...]:
        model = self._describe(request.model)
        cannot_think = model is not None and model.lacks("thinking")
        return find_asked(request, "logit_bias", *(["reasoning_effort"] if cannot_think else []))

    def begins_inside(self, request: ChatRequest) -> bool:
        """By its name, unless the node tells its thoughts apart, none is wanted, or a form leaves no room for one."""
        if request.think is False or request.format is not None:
            return False
        model = self._describe(request.model)
        comes_apart = model is not None and "thinking" in model.capabilities
        return always_thinks(request.model) and not comes_apart

    def first_token_limit_s(self, request: ChatRequest) -> float:
        states = [node.present_state for node in self._nodes]
        holders = [state for state in states if state.is_up and request.model in state.models] or states
        is_cold = all(state.knows_loaded and request.model not in state.loaded for state in holders)
        if self.routes > 1 and not is_cold:
            home = self._conversations.node_of(_conversation(request))
            is_cold = _is_cold(rank(self._nodes, request.model, home=home)[0], request.model)
        if is_cold or request.only_loads or must_call(request):  # until a call comes, what is said is held back
            return self._runner.cold_load_timeout_s
        return self._runner.first_token_timeout_s + _prompt_tokens(request) / PROMPT_TOKENS_PER_S

    def idle_limit_s(self, model: str) -> float:
        return self._runner.ollama_timeout or self._runner.idle_timeout_s

    def context_tokens(self, model: str) -> int:
        known = self._describe(model)
        return known.context_length if known is not None else 0

    def is_remote(self, model: str) -> bool:
        known = self._describe(model)
        return known is not None and known.is_remote

    def trouble(self, model: str) -> str:
        states = [node.last_state for node in self._nodes]
        if any(state.is_up and model in state.models for state in states):
            return ""
        if any(state.is_up for state in states):
            return "the model is not installed" if model else "no fitting model"
        return "unreachable" if all(state.is_known for state in states) else "not asked yet"

    def _describe(self, name: str) -> UpstreamModel | None:
        found = (node.last_state.models.get(name) for node in self._nodes)
        return next((model for model in found if model is not None), None)

    def _enter_one(self, request: ChatRequest) -> Node:
        """The node that serves, which counts the request from now on."""
        if self.routes == 1:
            self._nodes[0].enter(request.model)
            return self._nodes[0]
        home = self._conversations.node_of(_conversation(request))
        known = [(node, node.state) for node in self._nodes]
        with self._conversations.choosing:
            node = rank_known(known, request.model, home=home)[0]
            node.enter(request.model)
        return node

    def _encode(self, request: ChatRequest, node: Node) -> tuple[str, bytes]:
        state = node.last_state
        model = state.models.get(request.model)
        body: dict[str, Any] = {"model": request.model, "stream": True}
        if request.completion is None:
            path = "/api/chat"
            body["messages"] = [write_message(message) for message in request.messages]
            if tools := offer_tools(request):
                body["tools"] = tools
        else:
            path = "/api/generate"
            body |= write_completion(request)
        if request.format is not None:
            body["format"] = request.format
        if request.think is not None and not (model is not None and model.lacks("thinking")):
            body["think"] = request.think
        if request.logprobs is not None:
            body |= {"logprobs": True} | ({"top_logprobs": request.logprobs} if request.logprobs else {})
        if request.keep_alive is not None:
            body["keep_alive"] = write_keep_alive(request.keep_alive)
        options = write_options(request)
        if not request.only_loads:
            self._fit_context(request, options, state)
            body["truncate"] = request.truncate is True  # a prompt is cut for none but who asks for it
            if request.shift is not None:
                body["shift"] = request.shift
        if options:
            body["options"] = options
        return path, msgspec.json.encode(body)

    def _fit_context(self, request: ChatRequest, options: dict[str, Any], state: NodeState) -> None:
        """Raises `num_ctx` by doubling until prompt and output fit; a model once raised stays so while loaded,
        since a smaller window would reload it. A `num_ctx` that was asked for is where it begins.

        Raises UpstreamRefusal where the prompt, which may not be cut, is certainly beyond the model's own limit.
        """
        model = state.models.get(request.model)
        limit = model.context_length if model is not None else 0
        prompt = _prompt_tokens(request)
        if 0 < limit < prompt and request.truncate is not True and limit < _least_tokens(request):
            raise UpstreamRefusal(
                f"the prompt is about {prompt} tokens long, more than {request.model}'s context length of {limit}",
                code="context_length_exceeded",
            )
        asked = options.get("num_ctx")
        reserve = OUTPUT_RESERVE if asked is None else 0
        need = prompt + min(request.sampling.max_tokens or reserve, MOST_RESERVED)
        loaded = state.loaded.get(request.model)
        context = loaded.context_length if loaded and loaded.context_length else DEFAULT_CONTEXT
        if loaded is not None:
            context = max(context, self._contexts.get(request.model, 0))
        if isinstance(asked, int) and asked > 0:
            context = asked
        is_raised = context != DEFAULT_CONTEXT or asked is not None
        while context < need and (not limit or context < limit):
            context, is_raised = context * 2, True
        if is_raised:
            options["num_ctx"] = min(context, limit) if limit else context
            if asked is None:
                self._contexts[request.model] = options["num_ctx"]


def _prompt_tokens(request: ChatRequest) -> int:
    """An upper estimate of the prompt's length: text at 2.5 bytes a token, a thousand tokens an image."""
    texts = _texts(request)
    images = sum(isinstance(part, Image) for message in request.messages for part in message.parts)
    if request.completion is not None:
        images += len(request.completion.images)
    size = sum(len(text) if text.isascii() else len(text.encode("utf-8", "replace")) for text in texts)
    if request.tools:
        size += len(msgspec.json.encode(request.tools))
    return int(size / BYTES_PER_TOKEN) + 8 * len(request.messages) + images * IMAGE_TOKENS


def _least_tokens(request: ChatRequest) -> int:
    """No token is longer than a word with the space before it, or than LONGEST_TOKEN."""
    return sum(max(len(text.split()), len(text) // LONGEST_TOKEN) for text in _texts(request))


def _texts(request: ChatRequest) -> list[str]:
    texts = [getattr(part, "text", "") or getattr(part, "content", "") or getattr(part, "arguments", "")
             for message in request.messages for part in message.parts]
    if request.completion is not None:
        texts += [request.completion.prompt, request.completion.suffix, request.completion.system or ""]
    return texts


def _check_reachable(node: Node) -> None:
    """Raises Unreachable at once for a node that takes its time to say so."""
    state = node.last_state
    if not state.is_up and state.is_known and state.is_slow_to_fail:
        raise Unreachable(f"{node.url}: {state.error}")


def _is_cold(node: Node, model: str) -> bool:
    """Whether the model is known not to be in the node's memory."""
    state = node.last_state
    return state.is_up and state.knows_loaded and model not in state.loaded


def _conversation(request: ChatRequest) -> int:
    """A key that stays the same from turn to turn: the beginning of the conversation."""
    opening = next((m.text for m in request.messages if m.role == "user"), "")
    return digest(request.model + "\0" + opening)
