"""What each endpoint reads and what stands in its answer, for the description of the server."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from . import (
    anthropic_wire,
    embedding,
    ollama_manage,
    ollama_wire,
    openai_completions,
    openai_wire,
    responses_wire,
)

EVENTS = "text/event-stream"
LINES = "application/x-ndjson"


class Page(Struct, frozen=True):
    """One endpoint: its body's type, the fields that must be in it, and those that are in every good answer.

    `streams` is the media type of an answer in pieces, `told_as` of a whole one; "" where there is none.
    """

    summary: str
    body: type | None = None
    required: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()
    streams: str = ""
    told_as: str = "application/json"
    query: tuple[str, ...] = ()
    takes_file: bool = False


def pages() -> dict[str, Page]:
    """By method and path."""
    return {**_openai(), **_responses(), **_anthropic(), **_ollama(), **_manage()}


def _openai() -> dict[str, Page]:
    answer = ("id", "object", "created", "model", "choices")
    return {
        "POST /v1/chat/completions": Page("Chat", openai_wire._Body, ("messages",), answer, EVENTS),
        "POST /v1/completions": Page("Go on with a text", openai_completions._Body, ("prompt",), answer, EVENTS),
        "POST /v1/embeddings": Page("Vectors for texts", embedding._OpenAiBody, ("input",),
                                    ("object", "data", "model")),
        "GET /v1/models": Page("The models, also in Anthropic's form", tells=("data",),
                               query=("limit", "after_id", "before_id")),
        "GET /v1/models/{name}": Page("One model", tells=("id",)),
    }


def _responses() -> dict[str, Page]:
    body, answer = responses_wire._Body, ("id", "object", "created_at", "status", "model", "output")
    return {
        "POST /v1/responses": Page("Chat", body, ("input",), answer, EVENTS),
        "POST /v1/responses/input_tokens": Page("How long a prompt is", body, ("input",), ("input_tokens",)),
        "GET /v1/responses/{name}": Page("An answer that was kept", tells=answer),
        "DELETE /v1/responses/{name}": Page("Forget an answer", tells=("id", "deleted")),
        "GET /v1/responses/{name}/input_items": Page("What it answered", tells=("object", "data"),
                                                     query=("limit", "order", "after")),
    }


def _anthropic() -> dict[str, Page]:
    answer = ("id", "type", "role", "model", "content", "stop_reason", "usage")
    count = "POST /v1/messages/count_tokens"
    return {
        "POST /v1/messages": Page("Chat", anthropic_wire._Body, ("messages", "max_tokens"), answer, EVENTS),
        count: Page("How long a prompt is", anthropic_wire._Prompt, ("messages",), ("input_tokens",)),
    }


def _ollama() -> dict[str, Page]:
    answer = ("model", "created_at", "done")
    return {
        "POST /api/chat": Page("Chat; without messages: load or unload", ollama_wire._ChatBody, (), answer, LINES),
        "POST /api/generate": Page("Go on with a text; without one: load or unload", ollama_wire._GenerateBody, (),
                                   answer, LINES),
        "POST /api/embed": Page("Vectors for texts", embedding._OllamaBody, (), ("model", "embeddings")),
        "POST /api/embeddings": Page("A vector for a text", embedding._OllamaBody, (), ("embedding",)),
        "GET /api/tags": Page("The models", tells=("models",)),
        "GET /api/ps": Page("The models in memory", tells=("models",)),
        "POST /api/show": Page("One model", ollama_manage._Shown, (), ("model_info", "capabilities", "details")),
        "GET /api/version": Page("The level of the Ollama API", tells=("version",)),
    }


def _manage() -> dict[str, Page]:
    named: dict[str, Any] = {"body": ollama_manage._Named, "streams": LINES}
    return {
        "POST /api/pull": Page("Fetch a model", **named),
        "POST /api/push": Page("Send a model to its registry", **named),
        "POST /api/create": Page("Make a model of another", ollama_manage._Made, streams=LINES),
        "POST /api/copy": Page("Another name for a model", ollama_manage._Copied, told_as=""),
        "DELETE /api/delete": Page("Take a model away", ollama_manage._Named, told_as=""),
        "HEAD /api/blobs/{digest}": Page("Whether a file is there", told_as=""),
        "POST /api/blobs/{digest}": Page("Take a file to make a model of", told_as="", takes_file=True),
        "GET /api/status": Page("Whether prompts may go to Ollama's cloud", tells=("cloud",)),
        "POST /api/me": Page("There are no accounts here: 501"),
        "POST /api/signout": Page("There are no accounts here: 501"),
    }
