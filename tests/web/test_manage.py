"""Pull, push, create, copy, delete and blobs, over a live server in front of fake Ollamas and a fake hub."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ollama import Client, ResponseError

from moe.core import ChatRequest, Message, Text
from tests.adversarial.kit import Reply, ask, becomes_true, call, connect, post, read_reply, read_text, write_request
from tests.adversarial.wire import CHUNKED, chunk, raw
from tests.backends.tiny import GENERAL
from tests.fakes import FakeOllama, fake_ollama, hang, http_error
from tests.fakes.hub import Hub, serve_hub
from tests.live import Live, live_server, write_config

EXPERTS = (
    {"id": 0, "label": "fallback", "model_name": "auto"},
    {"id": 1, "label": "math", "tools": [], "model_name": "gemma3:4b", "aliases": ["adder"],
     "system_prompt": "You calculate.",
     "options": {"temperature": 0.3}, "keywords": ["integral"]},
)
MODELS = ("gemma3:4b", "phi4:14b")
HUB_FILE = "tiny-q4_k_m.gguf"
HUB_NAME = "hf.co/acme/tiny"
TINY = GENERAL.read_bytes()


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama(MODELS) as fake:
        yield fake


@pytest.fixture
def server(tmp_path: Path, ollama: FakeOllama) -> Iterator[Live]:
    with serve(tmp_path, ollama.url) as live:
        yield live


def serve(folder: Path, *urls: str, **server: Any) -> Any:
    """In front of the Ollama at the first URL, with an expert on the second."""
    far = ({"id": 9, "label": "far", "model_name": "auto", "url": url, "keywords": ["far"]} for url in urls[1:])
    return live_server(folder, config=config_for(urls[0], **server), experts=[*EXPERTS, *far])


def config_for(url: str, **server: Any) -> dict[str, Any]:
    return {"expert_runner": {"ollama_url": url}, "server": server}


def remove(server: Live, name: str, *, field: str = "model") -> Reply:
    return call(server, "DELETE", "/api/delete", json.dumps({field: name}).encode())


def lines(reply: Reply) -> list[dict[str, Any]]:
    assert reply.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in reply.body.splitlines()]


def names(server: Live) -> list[str]:
    return [model["name"] for model in call(server, "GET", "/api/tags").json["models"]]


# Pull


def test_a_pull_is_passed_on_as_it_goes_and_the_model_can_be_asked_at_once(server: Live, ollama: FakeOllama) -> None:
    names(server)
    told = lines(post(server, "/api/pull", {"name": "qwen3:8b", "insecure": True}))
    assert [line["status"] for line in told][0::6] == ["pulling manifest", "success"]
    assert {"digest", "total", "completed"} <= told[1].keys()
    assert ollama.requests_to("/api/pull")[0].json == {"model": "qwen3:8b", "insecure": True, "stream": True}
    assert ask(server, model="qwen3:8b").status == 200
    assert "qwen3:8b" in names(server)


def test_a_pull_that_does_not_stream_gives_the_last_line_alone(server: Live) -> None:
    reply = post(server, "/api/pull", {"model": "qwen3:8b", "stream": False})
    assert (reply.status, reply.json) == (200, {"status": "success"})
    assert reply.headers["content-type"].startswith("application/json")


def test_what_the_node_says_of_a_failure_is_passed_on(server: Live, ollama: FakeOllama) -> None:
    failure = {"error": "pull model manifest: file does not exist"}
    assert lines(post(server, "/api/pull", {"model": "missing"}))[-1] == failure
    reply = post(server, "/api/pull", {"model": "missing", "stream": False})
    assert (reply.status, reply.json) == (500, failure)
    ollama.script("/api/pull", [http_error(400, message="invalid model name")])
    refused = post(server, "/api/pull", {"model": "x"})
    assert (refused.status, refused.json) == (400, {"error": "invalid model name"})


def test_an_answer_that_breaks_off_ends_with_an_error(server: Live, ollama: FakeOllama) -> None:
    first = b'{"status":"pulling manifest"}\n'
    ollama.script("/api/pull", [raw(CHUNKED, chunk(first + b'{"sta'))])
    told = lines(post(server, "/api/pull", {"model": "x"}))
    assert told[0] == {"status": "pulling manifest"}
    assert "failed" in told[-1]["error"]
    ollama.script("/api/pull", [raw(CHUNKED, chunk(first))])
    assert post(server, "/api/pull", {"model": "x", "stream": False}).status == 503


@pytest.mark.parametrize("name", ["lemoe", "MOE:latest", "math", "Math:latest", "adder", "fallback"])
def test_what_is_served_here_is_pulled_at_once(server: Live, ollama: FakeOllama, name: str) -> None:
    told = lines(post(server, "/api/pull", {"model": name}))
    assert [line["status"] for line in told] == ["pulling manifest", "success"]
    assert post(server, "/api/pull", {"model": name, "stream": False}).json == {"status": "success"}
    assert not ollama.requests_to("/api/pull")


def test_a_client_that_leaves_stops_the_pull(server: Live, ollama: FakeOllama) -> None:
    ollama.script("/api/pull", [raw(CHUNKED, chunk(b'{"status":"pulling manifest"}\n'), 60.0)])
    with connect(server) as sock:
        sock.sendall(write_request("POST", "/api/pull", b'{"model":"x"}', host="localhost"))
        assert sock.recv(12).endswith(b"200")
    (request,) = ollama.wait_for_requests(1, path="/api/pull")
    request.wait_until_over()
    assert request.closed_early_at is not None


def test_a_pull_comes_piece_by_piece(server: Live, ollama: FakeOllama) -> None:
    ollama.script("/api/pull", [raw(CHUNKED, chunk(b'{"status":"pulling manifest"}\n'), 1.0,
                                    chunk(b'{"status":"success"}\n'), b"0\r\n\r\n")])
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    connection.request("POST", "/api/pull", b'{"model":"x"}')
    response = connection.getresponse()
    began = time.monotonic()
    assert json.loads(response.readline()) == {"status": "pulling manifest"}
    assert time.monotonic() - began < 0.5
    assert json.loads(response.readline()) == {"status": "success"}
    connection.close()


# Which node


def test_the_node_that_manages_is_the_first_or_the_one_the_config_names(tmp_path: Path, ollama: FakeOllama) -> None:
    with fake_ollama(["llama3:8b"]) as other:
        for named, asked in (("", ollama), ("far", other), (other.url.removeprefix("http://"), other)):
            with serve(tmp_path, ollama.url, other.url, manage_node=named) as live:
                ollama.forget_requests()
                other.forget_requests()
                assert post(live, "/api/pull", {"model": "new:1b", "stream": False}).status == 200
                assert len(asked.requests_to("/api/pull")) == 1
                assert len(ollama.requests_to("/api/pull") + other.requests_to("/api/pull")) == 1


def test_a_copy_a_push_and_a_deletion_go_where_the_model_is(tmp_path: Path, ollama: FakeOllama) -> None:
    with fake_ollama(["llama3:8b", "phi4:14b"]) as other, serve(tmp_path, ollama.url, other.url) as live:
        assert post(live, "/api/copy", {"source": "LLAMA3:8b", "destination": "mine"}).status == 200
        assert other.models.get("mine") is not None
        assert post(live, "/api/push", {"model": "mine", "stream": False}).json == {"status": "success"}
        assert remove(live, "phi4:14b").status == 200  # both have it
        assert ollama.models.get("phi4:14b") is None
        assert other.models.get("phi4:14b") is None
        assert "phi4:14b" not in names(live)


def test_managing_can_be_switched_off(tmp_path: Path, ollama: FakeOllama) -> None:
    with serve(tmp_path, ollama.url, manage_node="none") as live:
        assert post(live, "/api/pull", {"model": "math", "stream": False}).status == 200
        refused = [post(live, "/api/pull", {"model": "x"}), post(live, "/api/create", {"model": "x", "from": "math"}),
                   post(live, "/api/copy", {"source": "gemma3:4b", "destination": "x"}), remove(live, "gemma3:4b"),
                   post(live, "/api/blobs/sha256:" + "0" * 64, b"x"), post(live, "/api/push", {"model": "gemma3:4b"})]
        assert [reply.status for reply in refused] == [403] * 6
        assert "manage_node" in refused[0].message


def test_a_node_that_there_is_not_is_refused_with_the_config(server: Live, ollama: FakeOllama) -> None:
    write_config(server.folder, config=config_for(ollama.url, manage_node="http://elsewhere:1"), experts=EXPERTS)
    assert not server.service.reload()


# Create and copy of what is served here


def test_an_alias_answers_with_its_own_prompt_and_settings(server: Live, ollama: FakeOllama) -> None:
    made = post(server, "/api/create", {
        "model": "Mario", "from": "math", "system": "You are Mario.", "parameters": {"temperature": 0.9, "stop": "X"},
        "messages": [{"role": "user", "content": "who?"}, {"role": "assistant", "content": "me"}]})
    assert lines(made)[-1] == {"status": "success"}
    assert "Mario:latest" in names(server)
    reply = ask(server, "hello", path="/api/chat", model="mario")
    assert (reply.status, reply.headers["x-moe-expert"], reply.headers["x-moe-stage"]) == (200, "math", "explicit")
    sent = ollama.requests_to("/api/chat")[-1].json
    assert [(turn["role"], turn["content"]) for turn in sent["messages"]] == [
        ("system", "You are Mario."), ("user", "who?"), ("assistant", "me"), ("user", "hello")]
    assert (sent["options"]["temperature"], sent["options"]["stop"]) == (0.9, ["X"])
    assert post(server, "/v1/route", {"text": "hello", "model": "mario"}).json["expert"] == "math"
    assert call(server, "GET", "/v1/models/mario").json["id"] == "Mario"


def test_an_alias_of_the_router_is_routed(server: Live) -> None:
    post(server, "/api/create", {"model": "short", "from": "lemoe", "system": "Be brief."})
    assert ask(server, "what is an integral", model="short").headers["x-moe-expert"] == "math"


def test_show_tells_what_an_alias_is(server: Live) -> None:
    post(server, "/api/create", {"model": "mario", "from": "math", "system": "You are Mario.", "license": "MIT",
                                 "parameters": {"top_k": 3}, "messages": [{"role": "user", "content": "who?"}]})
    shown = post(server, "/api/show", {"name": "MARIO:latest"}).json
    assert (shown["system"], shown["license"]) == ("You are Mario.", "MIT")
    assert shown["messages"] == [{"role": "user", "content": "who?"}]
    assert shown["parameters"].splitlines() == [f"{'temperature':<30} 0.3", f"{'top_k':<30} 3"]
    assert shown["details"]["parent_model"] == "gemma3:4b"
    assert shown["model_info"]["general.parameter_count"] > 0
    assert 'SYSTEM """You are Mario."""' in shown["modelfile"]
    assert "FROM math" in shown["modelfile"]


def test_aliases_outlive_a_reload_and_a_restart_until_they_are_deleted(tmp_path: Path, ollama: FakeOllama) -> None:
    with serve(tmp_path, ollama.url) as live:
        post(live, "/api/create", {"model": "mario", "from": "math", "system": "You are Mario."})
        assert live.service.reload()
        assert ask(live, model="mario").status == 200
    with serve(tmp_path, ollama.url) as live:
        assert post(live, "/api/copy", {"source": "mario", "destination": "luigi"}).status == 200
        assert remove(live, "MARIO:latest", field="name").status == 200
        assert remove(live, "mario").status == 404
        assert ask(live, model="mario").status == 404
        assert ask(live, model="luigi").status == 200
        assert post(live, "/api/show", {"model": "luigi"}).json["system"] == "You are Mario."


def test_an_alias_of_an_alias_takes_over_what_it_does_not_say_itself(server: Live) -> None:
    post(server, "/api/create", {"model": "a", "from": "math", "system": "A.", "parameters": {"top_k": 3, "seed": 1}})
    post(server, "/api/create", {"model": "b", "from": "a", "parameters": {"seed": 2}})
    assert remove(server, "a").status == 200
    shown = post(server, "/api/show", {"model": "b"}).json
    assert shown["system"] == "A."
    assert "seed                           2" in shown["parameters"]
    assert ask(server, model="b").headers["x-moe-expert"] == "math"


@pytest.mark.parametrize(("body", "status", "told"), [
    ({"model": "x"}, 400, "neither 'from' or 'files' was specified"),
    ({"model": "", "from": "math"}, 400, "invalid model name"),
    ({"model": "a b", "from": "math"}, 400, "invalid model name"),
    ({"model": "math", "from": "lemoe"}, 400, "is a name of this server itself"),
    ({"model": "gemma3:4b", "from": "math"}, 400, "delete it first"),
    ({"model": "x", "from": "math", "template": "{{ .Prompt }}"}, 400, "template cannot be set"),
    ({"model": "x", "from": "nobody"}, 404, "model 'nobody' not found"),
    ({"model": "x", "from": "math", "parameters": {"top_k": "many"}}, 400, 'option "top_k" must be of type integer'),
])
def test_what_cannot_be_made_is_refused(server: Live, body: dict[str, Any], status: int, told: str) -> None:
    reply = post(server, "/api/create", body)
    assert reply.status == status
    assert told in reply.json["error"]


def test_a_model_of_the_node_is_made_and_copied_there(server: Live, ollama: FakeOllama) -> None:
    post(server, "/api/create", {"model": "twin", "from": "math"})
    made = post(server, "/api/create", {"model": "twin", "from": "PHI4:14b", "system": "S", "new_field": 1})
    assert lines(made)[-1] == {"status": "success"}
    assert ollama.requests_to("/api/create")[0].json == {
        "model": "twin", "from": "phi4:14b", "system": "S", "new_field": 1, "stream": True}
    assert ask(server, model="twin").headers["x-moe-stage"] == "raw"  # no longer the alias
    copied = post(server, "/api/copy", {"source": "phi4:14b", "destination": "ns/copied:1"})
    assert (copied.status, copied.body) == (200, b"")
    assert ask(server, model="ns/copied:1").status == 200


@pytest.mark.parametrize(("source", "destination", "status", "told"), [
    ("nope", "x", 404, 'model "nope" not found'), ("", "x", 400, 'source "" is invalid'),
    ("phi4:14b", "a b", 400, 'destination "a b" is invalid'), ("phi4:14b", "math", 400, "name of this server itself"),
])
def test_a_copy_that_cannot_be(server: Live, source: str, destination: str, status: int, told: str) -> None:
    reply = post(server, "/api/copy", {"source": source, "destination": destination})
    assert reply.status == status
    assert told in reply.json["error"]


def test_a_deletion_that_cannot_be(server: Live) -> None:
    assert (remove(server, "nope").status, remove(server, "nope").json) == (404, {"error": "model 'nope' not found"})
    assert (remove(server, "").status, remove(server, "").json) == (400, {"error": 'name "" is invalid'})
    assert remove(server, "math").status == 403
    assert remove(server, "lemoe").status == 403
    assert call(server, "DELETE", "/api/delete").json == {"error": "missing request body"}


def test_what_is_served_here_cannot_be_pushed(server: Live) -> None:
    assert post(server, "/api/push", {"model": "math"}).status == 400
    assert post(server, "/api/push", {"model": "nope"}).json == {"error": "model 'nope' not found"}
    assert post(server, "/api/push", {}).json == {"error": "model is required"}


# Blobs


def blob(content: bytes) -> str:
    return f"/api/blobs/sha256:{hashlib.sha256(content).hexdigest()}"


def test_a_blob_is_passed_on_and_a_model_made_of_it(server: Live, ollama: FakeOllama) -> None:
    content = bytes(range(256)) * 20_000  # more than any other body may have
    path = blob(content)
    assert call(server, "HEAD", path).status == 404
    assert (post(server, path, content).status, call(server, "HEAD", path).status) == (201, 200)
    assert post(server, path, content).status == 200
    digest = path.rpartition("/")[2]
    assert ollama.shop.blobs == {digest: content}
    made = post(server, "/api/create", {"model": "new", "files": {"m.gguf": digest}, "stream": False})
    assert made.json == {"status": "success"}
    assert ask(server, model="new").status == 200


def test_a_blob_may_come_in_chunks(server: Live, ollama: FakeOllama) -> None:
    content = b"x" * 300_000
    pieces = b"".join(chunk(content[start:start + 7000]) for start in range(0, len(content), 7000)) + b"0\r\n\r\n"
    with connect(server) as sock:
        sock.sendall(f"POST {blob(content)} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        sock.sendall(pieces)
        assert read_reply(sock).status == 201
    assert list(ollama.shop.blobs.values()) == [content]


def test_a_blob_with_another_digest_is_refused(server: Live) -> None:
    wrong = post(server, blob(b"right"), b"wrong")
    assert wrong.status == 400
    assert wrong.json["error"].startswith('digest mismatch, expected "sha256:')
    assert call(server, "HEAD", blob(b"right")).status == 404
    for digest in ("sha256:12", "md5:" + "0" * 64, "sha256:" + "g" * 64, "..", "sha256:" + "0" * 65):
        assert post(server, f"/api/blobs/{digest}", b"x").status == 400, digest
        assert call(server, "HEAD", f"/api/blobs/{digest}").status == 400


def test_a_blob_has_a_limit_of_its_own(tmp_path: Path, ollama: FakeOllama) -> None:
    with serve(tmp_path, ollama.url, max_upload_bytes=100_000, max_body_bytes_media=1000) as live:
        fits, large = b"y" * 100_000, b"y" * 100_001
        assert post(live, blob(fits), fits).status == 201
        assert post(live, blob(large), large).status == 413
        assert post(live, "/api/pull", b" " * 1001).status == 413


# Without an Ollama


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve_hub(Hub({HUB_FILE: TINY}, repo="acme/tiny")) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("NO_PROXY", "*")
        yield served


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Live]:
    """No Ollama answers it."""
    with live_server(tmp_path, experts=[{"id": 0, "label": "fallback", "type": "echo"}]) as live:
        yield live


def test_a_model_of_a_hub_is_fetched_and_can_be_asked_under_that_name(lone: Live, hub: Hub) -> None:
    pytest.importorskip("llama_cpp")
    told = lines(post(lone, "/api/pull", {"model": HUB_NAME}))
    assert [told[0]["status"], told[-1]["status"]] == ["pulling manifest", "success"]
    assert {f"{HUB_NAME}:latest", "tiny-q4_k_m:latest"} <= set(names(lone))
    reply = ask(lone, model=HUB_NAME, options={"num_predict": 4}, path="/api/chat")
    assert (reply.status, reply.headers["x-moe-model"]) == (200, "tiny-q4_k_m")
    assert read_text(reply)
    shown = post(lone, "/api/show", {"model": f"{HUB_NAME}:latest"}).json
    assert shown["model_info"]["llama.embedding_length"] > 0
    assert shown["model_info"]["tokenizer.ggml.tokens"] is None


def test_a_fetched_model_is_deleted_with_its_file_but_another_s_file_never(lone: Live, hub: Hub) -> None:
    models = lone.folder / "models"
    post(lone, "/api/pull", {"model": HUB_NAME})
    post(lone, "/api/pull", {"model": f"{HUB_NAME}:Q4_K_M"})
    (models / "mine.gguf").write_bytes(TINY)
    assert becomes_true(lambda: "mine:latest" in names(lone))
    assert remove(lone, "mine").status == 403
    assert remove(lone, HUB_NAME).status == 200
    assert (models / HUB_FILE).exists()  # it has another name yet
    assert remove(lone, f"{HUB_NAME}:q4_k_m").status == 200
    assert [path.name for path in models.iterdir()] == ["mine.gguf"]
    assert "tiny-q4_k_m:latest" not in names(lone)


def test_two_owners_files_of_one_name_are_two_models(lone: Live, hub: Hub) -> None:
    hub.repo, models = "", lone.folder / "models"
    pulled = [post(lone, "/api/pull", {"model": "hf.co/own/tiny", "stream": False}) for _ in range(2)]
    hub.files[HUB_FILE] = theirs = TINY + b"theirs"
    pulled.append(post(lone, "/api/pull", {"model": "hf.co/Two/tiny:Q4_K_M", "stream": False}))
    hub.files[HUB_FILE] = other = TINY + b"another of theirs"
    pulled.append(post(lone, "/api/pull", {"model": "hf.co/Two/more", "stream": False}))
    assert [reply.json for reply in pulled] == [{"status": "success"}] * 4
    files = {file.name: file.read_bytes() for file in models.iterdir()}
    assert files == {HUB_FILE: TINY, f"Two-{HUB_FILE}": theirs, f"Two-more-{HUB_FILE}": other}
    assert remove(lone, "hf.co/own/tiny").status == 200
    assert sorted(file.name for file in models.iterdir()) == [f"Two-more-{HUB_FILE}", f"Two-{HUB_FILE}"]


def test_a_repository_s_own_update_replaces_its_file(lone: Live, hub: Hub) -> None:
    hub.repo, models = "", lone.folder / "models"
    (models).mkdir(exist_ok=True)
    (models / HUB_FILE).write_bytes(b"GGUF by hand")
    for name in ("hf.co/own/tiny", "hf.co/own/tiny:Q4_K_M"):
        hub.files[HUB_FILE] = newer = TINY + name.encode()
        assert post(lone, "/api/pull", {"model": name, "stream": False}).status == 200
        assert (models / f"own-{HUB_FILE}").read_bytes() == newer
    assert (models / HUB_FILE).read_bytes() == b"GGUF by hand"
    assert len(list(models.iterdir())) == 2


def test_a_name_that_leads_to_another_file_now_lets_go_of_the_old_one(tmp_path: Path, hub: Hub) -> None:
    hub.repo, models = "", tmp_path / "models"
    for folder in (models, tmp_path / "data"):
        folder.mkdir()
    (models / HUB_FILE).write_bytes(TINY + b"of an earlier version, which kept no origin")
    kept = {"name": "hf.co/own/tiny", "source": HUB_FILE.removesuffix(".gguf"), "file": HUB_FILE}
    (tmp_path / "data" / "aliases.json").write_text(json.dumps({"aliases": [kept]}))
    with live_server(tmp_path, experts=[{"id": 0, "label": "fallback", "type": "echo"}]) as live:
        assert post(live, "/api/pull", {"model": "hf.co/own/tiny", "stream": False}).status == 200
        assert [file.name for file in models.iterdir()] == [f"own-{HUB_FILE}"]
        assert "hf.co/own/tiny:latest" in names(live)


def test_no_error_of_a_pull_tells_where_the_models_are(lone: Live, hub: Hub) -> None:
    hub.repo, models = "", lone.folder / "models"
    models.mkdir(exist_ok=True)
    for name in (HUB_FILE, f"own-{HUB_FILE}", f"own-tiny-{HUB_FILE}"):
        (models / name).write_bytes(b"GGUF by hand")
    taken = post(lone, "/api/pull", {"model": "hf.co/own/tiny", "stream": False})
    hub.sizes[HUB_FILE] = 10**15
    too_large = post(lone, "/api/pull", {"model": "hf.co/two/tiny", "stream": False})
    assert "is not the hub's file" in taken.json["error"]
    assert "no room" in too_large.json["error"]
    for reply in (taken, too_large):
        assert reply.status == 500
        assert str(lone.folder) not in reply.json["error"]


def test_a_model_of_a_hub_that_there_is_not(lone: Live, hub: Hub) -> None:
    told = lines(post(lone, "/api/pull", {"model": f"{HUB_NAME}:Q2_K"}))
    assert "has no Q2_K" in told[-1]["error"]
    reply = post(lone, "/api/pull", {"model": "hf.co/other/repo", "stream": False})
    assert reply.status == 500
    assert "no repository" in reply.json["error"]


def test_without_an_ollama_only_a_hub_can_be_pulled_from(lone: Live) -> None:
    reply = post(lone, "/api/pull", {"model": "gemma3:4b"})
    assert reply.status == 503
    assert "hf.co/OWNER/REPO" in reply.json["error"]
    assert post(lone, "/api/create", {"model": "x", "from": "gemma3:4b"}).status == 404


def test_a_file_that_was_sent_becomes_a_model_of_this_process(lone: Live) -> None:
    path, models = blob(TINY), lone.folder / "models"
    digest = path.rpartition("/")[2]
    assert (post(lone, path, TINY).status, call(lone, "HEAD", path).status) == (201, 200)
    made = post(lone, "/api/create", {"model": "own/tiny:v1", "files": {"t.gguf": digest}, "system": "Hi."})
    assert lines(made)[-1] == {"status": "success"}
    assert [file.name for file in models.iterdir()] == ["own-tiny-v1.gguf"]
    assert post(lone, "/api/show", {"model": "own/tiny:v1"}).json["system"] == "Hi."
    assert post(lone, "/api/pull", {"model": "own/tiny:v1", "stream": False}).json == {"status": "success"}
    assert remove(lone, "own/tiny:v1").status == 200
    assert list(models.iterdir()) == []


def make_solo(server: Live, name: str = "solo", **more: Any) -> None:
    path = blob(TINY)
    assert post(server, path, TINY).status == 201
    body = {"model": name, "files": {"x.gguf": path.rpartition("/")[2]}, "system": "SYS", "stream": False, **more}
    assert post(server, "/api/create", body).json == {"status": "success"}


def test_a_model_may_be_called_as_its_file_is(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    echo = [{"id": 0, "label": "fallback", "type": "echo"}]
    with live_server(tmp_path, experts=echo) as live:
        make_solo(live)
        assert names(live).count("solo:latest") == 1
    for _ in ("after a restart", "and another"):
        with live_server(tmp_path, experts=echo) as live:
            assert names(live).count("solo:latest") == 1
            assert post(live, "/api/show", {"model": "solo"}).json["system"] == "SYS"
            assert call(live, "GET", "/v1/models/solo").json["id"] == "solo"
            assert call(live, "GET", "/v1/models").status == 200
            reply = ask(live, model="solo", options={"num_predict": 4}, path="/api/chat")
            assert (reply.status, reply.headers["x-moe-model"], reply.json["model"]) == (200, "solo", "solo")
            hello = ChatRequest(model="solo", messages=(Message("user", (Text("hello"),)),))
            assert [message.text for message in live.gateway.measure(hello)[0].messages] == ["SYS", "hello"]


@pytest.mark.parametrize("pairs", [
    {"a": "a"}, {"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "a"}, {"lemoe": "a", "a": "lemoe"}, {"a": ""},
    {"": "a", "a": ":latest"}, {"fallback": "a", "a": "FALLBACK:latest"}, {"a": "a:latest"}, {"a": "gone"},
])
def test_a_file_of_names_that_lead_in_a_ring_harms_nobody(tmp_path: Path, pairs: dict[str, str]) -> None:
    (tmp_path / "data").mkdir()
    kept = [{"name": name, "source": source} for name, source in pairs.items()]
    (tmp_path / "data" / "aliases.json").write_text(json.dumps({"aliases": kept}))
    with live_server(tmp_path, experts=[{"id": 0, "label": "fallback", "type": "echo"}]) as live:
        listed = names(live)
        assert len(listed) == len(set(listed))
        assert call(live, "GET", "/v1/models").status == 200
        for name in pairs:
            assert ask(live, model=name).status in (200, 404)
            assert post(live, "/api/show", {"model": name or "lemoe"}).status == 200
            assert post(live, "/api/embed", {"model": name or "a", "input": "x"}).status in (400, 404, 503)
            assert post(live, "/api/copy", {"source": name or "a", "destination": "copied"}).status == 200
        assert ask(live).status == 200


def test_names_with_ollama_s_registry_and_library_are_those_without(server: Live, ollama: FakeOllama) -> None:
    ollama.models.add("big:latest")
    make = {"model": "registry.ollama.ai/library/mario", "from": "library/math", "system": "You are Mario."}
    assert post(server, "/api/create", {**make, "stream": False}).json == {"status": "success"}
    assert "mario:latest" in names(server)
    for name in ("big", "library/big", "registry.ollama.ai/library/big:latest", "https://registry.ollama.ai/library/BIG"):
        reply = ask(server, model=name, path="/api/chat")
        assert (reply.status, reply.json["model"], reply.headers["x-moe-model"]) == (200, name, "big:latest"), name
        assert post(server, "/api/show", {"model": name}).status == 200
    assert ask(server, model="library/mario").headers["x-moe-expert"] == "math"
    assert ask(server, model="library/lemoe").headers["x-moe-stage"] != "raw"
    assert ask(server, model="elsewhere/big").status == 404
    assert remove(server, "library/big").status == 200
    assert ollama.models.get("big") is None


def test_a_file_that_is_no_model_becomes_none(lone: Live) -> None:
    for content, told in ((b"MZ", "no usable GGUF"), (None, "not found: send it first")):
        path = blob(content or b"never sent")
        if content:
            assert post(lone, path, content).status == 201
        reply = post(lone, "/api/create", {"model": "x", "files": {"x": path.rpartition("/")[2]}, "stream": False})
        assert reply.status == 400
        assert told in reply.json["error"]
    assert post(lone, blob(b"right"), b"wrong").json["error"].startswith("digest mismatch")


# A real client


def test_ollama_s_own_client_can_do_it_all(server: Live, tmp_path: Path) -> None:
    client = Client(host=server.url)
    assert [step.status for step in client.pull("qwen3:8b", stream=True)][-1] == "success"
    assert client.pull("lemoe").status == "success"
    assert client.create("tutor", from_="math", system="Explain.", parameters={"temperature": 0.1}).status == "success"
    assert client.copy("tutor", "teacher").status == "success"
    assert client.delete("tutor").status == "success"
    (tmp_path / "m.gguf").write_bytes(TINY)
    digest = client.create_blob(tmp_path / "m.gguf")
    assert client.create("made", files={"m.gguf": digest}).status == "success"
    assert client.push("made").status == "success"
    assert {"qwen3:8b", "teacher:latest", "made:latest"} <= {model.model for model in client.list().models}
    shown = client.show("teacher")
    assert shown.modelinfo
    assert shown.details is not None
    assert client.chat("teacher", [{"role": "user", "content": "hi"}]).message.content
    assert becomes_true(lambda: bool(client.ps().models))
    assert client.ps().models[0].expires_at is not None
    for refused in (lambda: client.delete("tutor"), lambda: client.copy("nope", "x"), lambda: client.show("nope")):
        with pytest.raises(ResponseError) as caught:
            refused()
        assert caught.value.status_code == 404
    with pytest.raises(ResponseError, match="file does not exist"):
        list(client.pull("missing", stream=True))


# The edges


def test_what_ollama_com_has_is_not_here(server: Live) -> None:
    assert call(server, "GET", "/api/status").json == {"cloud": {"disabled": True, "source": "config"}}
    for path in ("/api/me", "/api/signout"):
        assert post(server, path, {}).status == 501
    assert post(server, "/api/experimental/web_search", {}).status == 404


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/show", "/api/pull", "/api/push", "/api/create",
                                  "/api/copy"])
def test_what_takes_a_post_takes_nothing_else_and_no_empty_body(server: Live, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        reply = call(server, method, path)
        assert (reply.status, reply.body, reply.headers["allow"]) == (405, b"405 method not allowed", "OPTIONS, POST")
    for headers in ({}, {"Content-Type": "text/plain"}):
        reply = call(server, "POST", path, b"", headers=headers)
        assert (reply.status, reply.json) == (400, {"error": "missing request body"})
    assert call(server, "OPTIONS", path, headers={"Origin": "app://x"}).status == 204


@pytest.mark.parametrize("path", ["/", "/api/tags", "/api/version", "/api/ps", "/api/status"])
def test_what_can_be_read_can_be_asked_for_its_head(server: Live, path: str) -> None:
    reply = call(server, "HEAD", path)
    assert (reply.status, reply.body) == (200, b"")
    assert int(reply.headers["content-length"]) > 0
    assert call(server, "POST", path, b"{}").status == 405


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nope", "/nowhere", "/api/tags//", "/api/blobs/", "/api/blobs/a/b"]
)
def test_an_unknown_path_is_told_as_ollama_tells_it(server: Live, path: str) -> None:
    for method in ("GET", "POST"):
        reply = call(server, method, path)
        assert (reply.status, reply.body) == (404, b"404 page not found")
        assert reply.headers["content-type"].startswith("text/plain")


def test_a_silent_node_keeps_nobody_who_leaves(server: Live, ollama: FakeOllama) -> None:
    ollama.script("/api/push", [hang()])
    with connect(server) as sock:
        sock.sendall(write_request("POST", "/api/push", b'{"model":"phi4:14b","stream":false}', host="localhost"))
        (request,) = ollama.wait_for_requests(1, path="/api/push")
    request.wait_until_over()
    assert request.closed_early_at is not None
    assert becomes_true(lambda: server.server.busy() == 0)
