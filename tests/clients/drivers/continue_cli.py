"""Continue's `cn`, as it runs without a terminal."""

from __future__ import annotations

from pathlib import Path

import kit
import program
from kit import MODEL, PLAN, WAY

PROGRAM = str(program.NODE_MODULES / ".bin" / "cn")


def ask(prompt: str, model: str = MODEL, *, is_fine: bool = True) -> str:
    base = kit.URL if WAY == "ollama" else f"{kit.URL}/v1"
    config = Path.home() / "config.yaml"
    config.write_text(f"""
name: moe
version: 0.0.1
schema: v1
models:
  - name: moe
    provider: {WAY}
    model: {model}
    apiBase: {base}
    apiKey: none
    roles: [chat]
""", encoding="utf-8")
    return program.call(PROGRAM, "-p", "--config", str(config), prompt, is_fine=is_fine, CONTINUE_TELEMETRY_ENABLED="0")


def chat() -> None:
    kit.has(ask(kit.HELLO), kit.ANSWER)


def tools() -> None:
    kit.has(ask(program.order("Read", filepath=program.FILE.name)), program.SECRET)


def error() -> None:
    kit.has(ask(kit.HELLO, PLAN["missing"], is_fine=False), PLAN["missing"])


kit.run({"chat": chat, "tools": tools, "error": error})
