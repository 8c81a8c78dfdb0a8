"""The whole application on a free port of this machine, its config given as plain values.

    with live_server(tmp_path, config={"expert_runner": {"ollama_url": ollama.url}}, experts=EXPERTS) as server:
        requests.post(f"{server.url}/api/chat", json={...})
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from app import create_app
from moe.config import Settings
from moe.pipeline.gateway import Gateway
from moe.service import Service
from moe.web.errors import refuse
from moe.web.intake import Uploads
from moe.web.server import Server

# Nothing listens there, so no test ever talks to an Ollama that a developer has running.
NOWHERE = "http://127.0.0.1:1"
FALLBACK = {"id": 0, "label": "fallback"}
# Keyword mode and few threads start fast; whoever needs more says so.
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "router": {"model_path": ""},
    "server": {"port": 0, "threads": 32},
    "expert_runner": {"ollama_url": NOWHERE},
}


class Live(NamedTuple):
    """A running server; `config` and `experts` may be written anew with `write_config` and then reloaded."""

    host: str
    port: int
    service: Service
    folder: Path
    server: Server

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def gateway(self) -> Gateway:
        return self.service.gateway()


@contextmanager
def live_server(
    folder: Path,
    *,
    config: Mapping[str, Any] | None = None,
    experts: Sequence[Mapping[str, Any]] = (FALLBACK,),
    models_folder: Path | None = None,
) -> Iterator[Live]:
    """Serves until the block is left; what is running then is cut. `config` is laid over DEFAULTS."""
    write_config(folder, config=config, experts=experts)
    settings = Settings(
        config_folder=folder / "config", data_folder=folder / "data", logs_folder=folder / "logs",
        models_folder=models_folder or folder / "models",
    )
    service = Service(settings)
    limits = service.config.server
    ending = threading.Event()
    server = Server(
        create_app(service, ending=ending), host=service.host, port=service.port, refuse=refuse, on_cut=ending.set,
        threads=limits.threads, max_body_bytes=limits.max_body_bytes_media,
        uploads=Uploads(settings.data_folder / "blobs", limits.max_upload_bytes),
    )
    server.bind()
    service.start(own=(service.host, server.port))
    thread = threading.Thread(target=server.serve, name="live-server")
    thread.start()
    try:
        yield Live(service.host, server.port, service, folder, server)
    finally:
        server.close(drain_s=0)
        thread.join()
        service.close()


def write_config(
    folder: Path, *, config: Mapping[str, Any] | None = None, experts: Sequence[Mapping[str, Any]] = (FALLBACK,)
) -> None:
    """Writes config/config.json and config/experts.json into `folder`."""
    merged: dict[str, Any] = dict(config or {})
    for section, values in DEFAULTS.items():
        merged[section] = {**values, **merged.get(section, {})}
    (folder / "config").mkdir(parents=True, exist_ok=True)
    (folder / "config" / "config.json").write_text(json.dumps(merged), encoding="utf-8")
    (folder / "config" / "experts.json").write_text(json.dumps({"experts": list(experts)}), encoding="utf-8")
