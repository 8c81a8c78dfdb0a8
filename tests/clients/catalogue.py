"""Which client programs are tried, what of them is installed, and what each can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# The columns of the matrix, in their order, and what each of them tries.
FEATURES = {
    "list": "the models are listed and one is described",
    "chat": "a whole answer with its usage, also from a model in this process",
    "stream": "an answer in pieces",
    "tools": "a call, its result, an answer, streamed and whole",
    "schema": "an answer that fits a JSON schema",
    "thinking": "thoughts apart from the answer",
    "vision": "a picture is seen",
    "embed": "vectors, from a node and from the encoder in this process",
    "complete": "a bare prompt, and one with a suffix",
    "manage": "pull, create, copy and delete",
    "error": "a refusal raises the client's own error, with our words",
    "cut": "so does a stream that breaks off",
}


@dataclass(frozen=True)
class Environment:
    """What is installed together; the last package is the client itself."""

    name: str
    kind: Literal["python", "node"]
    packages: tuple[str, ...]

    @property
    def version(self) -> str:
        return self.packages[-1].rpartition("=" if self.kind == "python" else "@")[2]


@dataclass(frozen=True)
class Client:
    """One row of the matrix: `driver` is a file in drivers/, `way` tells one that knows several which to take."""

    name: str
    title: str
    environment: Environment
    driver: str
    features: tuple[str, ...]
    way: str = ""
    is_slow: bool = False


def _python(name: str, *packages: str) -> Environment:
    return Environment(name, "python", packages)


def _node(name: str, *packages: str) -> Environment:
    return Environment(name, "node", packages)


def _row(name: str, title: str, environment: Environment, driver: str, features: str, *, way: str = "") -> Client:
    return Client(name, title, environment, driver, tuple(features.split()), way, is_slow=driver.endswith("_cli.py"))


_OPENAI = _python("openai-py", "openai==3.54.0")
_LITELLM = _python("litellm", "mcp==2.3.0", "litellm==1.106.2")  # it needs the first for tools, unsaid
_CONTINUE = _node("continue", "@continuedev/cli@1.5.47")
_CHAT = "chat stream tools schema thinking vision"

CLIENTS = (
    _row("openai-py", "openai (Python)", _OPENAI, "openai_py.py", f"list {_CHAT} embed complete error cut"),
    _row("openai-responses", "openai (Python), Responses", _OPENAI, "openai_responses.py", f"{_CHAT} error cut"),
    _row("anthropic-py", "anthropic (Python)", _python("anthropic-py", "anthropic==2.12.0"), "anthropic_py.py",
         f"list {_CHAT} error cut"),
    _row("ollama-py", "ollama (Python)", _python("ollama-py", "ollama==0.6.3"), "ollama_py.py", " ".join(FEATURES)),
    _row("litellm-ollama", "litellm `ollama/`", _LITELLM, "litellm_py.py",
         "chat stream schema vision embed complete error cut", way="ollama"),
    _row("litellm-ollama-chat", "litellm `ollama_chat/`", _LITELLM, "litellm_py.py", f"{_CHAT} error cut",
         way="ollama_chat"),
    _row("litellm-openai", "litellm `openai/`", _LITELLM, "litellm_py.py", f"{_CHAT} embed complete error cut",
         way="openai"),
    _row("litellm-anthropic", "litellm `anthropic/`", _LITELLM, "litellm_py.py", f"{_CHAT} error cut",
         way="anthropic"),
    _row("langchain-openai", "langchain-openai", _python("langchain-openai", "langchain-openai==1.7.3"),
         "langchain_py.py", "chat stream tools schema vision embed complete error cut", way="openai"),
    _row("langchain-ollama", "langchain-ollama", _python("langchain-ollama", "langchain-ollama==1.1.0"),
         "langchain_py.py", f"{_CHAT} embed complete error cut", way="ollama"),
    _row("llama-index-ollama", "llama-index-llms-ollama",
         _python("llama-index", "llama-index-llms-ollama==0.11.0"), "llama_index_py.py",
         f"{_CHAT} complete error cut"),
    _row("llm-ollama", "llm with llm-ollama", _python("llm", "llm==0.36", "llm-ollama==0.19.1"), "llm_py.py",
         "list chat stream tools schema vision embed error cut"),
    _row("ollama-js", "ollama (JavaScript)", _node("ollama-js", "ollama@0.6.4"), "ollama.mjs", " ".join(FEATURES)),
    _row("openai-js", "openai (JavaScript)", _node("openai-js", "openai@7.57.0"), "openai.mjs",
         f"list {_CHAT} embed complete error cut"),
    _row("continue-ollama", "Continue `cn`, provider ollama", _CONTINUE, "continue_cli.py", "chat tools error",
         way="ollama"),
    _row("continue-openai", "Continue `cn`, provider openai", _CONTINUE, "continue_cli.py", "chat tools error",
         way="openai"),
    _row("codex", "Codex `--oss`", _node("codex", "@openai/codex@0.169.0"), "codex_cli.py", "chat tools error"),
    _row("claude-code", "Claude Code", _node("claude-code", "@anthropic-ai/claude-code@2.1.330"), "claude_cli.py",
         "chat stream tools error"),
)
