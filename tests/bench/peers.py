"""Other gateways, to be measured beside ours: LiteLLM's proxy, as its own documents start it."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

from tests.bench.load import OPENAI, Started, Target
from tests.bench.mock import FIRST_TOKEN, PACED, PLAIN, SLOW
from tests.bench.process import await_health, free_port, running
from tests.bench.store import LITELLM, Store

START_LIMIT_S = 120.0


@contextlib.contextmanager
def litellm(store: Store, upstream_port: int, folder: Path) -> Iterator[Started]:
    """One worker, no database, no telemetry, no retries. Raises Unavailable, NotStarted."""
    program = store.environment(*LITELLM) / "litellm"
    folder.mkdir(parents=True, exist_ok=True)
    config, log = folder / "litellm.yaml", folder / "litellm.log"
    config.write_text(json.dumps(_config(upstream_port)), "utf-8")  # JSON is YAML
    key, port = f"sk-{secrets.token_hex(16)}", free_port()
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    env = {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with running(command, log=log, env=env, is_talkative=True) as process:
        seconds = await_health(process, port, log, path="/health/liveliness", limit_s=START_LIMIT_S)
        yield Started(process, Target("litellm", port, PLAIN, process.pid, key, (OPENAI,)), seconds)


def _config(upstream_port: int) -> dict[str, object]:
    upstream = {"api_base": f"http://127.0.0.1:{upstream_port}/v1", "api_key": "none"}
    models = [{"model_name": name, "litellm_params": {"model": f"openai/{name}", **upstream}}
              for name in (PLAIN, FIRST_TOKEN, SLOW, PACED)]
    return {
        "model_list": models,
        "litellm_settings": {"telemetry": False, "num_retries": 0, "set_verbose": False},
        "general_settings": {"disable_spend_logs": True},
    }
