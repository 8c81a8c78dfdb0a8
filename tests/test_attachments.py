"""Files and images over a live server: what the model gets of them, who is asked, and what a client is told."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.adversarial.kit import Reply, becomes_true, connect, post, write_request
from tests.fakes import FakeModel, FakeOllama, fake_ollama
from tests.knowledge.documents.files import encrypt_pdf, make_pdf, make_word, paragraph
from tests.knowledge.documents.test_reader import endless
from tests.live import Live, live_server

EXPERTS = (
    {"id": 0, "label": "fallback", "model_name": "general:4b"},
    {"id": 1, "label": "math", "model_name": "maths:4b", "keywords": ["algebra", "calculus", "equation"]},
    {"id": 2, "label": "cook", "model_name": "cook:4b", "keywords": ["recipe", "oven", "dough"]},
    {"id": 3, "label": "eyes", "model_name": "seer:4b", "vision": True},
)
QUESTION = "Which recipe needs an oven?"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
SUMS = make_pdf("algebra calculus equation", "equation algebra calculus")
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    models = [FakeModel(name, context_length=8192) for name in ("general:4b", "maths:4b", "cook:4b")]
    with fake_ollama([*models, FakeModel("seer:4b", capabilities=("completion", "vision"))]) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama) -> Iterator[Live]:
    config = {"expert_runner": {"ollama_url": ollama.url, "retries": 0}, "documents": {"max_chars": 5000},
              "server": {"max_body_bytes": 20_000, "max_body_bytes_media": 400_000}}
    with live_server(tmp_path_factory.mktemp("live"), config=config, experts=EXPERTS) as live:
        assert becomes_true(lambda: live.gateway.catalog.find("cook:4b") is not None)
        yield live


@pytest.fixture(autouse=True)
def _well(ollama: FakeOllama) -> None:
    ollama.forget_requests()


def openai_file(data: bytes, name: str = "sums.pdf") -> dict[str, Any]:
    uri = f"data:application/octet-stream;base64,{base64.b64encode(data).decode()}"
    return {"type": "file", "file": {"filename": name, "file_data": uri}}


def anthropic_file(data: bytes, name: str = "sums.pdf") -> dict[str, Any]:
    source = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(data).decode()}
    return {"type": "document", "title": name, "source": source}


def ask(server: Live, path: str, *parts: dict[str, Any], **more: Any) -> Reply:
    asked = [*parts, {"type": "text", "text": QUESTION}]
    return post(server, path, {"model": "lemoe", "max_tokens": 9, "messages": [{"role": "user", "content": asked}],
                               **more})


def sent(ollama: FakeOllama) -> dict[str, Any]:
    (request,) = [request for request in ollama.requests if request.path == "/api/chat"]
    message: dict[str, Any] = json.loads(request.body)["messages"][-1]
    return message


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("streams", [False, True])
def test_the_model_gets_the_file_and_the_users_words_choose_it(
    server: Live, ollama: FakeOllama, path: str, streams: bool
) -> None:
    file = openai_file(SUMS) if path == CHAT else anthropic_file(SUMS)
    reply = ask(server, path, file, stream=streams)
    assert (reply.status, reply.headers["x-moe-expert"]) == (200, "cook")
    assert sent(ollama)["content"] == (
        '<document name="sums.pdf">\n[page 1]\nalgebra calculus equation\n\n[page 2]\nequation algebra calculus\n'
        f"</document>\n{QUESTION}")


def test_a_text_of_anthropics_is_not_the_users_own_either(server: Live, ollama: FakeOllama) -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "algebra calculus equation " * 9}
    assert ask(server, MESSAGES, {"type": "document", "source": source}).headers["x-moe-expert"] == "cook"
    assert "algebra" in sent(ollama)["content"]


def test_several_answers_read_a_file_once_and_all_get_it(server: Live, ollama: FakeOllama) -> None:
    assert ask(server, CHAT, openai_file(make_word(paragraph("Some words.")), "x.docx"), n=2).status == 200
    bodies = [request.body for request in ollama.requests if request.path == "/api/chat"]
    assert len(bodies) == 2
    assert all(b"Some words." in body for body in bodies)


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (make_pdf(""), "scan.pdf", "scan.pdf has no text, so it is empty or scanned: send its pages as images"),
        (encrypt_pdf(make_pdf("x"), "pw"), "secret.pdf", "secret.pdf is encrypted: send it without a password"),
        (b"%PDF-1.7 broken", "b.pdf", "b.pdf is damaged: it cannot be read as PDF"),
        (b"\0\1\2\3", "x.bin", "x.bin is of no kind that is read here: send PDF, Word, Excel, PowerPoint, HTML"),
        (b"a" * 6000, "long.txt", "long.txt holds more text than documents.max_chars (5000) allows"),
    ],
)
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_what_cannot_be_read_is_a_400_that_names_the_file(
    server: Live, ollama: FakeOllama, path: str, data: bytes, name: str, words: str
) -> None:
    reply = ask(server, path, openai_file(data, name) if path == CHAT else anthropic_file(data, name), stream=True)
    assert reply.status == 400
    assert reply.message.startswith(words)
    assert not any(request.path == "/api/chat" for request in ollama.requests)


@pytest.mark.parametrize(
    "file", [{"file_id": "file-123"}, {}, {"file_data": "data:application/pdf,plain"}, {"file_data": "data:;base64,"}]
)
def test_a_file_that_is_not_there_is_refused(server: Live, file: dict[str, str]) -> None:
    reply = ask(server, CHAT, {"type": "file", "file": file})
    assert reply.status == 400
    assert reply.json["error"]["param"] == "messages[0].content[0].file"


def test_the_files_of_two_results_stay_apart(server: Live, ollama: FakeOllama) -> None:
    call = {"type": "tool_use", "name": "read", "input": {}}
    results = [{"type": "tool_result", "tool_use_id": name, "content": [
        {"type": "text", "text": f"{name}:"}, anthropic_file(make_pdf(f"text of {name}"), f"{name}.pdf")]}
        for name in ("one", "two")]
    turns = [{"role": "user", "content": QUESTION},
             {"role": "assistant", "content": [{**call, "id": name} for name in ("one", "two")]},
             {"role": "user", "content": results}]
    assert post(server, MESSAGES, {"max_tokens": 9, "messages": turns}).status == 200
    (request,) = [request for request in ollama.requests if request.path == "/api/chat"]
    assert [(m["role"], m["content"]) for m in json.loads(request.body)["messages"][-2:]] == [
        ("tool", f'{name}:\n<document name="{name}.pdf">\n[page 1]\ntext of {name}\n</document>')
        for name in ("one", "two")]


def test_a_file_without_a_title_is_called_by_its_place(server: Live) -> None:
    file = anthropic_file(b"%PDF-1.7 broken") | {"title": None}
    reply = ask(server, MESSAGES, {"type": "text", "text": "hi"}, file, system="Be brief.")
    assert reply.message == "messages[0].content[1] is damaged: it cannot be read as PDF"


def test_an_image_in_a_file_goes_to_an_expert_that_sees(server: Live, ollama: FakeOllama) -> None:
    reply = ask(server, CHAT, openai_file(base64.b64decode(PNG), "x.pdf"))
    assert reply.headers["x-moe-expert"] == "eyes"
    assert sent(ollama)["images"] == [PNG]


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_link_is_refused_with_the_key_that_would_allow_it(server: Live, path: str) -> None:
    url = f"{server.url}/health"
    part = {"type": "image_url", "image_url": {"url": url}} if path == CHAT else {
        "type": "image", "source": {"type": "url", "url": url}}
    reply = ask(server, path, part)
    assert reply.status == 400
    assert "server.fetch_images" in reply.message


def test_a_link_leads_to_no_private_address_where_links_are_fetched(tmp_path: Path) -> None:
    with live_server(tmp_path, config={"server": {"fetch_images": True}}) as live:
        part = {"type": "image_url", "image_url": {"url": f"{live.url}/health"}}
        reply = ask(live, CHAT, part)
    assert reply.status == 400
    assert reply.message.endswith("cannot be fetched: its address cannot be reached")


def test_a_file_counts_as_media_and_not_as_text(server: Live) -> None:
    padded = make_pdf("short") + b"%" + os.urandom(60_000).hex().encode()
    assert ask(server, CHAT, openai_file(padded)).status == 200
    assert ask(server, CHAT, openai_file(padded * 4)).status == 413


def test_a_count_counts_the_text_of_a_file(server: Live) -> None:
    def count(*parts: dict[str, Any]) -> int:
        reply = ask(server, f"{MESSAGES}/count_tokens", *parts)
        assert reply.status == 200
        return int(reply.json["input_tokens"])

    more = count(anthropic_file(make_pdf(" ".join(["word"] * 200)))) - count()
    assert 200 <= more <= 300


def test_who_leaves_takes_the_reading_along(server: Live) -> None:
    part = {"type": "file", "file": {"filename": "slow.pdf", "file_data": endless().data}}
    body = json.dumps({"messages": [{"role": "user", "content": [part]}]}).encode()
    sock = connect(server)
    sock.sendall(write_request("POST", CHAT, body, host=f"127.0.0.1:{server.port}"))
    assert becomes_true(_is_reading)
    sock.close()
    assert becomes_true(lambda: not _is_reading(), within_s=3)


def _is_reading() -> bool:
    told = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, check=True, text=True)
    return "documents.reading" in told.stdout
