"""Runs at the start of a process under test: notes where it goes on the network, and plays the resolver.

MOE_WITNESS names the file that takes one JSON line for each event. MOE_NAMES is {"name": [[address, …], …]}: the
answers that a name gets, one after the other, the last one for good; names that are not in it resolve as ever.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

WATCHED = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg",
           "subprocess.Popen", "os.system", "os.posix_spawn", "os.exec")
NAMES: dict[str, list[list[str]]] = json.loads(os.environ.get("MOE_NAMES", "{}"))
resolve = socket.getaddrinfo


def note(event: str, arguments: tuple[Any, ...]) -> None:
    if event in WATCHED:
        where = arguments[1] if event in ("socket.connect", "socket.sendto", "socket.sendmsg") else arguments[0]
        with open(os.environ["MOE_WITNESS"], "a", encoding="utf-8") as notes:
            notes.write(json.dumps([event, where if isinstance(where, (list, tuple)) else [where]], default=str) + "\n")


def answer(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
    answers = NAMES.get(host)
    if not answers:
        return resolve(host, port, *arguments, **options)
    addresses = answers.pop(0) if len(answers) > 1 else answers[0]
    return [found for address in addresses for found in resolve(address, port, *arguments, **options)]


if "MOE_WITNESS" in os.environ:
    sys.addaudithook(note)
    socket.getaddrinfo = answer
