from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moe.config import read_config, read_server
from moe.errors import ConfigError
from tests.config.files import FALLBACK, expert, problems_of, warnings_of, write_folder


def test_empty_sections_give_every_default(tmp_path: Path) -> None:
    config = read_config(write_folder(tmp_path, config={"router": {}, "server": {}}))
    assert (config.server.host, config.server.port, config.server.threads) == ("127.0.0.1", 11435, 128)
    assert config.router.confidence_threshold == 0.25
    assert config.router.keyword_threshold == 0.125
    assert config.rate_limit.requests_per_minute == 60
    assert (config.expert_runner.first_token_timeout_s, config.expert_runner.cold_load_timeout_s) == (12, 300)
    assert config.warnings == ()


def test_an_unknown_field_is_refused_with_its_path_and_line(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, config='{\n "server": {\n  "port": 1,\n  "prot": 2\n }\n}')
    assert problems_of(folder) == ('config.json:4: at $.server.prot: unknown field "prot"; did you mean "port"?',)


def test_an_unknown_field_of_an_expert_names_the_expert(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, experts=[FALLBACK, expert(1, "math", timout=3)])
    (problem,) = problems_of(folder)
    line = (folder / "experts.json").read_text().splitlines().index('   "timout": 3') + 1
    assert problem == f'experts.json:{line}: at $.experts[1].timout (expert "math"): unknown field "timout"'


def test_every_fault_of_both_files_is_told_at_once(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path,
        config={"router": {"confidence_threshold": 2, "softmax_temperature": 0}, "sever": {}, "log_prompts": "yes"},
        experts=[{"id": "x", "label": "broken"}, expert(1, "a/b", tier=3), expert(1, "c", urls=["ftp://x", 7])],
    )
    told = "\n".join(problems_of(folder))
    for part in (
        "$.router.confidence_threshold: expected float <= 1", "$.router.softmax_temperature: expected float > 0",
        '$.sever: unknown field "sever"; did you mean "server"?', "$.log_prompts: expected bool, got str",
        '$.experts[0].id (expert "broken"): expected int, got str', '$.experts[1].label (expert "a/b")',
        '$.experts[1].tier (expert "a/b"): must be 1 or 2', '$.experts[2].urls[1] (expert "c"): expected str, got int',
        '$.experts[2].id (expert "c"): the id 1 stands twice', "$.experts: no expert has id 0",
    ):
        assert part in told
    assert len(told.splitlines()) == 10


def test_rules_are_checked_beside_a_misspelt_key(tmp_path: Path) -> None:
    told = problems_of(write_folder(tmp_path, experts=[expert(1, "math", timout=3), expert(2, "x\\y")]))
    assert len(told) == 3
    assert any("no expert has id 0" in problem for problem in told)


def test_what_is_missing_is_not_judged_where_an_expert_could_not_be_read(tmp_path: Path) -> None:
    told = problems_of(write_folder(tmp_path, experts=[{"id": 0}, expert(1, "math", fallback="gone")]))
    assert told == ('experts.json:3: at $.experts[0]: "label" is missing',)


@pytest.mark.parametrize(("value", "kind"), [(7, "a number"), ([], "a list"), ("x", "a string"), (True, "a boolean")])
def test_a_section_of_a_wrong_type_is_a_fault(tmp_path: Path, value: Any, kind: str) -> None:
    (problem,) = problems_of(write_folder(tmp_path, config={"router": value}))
    assert problem == f"config.json:2: at $.router: expected an object, got {kind}"


@pytest.mark.parametrize("value", [{}, "x", 1])
def test_experts_that_are_no_list_are_one_fault(tmp_path: Path, value: Any) -> None:
    (problem,) = problems_of(write_folder(tmp_path, experts=json.dumps({"experts": value})))
    assert "at $.experts: expected a list" in problem


def test_an_expert_that_is_no_object_is_a_fault(tmp_path: Path) -> None:
    (problem,) = problems_of(write_folder(tmp_path, experts=json.dumps({"experts": [FALLBACK, "math"]})))
    assert problem == "experts.json:1: at $.experts[1]: expected an object, got a string"


