"""Claude Code, as it runs without a terminal."""

from __future__ import annotations

import json

import kit
import program
from kit import MODEL, PLAN

# Of its packages for each kind of machine just the fitting one is installed.
PROGRAM = str(next((program.NODE_MODULES / "@anthropic-ai").glob("claude-code-*/claude")))


def ask(prompt: str, *words: str, model: str = MODEL, is_fine: bool = True) -> str:
    return program.call(
        PROGRAM, "-p", prompt, "--model", model, *words, is_fine=is_fine, ANTHROPIC_BASE_URL=kit.URL,
        ANTHROPIC_AUTH_TOKEN="none", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1", DISABLE_AUTOUPDATER="1",
        CLAUDE_CODE_MAX_RETRIES="0",
    )


def chat() -> None:
    kit.has(ask(kit.HELLO), kit.HELLO)


def stream() -> None:
    told = ask(kit.HELLO, "--output-format", "stream-json", "--include-partial-messages", "--verbose")
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    events = [line["event"] for line in lines if line["type"] == "stream_event"]
    kit.same((events[0]["type"], events[-1]["type"]), ("message_start", "message_stop"))
    kit.has(kit.several(event["delta"].get("text") for event in events if event["type"] == "content_block_delta"),
            kit.HELLO)


def tools() -> None:
    kit.has(ask(program.order("Read", file_path=str(program.FILE)), "--allowedTools", "Read"), program.SECRET)


def error() -> None:
    kit.has(ask(kit.HELLO, model=PLAN["missing"], is_fine=False), PLAN["missing"])


kit.run({"chat": chat, "stream": stream, "tools": tools, "error": error})
