"""`tools` and `tool`: the exact tools on the command line."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from moe.tools.known import TOOLS
from tests.cli.house import House

NAMES = [tool.name for tool in TOOLS]


@pytest.fixture
def alone(inside: House) -> House:
    """Neither a server nor an Ollama runs."""
    inside.ollama.stop()
    return inside


def test_every_tool_is_listed_with_its_arguments(alone: House) -> None:
    done = alone.moe("tools")
    head, *rows = done.stdout.splitlines()
    assert (done.returncode, done.stderr, head.split()) == (0, "", ["tool", "arguments", "what", "it", "does"])
    assert [row.split()[0] for row in rows] == NAMES
    assert rows[NAMES.index("gcd_lcm")].split()[:4] == ["gcd_lcm", "a", "b", "[operation]"]
    assert all(len(row) > 60 for row in rows)


def test_the_list_as_json_has_the_schemas(alone: House) -> None:
    told = json.loads(alone.moe("tools", "--json").stdout)
    assert [each["name"] for each in told] == NAMES
    assert told[0]["inputSchema"] == TOOLS[0].schema


def test_a_call_says_its_line(alone: House) -> None:
    done = alone.moe("tool", "calculate", "expression=15% of 239.99")
    assert (done.returncode, done.stdout, done.stderr) == (0, "15% of 239.99 = 35.9985\n", "")


def test_the_working_stands_below(alone: House) -> None:
    done = alone.moe("tool", "loan_payment", "principal=200000", "annual_rate=3.5", "years=30")
    first, *rest = done.stdout.splitlines()
    assert "898.09" in first
    assert rest and all(line.startswith("  ") for line in rest)


def test_it_speaks_three_languages(alone: House) -> None:
    said = [alone.moe("tool", "day_of_week", "date_str=1969-07-20", "--language", each).stdout
            for each in ("en", "de", "es")]
    assert [word in text for word, text in zip(("Sunday", "Sonntag", "domingo"), said, strict=True)] == [True] * 3
    assert alone.moe("tool", "day_of_week", "date_str=1969-07-20", "--language", "fr").returncode == 2


def test_json_is_what_a_server_would_reply(alone: House) -> None:
    told = json.loads(alone.moe("tool", "calculate", "expression=1+1", "--json").stdout)
    assert told == {"tool": "calculate", "result": "2", "text": "1+1 = 2"}
    assert json.loads(alone.moe("tool", "--json", "calculate", "expression=1+1").stdout) == told


@pytest.mark.parametrize(("words", "result"), [
    (("statistics_calc", "data=[1, 2.5, 3]", "operations=sum"), {"sum": "6.5"}),
    (("statistics_calc", "data=1;2;3", "operations=sum"), {"sum": 6}),
    (("gcd_lcm", "a=-4", "b=6"), {"gcd": 2, "lcm": 12}),
    (("prime_factorize", f"n={2**67 - 1}"), {"factors": [{"prime": 193707721, "power": 1},
                                                         {"prime": 761838257287, "power": 1}], "is_prime": False}),
    (("json_query", 'json_str={"a": [1, {"b": 2}]}', "path=a[1].b"), 2),
    (("json_query", 'json_str=["x=y"]', "path=[0]"), "x=y"),
    (("solve_equation", "equation=2*x + 5 = 13"), {"solutions": [4]}),
    (("date_add", "base_date=2024-01-31", "months=1"), {"date": "2024-02-29"}),
])
def test_values_are_read_as_the_tool_wants_them(alone: House, words: tuple[str, ...], result: object) -> None:
    done = alone.moe("tool", *words, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["result"]
    assert ({name: told[name] for name in result} if isinstance(result, dict) else told) == result


def test_a_number_keeps_every_digit(alone: House) -> None:
    said = alone.moe("tool", "unit_convert", "value=0.12345678901234567890123", "from_unit=km", "to_unit=m").stdout
    assert "123.45678901234567890123" in said


def test_a_value_may_come_from_a_file_or_a_pipe_as_it_is(alone: House) -> None:
    text = "Grüße 🎉\r\nzwei\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    (alone.folder / "some text.txt").write_bytes(text.encode())
    from_file = alone.moe("tool", "hash_text", "text=@some text.txt", "--json")
    from_pipe = alone.moe("tool", "hash_text", "text=-", "--json", stdin=text)
    assert [json.loads(done.stdout)["result"] for done in (from_file, from_pipe)] == [digest] * 2
    at_sign = json.loads(alone.moe("tool", "hash_text", "text=@@home", "--json").stdout)["result"]
    assert at_sign == hashlib.sha256(b"@home").hexdigest()


def test_what_has_no_answer_fails_with_the_reason(alone: House) -> None:
    done = alone.moe("tool", "calculate", "expression=1/0")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "moe: division by zero\n")
    gone = alone.moe("tool", "hash_text", "text=@nowhere.txt")
    assert (gone.returncode, gone.stderr) == (1, "moe: nowhere.txt: No such file or directory\n")


@pytest.mark.parametrize(("words", "told"), [
    (("calculat", "expression=1"), "there is no tool 'calculat'; is it calculate?"),
    (("zzz",), "there is no tool 'zzz'; python -m moe tools lists them"),
    (("calculate",), "$.expression: missing"),
    (("calculate", "expr=1"), "$.expr: unknown argument"),
    (("calculate", "15% of 80"), '"15% of 80" is not of the form key=value; usage: calculate expression'),
    (("calculate", "expression=1", "expression=2"), "expression is given twice"),
    (("gcd_lcm", "a=x", "b=2"), "$.a: "),
    ((), "the following arguments are required"),
])
def test_wrong_usage_is_told_with_what_would_be_right(alone: House, words: tuple[str, ...], told: str) -> None:
    done = alone.moe("tool", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_text_is_refused(alone: House) -> None:
    (alone.folder / "picture").write_bytes(b"\x89PNG\xff")
    done = alone.moe("tool", "hash_text", "text=@picture")
    assert (done.returncode, done.stderr) == (2, "moe: text: what is read there is no text in UTF-8\n")
    (alone.folder / "long").write_bytes(b"x" * 5_000_000)
    done = alone.moe("tool", "hash_text", "text=@long")
    assert (done.returncode, "$.text: longer than 1000000 characters" in done.stderr) == (2, True)


def test_a_disabled_tool_is_not_there(alone: House) -> None:
    alone.write(config={"tools": {"disabled": ["calculate"]}})
    assert "calculate" not in alone.moe("tools").stdout.split()
    assert alone.moe("tool", "calculate", "expression=1+1").returncode == 2
    alone.write(config={"tools": {"disabled": ["abacus"]}})
    done = alone.moe("tools")
    assert (done.returncode, "abacus" in done.stderr) == (2, True)


def test_neither_the_experts_nor_a_config_have_to_be_there(alone: House, tmp_path: Path) -> None:
    (alone.folder / "config" / "experts.json").write_text("{")
    assert alone.moe("tool", "calculate", "expression=1+1").stdout == "1+1 = 2\n"
    (alone.folder / "config" / "config.json").write_text("{")
    done = alone.moe("tool", "calculate", "expression=1+1")
    assert (done.returncode, "config.json" in done.stderr) == (2, True)
    shutil.rmtree(alone.folder / "config")
    assert alone.moe("tool", "calculate", "expression=1+1").stdout == "1+1 = 2\n"
    assert not (alone.folder / "config").exists()


def test_a_light_tool_reads_nothing_heavy(alone: House) -> None:
    for words in (("tools",), ("tool", "calculate", "expression=2^10")):
        told = alone.moe(*words, env={"PYTHONPROFILEIMPORTTIME": "1"}).stderr
        read = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines()}
        assert "msgspec" in read
        assert read & {"sympy", "mpmath", "pint", "babel", "numpy", "flask", "mcp", "mcp_types", "pydantic", "requests",
                       "urllib3", "onnxruntime", "lxml"} == set()