def test_null_stands_for_the_default(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path, config={"router": None, "server": {"port": None, "host": None}},
        experts=[{**FALLBACK, "keywords": None, "url": None}, expert(1, "math", aliases=None, max_tokens=None)],
    )
    config = read_config(folder)
    assert config.server.port == 11435
    assert config.experts[1].aliases == ()


def test_null_is_no_value_for_what_is_required(tmp_path: Path) -> None:
    (problem,) = problems_of(write_folder(tmp_path, experts=[FALLBACK, {**expert(1, "math"), "label": None}]))
    assert problem.endswith('at $.experts[1]: "label" is missing')


def test_a_null_in_a_list_is_a_fault_at_its_place(tmp_path: Path) -> None:
    (problem,) = problems_of(write_folder(tmp_path, experts=[FALLBACK, expert(1, "math", aliases=["a", None])]))
    assert '$.experts[1].aliases[1] (expert "math"): expected str, got null' in problem


def test_an_id_written_as_text_is_read(tmp_path: Path) -> None:
    config = read_config(write_folder(tmp_path, experts=[{**FALLBACK, "id": "0"}]))
    assert config.fallback.id == 0


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, config='\ufeff{"server": {"port": 4711}}')
    assert read_config(folder).server.port == 4711


def test_a_key_that_stands_twice_is_a_warning_with_its_line(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, config='{\n "server": {"port": 1,\n  "port": 2}\n}')
    assert read_config(folder).server.port == 2
    assert warnings_of(folder) == (
        'config.json:3: at $.server.port: the key "port" stands twice in one object; the last one counts',
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "config.json:1: not valid JSON: Expecting value"),
        ('{\n "a": 1,\n}', "config.json:3: not valid JSON"),
        ('{"experts": [', "config.json:1: not valid JSON"),
        ("[1, 2]", "config.json:1: must be a JSON object"),
        ("null", "config.json:1: must be a JSON object"),
        ('{"server": ' + "[" * 100_000, "not valid JSON: nested too deeply"),
        ('{"router": {"softmax_temperature": NaN}}', "not valid JSON: NaN is not a number"),
        ('{"router": {"softmax_temperature": 1e999}}', "not valid JSON: 1e999 is too large a number"),
        ('{"server": {"port": ' + "9" * 5000 + "}}", ""),
        ("// a comment\n{}", "config.json:1: not valid JSON"),
    ],
)
def test_what_is_no_json_object_is_refused_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    (problem,) = problems_of(write_folder(tmp_path, config=text))
    assert told in problem
    assert "\n" not in problem


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "config.json").write_bytes('{"log_prompts": false}'.encode("utf-16"))
    assert problems_of(folder) == ("config.json: not valid JSON: not in UTF-8",)


def test_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    assert problems_of(tmp_path / "config") == (
        "config.json: cannot be read: No such file or directory",
        "experts.json: cannot be read: No such file or directory",
    )


def test_a_schema_key_for_editors_is_welcome(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, config={"$schema": "./schema.json"}, **{"$schema": "./schema.json"})
    assert warnings_of(folder) == ()


def test_the_servers_own_section_is_read_whatever_else_is_wrong(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, config={"server": {"port": 4711, "host": 5}, "nonsense": 1}, experts="not JSON")
    assert (read_server(folder).port, read_server(folder).host) == (4711, "127.0.0.1")


def test_other_experts_may_stand_in_from_anywhere(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "one", experts="broken")
    elsewhere = write_folder(tmp_path / "two", experts=[FALLBACK, expert(1, "other")]) / "experts.json"
    config = read_config(folder, experts_file=elsewhere)
    assert [each.label for each in config.experts] == ["fallback", "other"]


def test_a_refusal_does_not_repeat_a_secret(tmp_path: Path) -> None:
    secret = "sk-this-is-secret"
    experts = [FALLBACK, expert(1, "math", api_key_env=secret, api_key=secret, url=f"http://user:{secret}@host")]
    with pytest.raises(ConfigError) as refused:
        read_config(write_folder(tmp_path, experts=experts))
    assert len(refused.value.problems) == 3
    assert secret not in str(refused.value)
