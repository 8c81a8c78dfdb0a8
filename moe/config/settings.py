"""What the command line and the environment say: where things are, and secrets by name."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from .rules import check_host

ROOT = Path(__file__).resolve().parent.parent.parent


class Settings(Struct, frozen=True, kw_only=True):
    """Where this process finds and keeps its things; `host` and `port` override the config when given, `hosts` are
    added to its own."""

    config_folder: Path
    data_folder: Path
    models_folder: Path
    logs_folder: Path
    host: str | None = None
    port: int | None = None
    hosts: tuple[str, ...] = ()
    ollama_url: str = ""
    ollama_host: str = ""
    laws_url: str = ""
    in_container: bool = False
    log_level: str = "INFO"

    @classmethod
    def gather(
        cls, *, host: str | None = None, port: int | None = None, config: str | None = None, data: str | None = None
    ) -> Settings:
        """An argument wins over its environment variable (`MOE_HOST`, `MOE_PORT`, `MOE_CONFIG`, `MOE_DATA`).

        Raises ValueError for a port that is none, and for a host of `MOE_HOSTS` that is none.
        """
        env = os.environ
        named_port = env.get("MOE_PORT", "")
        if port is None and named_port:
            if not (named_port.isascii() and named_port.isdecimal()):
                raise ValueError(f"MOE_PORT must be a port number, not {named_port[:20]!r}")
            port = int(named_port)
        if port is not None and not 0 <= port <= 65535:
            raise ValueError(f"the port must be from 0 to 65535, not {port}")
        return cls(
            config_folder=Path(config or env.get("MOE_CONFIG") or ROOT / "config").absolute(),
            data_folder=Path(data or env.get("MOE_DATA") or ROOT / "data").absolute(),
            models_folder=Path(env.get("MOE_MODELS") or ROOT / "models").absolute(),
            logs_folder=Path(env.get("MOE_LOGS") or ROOT / "logs").absolute(),
            host=host or env.get("MOE_HOST") or None,
            port=port,
            hosts=_read_hosts(env.get("MOE_HOSTS", "")),
            ollama_url=env.get("MOE_OLLAMA_URL", ""),
            ollama_host=env.get("OLLAMA_HOST", ""),
            laws_url=env.get("MOE_LAWS_URL", ""),
            in_container=Path("/.dockerenv").exists() or Path("/run/.containerenv").exists(),
            log_level=env.get("MOE_LOG_LEVEL", "INFO").upper(),
        )


def _read_hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(part.strip() for part in text.split(",") if part.strip())
    for problem in filter(None, map(check_host, hosts)):
        raise ValueError(f"MOE_HOSTS: {problem}")
    return hosts


def secret(name: str) -> str:
    """The value of the environment variable `name`, "" when unset; read at each use, never kept."""
    return os.environ.get(name, "")


def wants_plain_text() -> bool:
    """Whether the user wants no colours, or the terminal has none."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def prefer(**variables: str) -> None:
    """Set environment variables that a heavy library reads at import, unless the user set them."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)
