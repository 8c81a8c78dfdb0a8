"""config/*.json -> one typed, validated Config; the only room that reads the environment."""

from .load import read_config, read_server, schema
from .schema import Config, EngineConfig, MemoryConfig, RouterConfig, RunnerConfig, ServerConfig
from .settings import Settings, secret, wants_plain_text

__all__ = [
    "Config", "EngineConfig", "MemoryConfig", "RouterConfig", "RunnerConfig", "ServerConfig", "Settings",
    "read_config", "read_server", "schema", "secret", "wants_plain_text",
]
