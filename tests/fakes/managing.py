"""What a fake Ollama does when models are pulled, made, copied and deleted."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tests.fakes.inventory import FakeModel, Inventory, add_tag
from tests.fakes.reply import Complaint, Voice
from tests.fakes.speech import Speech
from tests.fakes.upstream import Refusal
from tests.fakes.wire import Request, to_json

BLOBS = "/api/blobs/"
ROUTES = ("/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete")
LAYER_BYTES = 1000


class Shop:
    """The routes that change `models`; `blobs` are what was sent, by digest. A model whose name has "missing" in it
    cannot be pulled: that is told in the stream, as the real one does."""

    def __init__(self, models: Inventory, complain: Complaint) -> None:
        self.models = models
        self.blobs: dict[str, bytes] = {}
        self._complain = complain
        self._lock = threading.Lock()

    def serve(self, request: Request) -> Voice:
        """Raises Refusal, and for what is done without a word too."""
        if request.path.startswith(BLOBS):
            return self._blob(request)
        method = "DELETE" if request.path == "/api/delete" else "POST"
        if request.method != method:
            raise Refusal(405, body="405 method not allowed")
        if not isinstance(request.json, dict):
            raise Refusal(400, "missing request body")
        handlers: dict[str, Callable[[dict[str, Any]], Voice]] = {
            "/api/pull": self._pull, "/api/push": self._push, "/api/create": self._create, "/api/copy": self._copy,
            "/api/delete": self._delete,
        }
        return handlers[request.path](request.json)

    def _pull(self, body: dict[str, Any]) -> Voice:
        name = body.get("model") or body.get("name") or ""
        if "missing" in name:
            told = {"error": "pull model manifest: file does not exist"}
            return Progress(self._complain, body, [{"status": "pulling manifest"}, told])
        digest = hashlib.sha256(name.encode()).hexdigest()
        layer = {"status": f"pulling {digest[:12]}", "digest": f"sha256:{digest}", "total": LAYER_BYTES}
        self.models.add(name)
        return Progress(self._complain, body, [
            {"status": "pulling manifest"}, *({**layer, "completed": done} for done in (0, 500, LAYER_BYTES)),
            {"status": "verifying sha256 digest"}, {"status": "writing manifest"}, {"status": "success"},
        ])

    def _push(self, body: dict[str, Any]) -> Voice:
        self._require(body, "model")
        return Progress(self._complain, body, [{"status": "retrieving manifest"}, {"status": "success"}])

    def _create(self, body: dict[str, Any]) -> Voice:
        absent = [digest for digest in (body.get("files") or {}).values() if digest not in self.blobs]
        if absent:
            raise Refusal(400, f'blob "{absent[0]}" not found')
        base = self.models.get(body["from"]) if body.get("from") else FakeModel(body["model"])
        if base is None:
            raise Refusal(404, f"model '{body['from']}' not found")
        self.models.add(replace(base, name=body["model"]))
        return Progress(self._complain, body, [{"status": "using existing layer"}, {"status": "success"}])

    def _copy(self, body: dict[str, Any]) -> Voice:
        model = self._require({"model": body.get("source")}, "source")
        self.models.add(replace(model, name=body["destination"]))
        raise Refusal(200, body="")

    def _delete(self, body: dict[str, Any]) -> Voice:
        self.models.remove(self._require(body, "model").name)
        raise Refusal(200, body="")

    def _blob(self, request: Request) -> Voice:
        digest = request.path.removeprefix(BLOBS)
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise Refusal(400, "invalid digest format")
        if request.method == "HEAD":
            raise Refusal(200 if digest in self.blobs else 404, body="")
        actual = f"sha256:{hashlib.sha256(request.body).hexdigest()}"
        if actual != digest:
            raise Refusal(400, f'digest mismatch, expected "{digest}", got "{actual}"')
        with self._lock:
            self.blobs[digest] = request.body
        raise Refusal(201, body="")

    def _require(self, body: dict[str, Any], field: str) -> FakeModel:
        name = str(body.get("model") or body.get("name") or "")
        model = self.models.get(name) if name else None
        if model is None:
            raise Refusal(404, f'model "{name}" not found' if field == "source" else f"model '{name}' not found")
        return model


class Progress(Voice):
    """NDJSON lines, or the last of them alone."""

    def __init__(self, complain: Complaint, body: dict[str, Any], lines: Sequence[dict[str, Any]]) -> None:
        super().__init__(complain)
        self.key = add_tag(str(body.get("model") or body.get("name")))
        self.is_streamed = body.get("stream") is not False
        self.media_type = "application/x-ndjson" if self.is_streamed else "application/json; charset=utf-8"
        self._lines = [to_json(line) for line in lines]

    def open(self) -> list[bytes]:
        return [line + b"\n" for line in self._lines]

    def end(self, speech: Speech) -> list[bytes]:
        return []

    def tell(self, speech: Speech) -> bytes:
        return self._lines[-1]
