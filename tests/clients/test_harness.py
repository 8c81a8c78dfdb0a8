"""The harness itself: what it records, and that nothing passes which was not tried."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from tests.clients import matrix, trial
from tests.clients.catalogue import CLIENTS, FEATURES, Client, Environment
from tests.clients.relay import Relay
from tests.clients.store import Store, Unavailable
from tests.clients.trial import UNTOLD, Outcome, try_client

NOTHING = Environment("nothing", "python", ("nothing==1",))


def client(driver: str = "none.py", *features: str) -> Client:
    return Client("tried", "Tried", NOTHING, driver, features or ("list", "chat"))


def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> Outcome:
    """What comes of a driver with this code, run in an environment without packages."""
    (tmp_path / "tried.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(trial, "DRIVERS", tmp_path)
    monkeypatch.setattr(Store, "home", lambda self, environment: Path(sys.prefix))
    return try_client(client("tried.py"), Store(tmp_path / "store"))


@pytest.mark.parametrize("row", CLIENTS, ids=lambda row: row.name)
def test_every_row_has_a_driver_for_known_features(row: Client) -> None:
    assert set(row.features) <= set(FEATURES)
    code = (trial.DRIVERS / row.driver).read_text(encoding="utf-8")
    told = [name for name in row.features if f'"{name}":' not in code and f"async {name}(" not in code]
    assert told == []


def test_what_a_driver_does_not_tell_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = drive(tmp_path, monkeypatch, """print('{"list": "pass"}'); raise SystemExit("that was all")""")
    assert outcome.verdicts == {"list": "pass", "chat": UNTOLD}
    assert outcome.failures == {"chat": UNTOLD}
    assert "that was all" in outcome.said


def test_a_driver_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LONGEST_S", 1.0)
    outcome = drive(tmp_path, monkeypatch, "import time; time.sleep(600)")
    assert set(outcome.verdicts.values()) == {UNTOLD}


def test_the_exchange_of_a_failed_feature_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = drive(tmp_path, monkeypatch, """
import json, os, urllib.request
url = json.loads(os.environ["CLIENT_PLAN"])["url"]
urllib.request.urlopen(url + "/health").read()
print('{"list": "pass"}', flush=True)
urllib.request.urlopen(url + "/api/version").read()
print('{"chat": "no"}', flush=True)
""")
    asked, got = outcome.exchanges["chat"]
    assert asked.startswith(">>> GET /api/version") and got.startswith("<<< HTTP/1.1 200") and "0.33" in got
    assert list(outcome.exchanges) == ["chat"]


def test_a_client_meets_none_of_the_developer_s_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    outcome = drive(tmp_path, monkeypatch, """
import json, os
print(json.dumps({"list": "pass" if "OPENAI_API_KEY" not in os.environ else "seen", "chat": os.environ["HOME"]}))
""")
    assert outcome.verdicts["list"] == "pass"
    assert outcome.verdicts["chat"] not in ("", str(Path.home()))


def test_what_cannot_be_installed_is_not_run_and_never_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Store, environment: Environment) -> Path:
        raise Unavailable("no such package")

    monkeypatch.setattr(Store, "home", refuse)
    outcome = try_client(client(), Store(tmp_path))
    assert (outcome.not_run, outcome.verdicts) == ("no such package", {})
    table = matrix.as_table(matrix.as_rows([outcome]))
    assert "✓" not in table and "| (1) | (1) |" in table and table.endswith("\n1. not run: no such package")


def test_the_store_makes_an_environment_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, made = Store(tmp_path), []
    monkeypatch.setattr(Store, "_make_python", lambda self, home, packages: made.append(packages))
    one, other = (Environment("one", "python", (package,)) for package in ("a==1", "a==2"))
    assert [store.home(each) for each in (one, one, other)] == [tmp_path / "one"] * 3
    assert made == [("a==1",), ("a==2",)]


def test_the_store_tries_again_what_it_could_not_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Store, home: Path, packages: tuple[str, ...]) -> None:
        raise Unavailable("no network")

    monkeypatch.setattr(Store, "_make_python", fail)
    for _ in range(2):
        with pytest.raises(Unavailable):
            Store(tmp_path).home(Environment("one", "python", ("a==1",)))


def test_the_table_numbers_its_reasons_and_tells_each_once() -> None:
    verdicts = {"list": "pass", "chat": "no `x` | of http://127.0.0.1:80 in /tmp/y"}
    two = [Outcome(client(), verdicts=verdicts), Outcome(client("none.py", "chat"), verdicts=verdicts)]
    table = matrix.as_table(matrix.as_rows(two)).splitlines()
    assert table[2].startswith("| Tried | 1 | ✓ | (1) |  |")
    assert table[3].startswith("| Tried | 1 |  | (1) |  |")
    assert table[-1] == "1. no x  of  in "


def test_the_table_replaces_the_one_on_the_page(tmp_path: Path) -> None:
    readme, page = tmp_path / "page.md", tmp_path / "matrix.json"
    readme.write_text(f"before\n{matrix.BEGIN}\nold\n{matrix.END}\nafter\n", encoding="utf-8")
    matrix.write([Outcome(client(), verdicts={"list": "pass", "chat": "pass"})], readme, page)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text and "| Tried |" in text
    readme.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError):
        matrix.write([], readme, page)


def test_the_table_in_the_readme_is_of_these_clients_and_versions() -> None:
    rows = json.loads(matrix.PAGE.read_text(encoding="utf-8"))
    assert [(row["client"], row["title"], row["version"], tuple(row["verdicts"])) for row in rows] == [
        (row.name, row.title, row.environment.version, row.features) for row in CLIENTS]
    assert matrix.as_table(rows) in matrix.README.read_text(encoding="utf-8")


def test_the_relay_passes_on_what_it_records() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Relay("127.0.0.1", server.getsockname()[1]) as relay:
        port = int(relay.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as near:
            far, _ = server.accept()
            with far:
                near.sendall(b"question")
                assert far.recv(100) == b"question"
                mark = relay.mark()
                far.sendall(b"answer")
                assert near.recv(100) == b"answer"
                near.shutdown(socket.SHUT_WR)
                assert far.recv(100) == b""  # a client that has left is seen to leave
        assert relay.since(0) == [">>> question", "<<< answer"]
        assert relay.since(mark) == ["<<< answer"]
