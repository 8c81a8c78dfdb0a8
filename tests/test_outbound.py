"""Nothing leaves the machine: what the served shipped config connects to is the configured Ollama and nothing else."""

from __future__ import annotations

import ipaddress
import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moe.config.settings import ROOT
from tests.adversarial.kit import CHATS, ask, becomes_true, call, open_stream, post
from tests.adversarial.program import Program, running_program
from tests.fakes import FakeModel, fake_ollama
from tests.fakes.port import RefusedPort

MODELS = ("gemma3:27b", "phi4:14b", "devstral:24b", "nomic-embed-text")
PROMPTS = ("Why is the sky blue?", "Integrate x^2 from 0 to 3", "Fix this Python traceback",
           "Übersetze das ins Spanische", "### Task:\nGenerate a concise title", "hola")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SOCKET_TABLES = ("tcp", "tcp6", "udp", "udp6")


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="needs the socket tables of Linux")
def test_the_shipped_config_connects_to_the_configured_ollama_and_to_nothing_else(tmp_path: Path) -> None:
    models = [FakeModel.guessed(name) for name in MODELS]
    with fake_ollama(models) as ollama, running_program(tmp_path, env=_environment(ollama.url)) as server:
        with _kernel_watching(server) as remotes:
            _use(server)
        assert [request.path for request in ollama.requests].count("/api/chat") >= len(PROMPTS)
        assert remotes == {("127.0.0.1", ollama.port)}
        _assert_only(server, ollama.port)
    _assert_only(server, ollama.port)  # nor on its way out


def test_without_an_ollama_it_knocks_where_one_should_be_and_nowhere_else(tmp_path: Path) -> None:
    with RefusedPort() as nobody, running_program(tmp_path, env=_environment(nobody.url)) as server:
        _use(server, sees=503)
        assert "Next step" in ask(server, "hello").body.decode()
    _assert_only(server, nobody.port)


def _environment(ollama_url: str) -> dict[str, str]:
    """With the encoder that set-up made, where it made one."""
    return {"MOE_OLLAMA_URL": ollama_url, "MOE_MODELS": str(ROOT / "models")}


def _use(server: Program, *, sees: int = 200) -> None:
    """A bit of everything that the server can do, a reload included; `sees` is the status of a picture's answer."""
    for prompt in PROMPTS:
        for path in CHATS:
            assert ask(server, prompt, path=path).status == 200
        with open_stream(server, prompt) as sock:
            while sock.recv(65536):
                pass
    seen = {"role": "user", "content": "what is it?", "images": [PIXEL]}
    assert post(server, "/api/chat", {"stream": False, "messages": [seen]}).status == sees
    remote = {"type": "image_url", "image_url": {"url": "http://192.0.2.1/cat.png"}}
    assert post(server, CHATS[0], {"messages": [{"role": "user", "content": [remote]}]}).status == 400
    for path in ("/", "/health", "/v1/models", "/v1/models/math", "/api/tags", "/api/ps", "/api/version",
                 "/v1/route?text=a%20doctor", "/nowhere"):
        call(server, "GET", path)
    post(server, "/api/show", {"model": "lemoe"})
    example = json.loads((ROOT / "config" / "config.example.json").read_text())
    (server.folder / "config" / "config.json").write_text(json.dumps(example))
    server.process.send_signal(signal.SIGHUP)
    assert becomes_true(lambda: "config reloaded" in server.log)
    assert ask(server, "and now?").status == 200


def _assert_only(server: Program, port: int) -> None:
    """What the process did on the network, as its interpreter saw it: it resolved no name, and knew one address.

    The only other program it starts is the one that fits the scorer, which is watched like itself.
    """
    assert server.network
    for event, where in server.network:
        if (event, where) == ("subprocess.Popen", [sys.executable]):
            continue
        assert event in ("socket.connect", "socket.getaddrinfo"), (event, where)
        if event == "socket.connect":
            assert where == ["127.0.0.1", port]
        else:
            ipaddress.ip_address(where[0])


@contextmanager
def _kernel_watching(server: Program) -> Iterator[set[tuple[str, int]]]:
    """The other ends of the process's own connections, as the kernel sees them: native code has no audit hook."""
    found: set[tuple[str, int]] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            found.update((host, port) for own, host, port in _connections(server) if own != server.port)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _connections(server: Program) -> Iterator[tuple[int, str, int]]:
    """(local port, remote address, remote port) of every socket of the process that has another end."""
    own = set()
    process = Path(f"/proc/{server.process.pid}")
    for link in (process / "fd").iterdir():
        try:
            own.add(str(link.readlink()))
        except OSError:  # closed meanwhile
            continue
    for table in SOCKET_TABLES:
        for row in (process / "net" / table).read_text().splitlines()[1:]:
            fields = row.split()
            host, port = fields[2].split(":")
            if f"socket:[{fields[9]}]" in own and int(host, 16):
                yield int(fields[1].split(":")[1], 16), _read_address(host), int(port, 16)


def _read_address(text: str) -> str:
    """An address as the kernel writes it: words of four bytes, each in the machine's own order."""
    raw = bytes.fromhex(text)
    return str(ipaddress.ip_address(b"".join(raw[i:i + 4][::-1] for i in range(0, len(raw), 4))))


def test_the_shipped_config_is_what_was_served(tmp_path: Path) -> None:
    with RefusedPort() as nobody, running_program(tmp_path, env={"MOE_OLLAMA_URL": nobody.url}) as server:
        for name in ("config", "experts"):
            served, shipped = tmp_path / "config" / f"{name}.json", ROOT / "config" / f"{name}.example.json"
            assert served.read_bytes() == shipped.read_bytes()
        assert len(call(server, "GET", "/v1/models").json["data"]) >= 13
