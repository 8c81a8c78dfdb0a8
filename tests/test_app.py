"""app.py as a program: what a signal does, what stays on disk, and how it ends."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from moe.config.settings import ROOT
from tests.fakes import endless, fake_ollama
from tests.live import FALLBACK, NOWHERE, write_config
from tests.test_service import HANG_S, PARROT, becomes, chat, labels

# The first process of a container: a signal that it has no handler for does not reach it at all.
FIRST = ("unshare", "--pid", "--fork", "--kill-child")
# app.py, but for a drain time that a test can wait for.
IMPATIENT = ("-c", "import sys, app; app.DRAIN_S = 0.3; sys.exit(app.main(sys.argv[1:]))")


@contextmanager
def program(
    folder: Path, *, start: Sequence[str] = (str(ROOT / "app.py"),), ollama_url: str = NOWHERE, model: str = ""
) -> Iterator[tuple[str, Path, int]]:
    """`app.py` in a process of its own: its URL, its log file, its process id; ended by SIGTERM."""
    expert = {**FALLBACK, "model_name": model} if model else PARROT
    write_config(folder, config={"expert_runner": {"ollama_url": ollama_url}}, experts=[expert])
    places = {name: str(folder / name.removeprefix("MOE_").lower()) for name in ("MOE_LOGS", "MOE_MODELS", "MOE_DATA")}
    arguments = [sys.executable, *start, "--port", "0", "--config", str(folder / "config")]
    with (
        (folder / "out").open("w") as out,
        subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, **places}, stdout=out, stderr=out) as process,
    ):
        try:
            log = folder / "logs" / "moe.log"
            assert becomes(lambda: process.poll() is not None or (log.exists() and "serves on" in log.read_text()))
            found = re.search(r"serves on (http://\S+)", (folder / "out").read_text())
            assert found is not None, (folder / "out").read_text()
            yield found[1], log, process.pid
            process.send_signal(signal.SIGTERM)
            assert process.wait(HANG_S) == 0
        finally:
            process.kill()


@pytest.fixture(params=["as any process", "as the first of its container"])
def prefix(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What stands before a command to start it so."""
    if request.param == "as any process":
        return ()
    if shutil.which(FIRST[0]):
        for words in (FIRST, (*FIRST, "--map-root-user")):
            if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
                return words
    pytest.skip("no process namespace may be made here")


@contextmanager
def starting(
    folder: Path, prefix: Sequence[str], **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[int], None]]]:
    """`app.py` from its first moment on, and how to send it a signal."""
    places = {"MOE_LOGS": str(folder / "logs"), "MOE_MODELS": str(folder / "models"), "MOE_DATA": str(folder / "data")}
    command = [*prefix, sys.executable, str(ROOT / "app.py"), "--port", "0", "--config", str(folder / "config")]
    with subprocess.Popen(command, env={**os.environ, **places, **environment}) as process:
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            assert not prefix or becomes(lambda: children.read_text() != "")
            target = int(children.read_text()) if prefix else process.pid
            yield process, lambda number: os.kill(target, number)
        finally:
            process.kill()


ENDS = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", ENDS)
def test_a_signal_while_it_imports_ends_it_at_once_and_well(
    tmp_path: Path, prefix: tuple[str, ...], number: int
) -> None:
    slow = "import pathlib, time; pathlib.Path(__file__).with_name('began').touch(); time.sleep(600)"
    (tmp_path / "flask.py").write_text(slow, encoding="utf-8")
    with starting(tmp_path, prefix, PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1") as (process, send):
        assert becomes(lambda: (tmp_path / "began").exists())
        send(number)
        assert process.wait(HANG_S) == 0


@pytest.mark.parametrize("number", ENDS)
def test_a_signal_while_it_reads_its_config_ends_it_at_once_and_well(
    tmp_path: Path, prefix: tuple[str, ...], number: int
) -> None:
    write_config(tmp_path, experts=[PARROT])
    pipe = tmp_path / "config" / "config.json"
    pipe.unlink()
    os.mkfifo(pipe)
    with starting(tmp_path, prefix) as (process, send):
        ends = []

        def is_read() -> bool:
            try:
                ends.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            except OSError as error:
                assert error.errno == errno.ENXIO
            return bool(ends)

        try:
            assert becomes(is_read)  # and now it waits for what is never written
            send(number)
            assert process.wait(HANG_S) == 0
        finally:
            for end in ends:
                os.close(end)


def test_a_signal_while_it_serves_ends_it_well(tmp_path: Path, prefix: tuple[str, ...]) -> None:
    write_config(tmp_path, experts=[PARROT])
    log = tmp_path / "logs" / "moe.log"
    with starting(tmp_path, prefix) as (process, send):
        assert becomes(lambda: log.exists() and "serves on" in log.read_text())
        send(signal.SIGTERM)
        assert process.wait(HANG_S) == 0
    assert "moe ended" in log.read_text()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
def test_sighup_reloads_and_a_refused_config_is_told_in_the_log(tmp_path: Path) -> None:
    with program(tmp_path) as (url, log, process):
        experts = tmp_path / "config" / "experts.json"
        os.kill(process, signal.SIGHUP)  # nothing has changed: only the signal can be the reason
        assert becomes(lambda: log.read_text().count("config reloaded: 1 experts") == 1)

        write_config(tmp_path, experts=[PARROT, {"id": 1, "label": "late", "type": "echo"}])
        os.kill(process, signal.SIGHUP)
        assert becomes(lambda: labels(url) == ["fallback", "late"])

        experts.write_text("{", encoding="utf-8")
        os.kill(process, signal.SIGHUP)
        assert becomes(lambda: "config not reloaded" in log.read_text())
        assert str(experts) in log.read_text()
        assert labels(url) == ["fallback", "late"]


def test_the_process_keeps_what_it_counted(tmp_path: Path) -> None:
    with program(tmp_path) as (url, _, _):
        chat(url, "count me")
    counted = json.loads((tmp_path / "data" / "models.json").read_text(encoding="utf-8"))["models"]
    assert counted["fallback echo"]["answers"] == 1


def test_sigterm_ends_an_endless_stream_with_its_error_once_the_drain_time_is_up(tmp_path: Path) -> None:
    paths = ("/v1/chat/completions", "/api/chat")
    body = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "go on"}]}
    with fake_ollama(["talker:4b"]) as ollama:
        ollama.script("talker:4b", [endless(interval_s=0.01)])
        with program(tmp_path, start=IMPATIENT, ollama_url=ollama.url, model="talker:4b") as (url, _, _):
            streams = [requests.post(url + path, json=body, stream=True, timeout=HANG_S) for path in paths]
        last = [stream.content.strip().split(b"\n")[-1].removeprefix(b"data: ") for stream in streams]
    assert json.loads(last[0])["error"]["message"] == "the server is shutting down"
    assert json.loads(last[1]) == {"error": "the server is shutting down"}


def test_a_refused_config_ends_the_start_with_every_problem(tmp_path: Path) -> None:
    write_config(tmp_path, config={"server": {"port": 99999}}, experts=[{"id": 1, "label": "a/b"}])
    ended = subprocess.run(
        [sys.executable, str(ROOT / "app.py"), "--config", str(tmp_path / "config")], capture_output=True, text=True,
        timeout=HANG_S, check=False, env={**os.environ, "MOE_LOGS": str(tmp_path / "logs")},
    )
    assert ended.returncode == 2
    assert "config.json:1: at $.server.port" in ended.stderr
    assert "no expert has id 0" in ended.stderr
    assert '"a/b" must be' in ended.stderr
    assert "Traceback" not in ended.stderr
