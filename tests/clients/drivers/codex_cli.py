"""Codex with its provider for a local Ollama, which talks the Responses API."""

from __future__ import annotations

import kit
import program
from kit import MODEL, PLAN

PROGRAM = str(program.NODE_MODULES / ".bin" / "codex")


def ask(prompt: str, model: str = MODEL, *, is_fine: bool = True) -> str:
    # Its own sandbox needs rights that a container may lack; what it runs here is written below.
    words = ("exec", "--oss", "--local-provider", "ollama", "-m", model, "--skip-git-repo-check", "--ephemeral",
             "--sandbox", "danger-full-access")
    return program.call(PROGRAM, *words, prompt, is_fine=is_fine, CODEX_OSS_BASE_URL=f"{kit.URL}/v1")


def chat() -> None:
    kit.has(ask(kit.HELLO), kit.ANSWER)


def tools() -> None:
    told = ask(program.order("exec_command", cmd=f"cat {program.FILE}"))
    kit.has(told.rpartition("the tool said:")[2], program.SECRET)


def error() -> None:
    kit.has(ask(kit.HELLO, PLAN["missing"], is_fine=False), PLAN["missing"])


kit.run({"chat": chat, "tools": tools, "error": error})
