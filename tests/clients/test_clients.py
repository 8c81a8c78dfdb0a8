"""Every client that can be had here does all that it can.

MOE_CLIENTS=no|quick|all says which are tried: quick, the default, leaves out the programs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.clients.__main__ import AT_A_TIME, choose
from tests.clients.catalogue import Client
from tests.clients.store import Store
from tests.clients.trial import Outcome, try_client

WANTED = os.environ.get("MOE_CLIENTS", "quick")
CHOSEN = [] if WANTED == "no" else choose(None, with_slow=WANTED == "all")


@pytest.fixture(scope="module")
def trials() -> Iterator[dict[str, Future[Outcome]]]:
    """All of them are begun at once, and done a few at a time while the tests wait for them one by one."""
    store = Store()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {client.name: pool.submit(try_client, client, store) for client in CHOSEN}


@pytest.mark.parametrize("client", CHOSEN, ids=lambda client: client.name)
def test_a_client_does_all_that_it_can(trials: dict[str, Future[Outcome]], client: Client) -> None:
    outcome = trials[client.name].result()
    if outcome.not_run:
        pytest.skip(outcome.not_run)
    print(outcome.said)
    for feature, exchange in outcome.exchanges.items():
        print(f"--- {feature}", *exchange, sep="\n")
    assert outcome.failures == {}
    assert set(outcome.verdicts) == set(client.features)
