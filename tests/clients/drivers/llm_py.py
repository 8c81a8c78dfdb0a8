"""The program `llm` with its plugin for Ollama, on the command line and as a library."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import kit
import llm
from kit import MODEL, PLAN

PROGRAM = str(Path(sys.executable).with_name("llm"))
CALL_S = 40


def call(*words: str, is_fine: bool = True) -> str:
    """What the program writes; of one that must fail what it complains of."""
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=CALL_S)
    kit.holds((done.returncode == 0) is is_fine, f"llm {words[0]} ended with {done.returncode}: {done.stderr[-200:]}")
    return done.stdout if is_fine else done.stderr


def ask(model: str, *words: str) -> str:
    return call("prompt", "-m", f"ollama/{model}", "--no-log", *words)


def model() -> llm.Model:
    return llm.get_model(f"ollama/{MODEL}")


def list_models() -> None:
    listed = call("models", "list")
    kit.has(listed, f"ollama/{MODEL}:latest")
    kit.has(listed, f"ollama/{PLAN['seeing']}")
    # It takes names with one digest as one model, and would lose an expert in the model behind it.
    kit.same(llm.get_model(f"ollama/{PLAN['expert']}").ollama_name, f"{PLAN['expert']}:latest")


def chat() -> None:
    kit.has(ask(MODEL, "--no-stream", kit.HELLO), kit.ANSWER)
    if local := PLAN["local"]:
        told = ask(local["model"], "-o", "temperature", "0", "--no-stream", local["question"])
        kit.same(told.strip(), local["answer"])


def stream() -> None:
    kit.has(kit.several(model().prompt(kit.HELLO, stream=True)), kit.ANSWER)


def tools() -> None:
    def get_weather(city: str) -> str:
        """The weather in a city"""
        return kit.SUNNY

    for streams in (True, False):
        chain = model().conversation().chain(kit.WEATHER, tools=[get_weather], stream=streams)
        kit.has(chain.text(), kit.SUNNY)


def schema() -> None:
    kit.person(model().prompt(kit.HELLO, schema=kit.PERSON, stream=False).text())


def vision() -> None:
    picture = llm.Attachment(type="image/png", content=base64.b64decode(PLAN["pixel"]))
    kit.has(model().prompt(kit.HELLO, attachments=[picture]).text(), "(1 images)")


def embed() -> None:
    kit.vector(json.loads(call("embed", "-m", f"ollama/{PLAN['embedding']}", "-c", "hello")))


def error() -> None:
    # It asks for nothing that is not listed, so what is refused is a wish.
    told = call("prompt", "-m", f"ollama/{PLAN['coding']}", "--no-log", "-o", "think", "true", kit.HELLO, is_fine=False)
    kit.has(told, "does not support thinking")


def cut() -> None:
    kit.has(call("prompt", "-m", f"ollama/{PLAN['broken']}", "--no-log", kit.HELLO, is_fine=False), "Error")


kit.run({
    "list": list_models, "chat": chat, "stream": stream, "tools": tools, "schema": schema, "vision": vision,
    "embed": embed, "error": error, "cut": cut,
})
