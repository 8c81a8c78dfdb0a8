from __future__ import annotations

import json
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from moe.config.places import Path, Places, spell

TEXT = """{
  "router": {"mode": "generic",
             "deep": [[1, 2], {"x": null}]},

  "a \\"quoted\\" {key": "a string with , ] } : and \\n",
  "empty": {}, "none": [],
  "last": -1.5e3
}
"""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_every_value_has_the_line_where_it_begins() -> None:
    places = Places(TEXT)
    assert places.line(("router",)) == 2
    assert places.line(("router", "mode")) == 2
    assert places.line(("router", "deep", 0, 1)) == 3
    assert places.line(("router", "deep", 1, "x")) == 3
    assert places.line(('a "quoted" {key',)) == 5
    assert places.line(("none",)) == 6
    assert places.line(("last",)) == 7


def test_a_path_that_is_not_there_has_the_line_of_what_should_hold_it() -> None:
    places = Places(TEXT)
    assert places.line(("router", "missing", "deeper")) == 2
    assert places.line(("nothing",)) == 1


def test_windows_line_ends_count_once() -> None:
    assert Places(TEXT.replace("\n", "\r\n")).line(("last",)) == 7


def test_a_key_that_stands_twice_is_found_at_its_second_place() -> None:
    places = Places('{"a": 1,\n "b": {"a": 2},\n "a": 3,\n "c": [{"d": 1, "d": 2}]}')
    assert places.repeated == [("a",), ("c", 0, "d")]
    assert places.line(("a",)) == 3


def test_paths_are_spelled_as_json_paths() -> None:
    assert spell(("experts", 0, "scoring_weights", "max-keyword")) == "$.experts[0].scoring_weights.max-keyword"
    assert spell(()) == "$"
    assert spell(("a.b", "c")) == "$['a.b'].c"


def test_a_large_file_is_walked_once() -> None:
    text = json.dumps({"keywords": [f"word {i}" for i in range(50_000)]}, indent=1)
    began = time.monotonic()
    assert Places(text).line(("keywords", 49_999)) == 50_002
    assert time.monotonic() - began < 10


@given(JSON, st.sampled_from([None, 0, 1, 4]))
def test_every_path_of_any_json_is_found(value: Any, indent: int | None) -> None:
    places = Places(json.dumps(value, indent=indent))
    assert set(places.lines) == set(_paths(value))


def _paths(value: Any, at: Path = ()) -> list[Path]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for step, each in inner for path in _paths(each, (*at, step)))]
