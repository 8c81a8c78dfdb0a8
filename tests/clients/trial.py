"""One client tried: its environment made, its driver run against a stage of its own, what became of each feature."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clients.catalogue import Client
from tests.clients.stage import Stage, open_stage
from tests.clients.store import Store, Unavailable

DRIVERS = Path(__file__).with_name("drivers")
LONGEST_S = 240.0
LONGEST_SLOW_S = 300.0
PASS = "pass"
UNTOLD = "the driver told nothing"


@dataclass
class Outcome:
    """`verdicts` has "pass" or a reason for each feature; none where the client was not run, and `not_run` says why.

    `exchanges` is what went over the wire while a feature failed.
    """

    client: Client
    verdicts: dict[str, str] = field(default_factory=dict)
    not_run: str = ""
    exchanges: dict[str, list[str]] = field(default_factory=dict)
    said: str = ""
    seconds: float = 0.0

    @property
    def failures(self) -> dict[str, str]:
        return {feature: told for feature, told in self.verdicts.items() if told != PASS}


def try_client(client: Client, store: Store) -> Outcome:
    """Never raises for what a client does."""
    try:
        home = store.home(client.environment)
    except Unavailable as error:
        return Outcome(client, not_run=str(error))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="moe-client-", ignore_cleanup_errors=True) as folder:
        work = Path(folder) / "home"
        work.mkdir()
        with open_stage(Path(folder)) as stage:
            outcome = _drive(client, stage, home, work)
    outcome.seconds = time.monotonic() - began
    return outcome


def _drive(client: Client, stage: Stage, home: Path, work: Path) -> Outcome:
    outcome = Outcome(client)
    with (work / "stderr").open("w+", encoding="utf-8") as complaints, _running(
        _command(client, home), env=_environment(client, stage.plan, home, work), cwd=work, stderr=complaints,
        limit_s=LONGEST_SLOW_S if client.is_slow else LONGEST_S,
    ) as lines:
        mark = 0
        for line in lines:
            for feature, told in _read(line).items():
                outcome.verdicts[feature] = told
                if told != PASS:
                    outcome.exchanges[feature] = stage.relay.since(mark)
            mark = stage.relay.mark()
        for feature in client.features:
            if feature not in outcome.verdicts:
                outcome.verdicts[feature] = UNTOLD
                outcome.exchanges[feature] = stage.relay.since(mark)
        complaints.seek(0)
        outcome.said = complaints.read()
    return outcome


def _read(line: str) -> dict[str, str]:
    """A line of the driver; whatever else a client prints on the way is none."""
    with suppress(ValueError):
        read = json.loads(line)
        if isinstance(read, dict) and all(isinstance(told, str) for told in read.values()):
            return read
    return {}


def _command(client: Client, home: Path) -> list[str]:
    driver = str(DRIVERS / client.driver)
    if driver.endswith(".mjs"):
        return ["node", driver]
    return [str(home / "bin" / "python") if client.environment.kind == "python" else sys.executable, driver]


def _environment(client: Client, plan: dict[str, Any], home: Path, work: Path) -> dict[str, str]:
    """Nothing of the developer's own: no keys, no settings, and no way out but to this machine."""
    nowhere, here = "http://127.0.0.1:9", "127.0.0.1,localhost"
    told = {**plan, "features": client.features, "way": client.way, "home": str(home)}
    return {
        "PATH": os.environ.get("PATH", os.defpath), "HOME": str(work), "LANG": "C.UTF-8", "TMPDIR": str(work),
        "CLIENT_PLAN": json.dumps(told), "CLIENT_HOME": str(home), "OLLAMA_HOST": plan["url"],
        "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONUNBUFFERED": "1",
        "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "NO_PROXY": here,
        "http_proxy": nowhere, "https_proxy": nowhere, "no_proxy": here,
    }


@contextmanager
def _running(command: list[str], *, limit_s: float, **how: Any) -> Iterator[Iterator[str]]:
    """The lines that it prints, until it ends or its time is up; it and its children are gone afterwards."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                               start_new_session=True, **how)
    timer = threading.Timer(limit_s, _kill, (process,))
    timer.start()
    try:
        assert process.stdout is not None
        yield iter(process.stdout)
    finally:
        timer.cancel()
        _kill(process)
        process.wait()
        process.stdout.close()


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
