"""`python -m tests.clients`: tries the client programs and says what works."""

from __future__ import annotations

import argparse
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.clients import matrix
from tests.clients.catalogue import CLIENTS, Client
from tests.clients.store import Store
from tests.clients.trial import Outcome, try_client

AT_A_TIME = 2


def main(arguments: list[str]) -> int:
    """Returns 1 if a client that was run failed in anything."""
    asked = parse(arguments)
    store = Store()
    logging.basicConfig(filename=store.folder / "server.log", filemode="w", level=logging.WARNING)
    outcomes = run(choose(asked.only, with_slow=asked.slow), store)
    if asked.json:
        matrix.save(outcomes, asked.json)
    if asked.write:
        matrix.write(outcomes)
    return 1 if any(outcome.failures for outcome in outcomes) else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    names = [client.name for client in CLIENTS]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--slow", action="store_true", help="the programs with a terminal too")
    parser.add_argument("--write", action="store_true", help="renew the table in the README; takes all clients")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all of it, failed exchanges too, to a file")
    asked = parser.parse_args(arguments)
    if asked.write and (asked.only or not asked.slow):
        parser.error("--write needs --slow, and no --only")
    return asked


def choose(only: list[str] | None, *, with_slow: bool) -> list[Client]:
    return [client for client in CLIENTS
            if (client.name in only if only else with_slow or not client.is_slow)]


def run(clients: list[Client], store: Store) -> list[Outcome]:
    """In the order given, a few at a time."""
    def tell(client: Client) -> Outcome:
        outcome = try_client(client, store)
        sys.stdout.write(_line(outcome) + "\n")
        sys.stdout.flush()
        return outcome

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return list(pool.map(tell, clients))


def _line(outcome: Outcome) -> str:
    if outcome.not_run:
        return f"{outcome.client.name}: not run: {outcome.not_run}"
    passed = len(outcome.verdicts) - len(outcome.failures)
    lines = [f"{outcome.client.name}: {passed} of {len(outcome.verdicts)} in {outcome.seconds:.1f} s"]
    return "\n".join([*lines, *(f"    {feature}: {told}" for feature, told in outcome.failures.items())])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
