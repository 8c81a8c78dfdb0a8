"""What nobody should be able to do with a tool, as calls; run as a program, all of them in little memory."""

from __future__ import annotations

import json
import math
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from moe.errors import BadArguments, ToolError
from moe.tools.base import LANGUAGES, Setting, Tool
from moe.tools.known import TOOLS, open_toolbox
from moe.tools.numbers import SAFE_INTEGER
from moe.tools.toolbox import Toolbox

from ..statutes import open_laws

MOST_CPU_S = 2.0
MEMORY_BYTES = 1 << 30
LONGEST_TEXT = 20_000_000

# Arguments that each tool answers; what is not named here is attacked by its schema alone.
GOOD: Mapping[str, Mapping[str, Any]] = {
    "calculate": {"expression": "15% of 239.99"},
    "percent_change": {"old": 80, "new": 100},
    "number_base": {"value": "255", "to_base": 16, "from_base": 10},
    "solve_equation": {"equation": "x**2 - 4 = 0", "variable": "x"},
    "prime_factorize": {"n": 360},
    "gcd_lcm": {"a": 48, "b": 18, "operation": "both"},
    "roman_numeral": {"value": "XIV"},
    "date_diff": {"date1": "1990-05-15", "date2": "2026-03-29"},
    "date_add": {"base_date": "2024-01-31", "months": 1},
    "day_of_week": {"date_str": "2026-12-25"},
    "timezone_convert": {"time": "15:30", "from_timezone": "Europe/Berlin", "to_timezone": "UTC", "date": "2026-01-15"},
    "unit_convert": {"value": 100, "from_unit": "km/h", "to_unit": "m/s"},
    "statistics_calc": {"data": "1,2,3", "operations": "mean,median", "weights": "1,1,1"},
    "loan_payment": {"principal": 200_000, "annual_rate": "3.5", "years": 30},
    "hash_text": {"text": "hello world", "algorithm": "sha256"},
    "base64_codec": {"text": "hello", "mode": "encode"},
    "subnet_calc": {"cidr": "10.0.0.0/24", "contains": "10.0.0.7"},
    "regex_extract": {"pattern": r"\d+", "text": "12 and 34", "flags": "i"},
    "text_analyze": {"text": "It is 3.14, e.g. here. Really?"},
    "json_query": {"json_str": '{"a": [1, 2]}', "path": "a[0]"},
    "legal_search_laws": {"query": "BGB"},
    "legal_get_law_overview": {"law": "BGB"},
    "legal_get_paragraph": {"law": "BGB", "paragraph": "242"},
    "legal_fulltext_search": {"law": "BGB", "query": "Treu und Glauben"},
}
INJECTED = (
    '__import__("os").system("id")', 'x - __import__("os").getpid()', "(lambda: 1)()", "[].__class__.__mro__",
    "{0.__class__}", "{text}", "%s%n%(x)s", "${jndi:ldap://127.0.0.1/a}", "'; DROP TABLE laws; --", "../../etc/passwd",
    "<script>alert(1)</script>", "$(id)", "`id`", "a\r\nSet-Cookie: b=c", '"a"*10', "eval(1)", "exec('1')",
)
LARGE = (
    "9**9**9", "9^9^9^9", "1e308*10", "1e999999999", "10^400/3", "99999!!!!", "2^" * 500 + "2", "(((9^999)^999)^999)",
    "x^999999999 = 1", "(x+1)^200 = 0", "x^60 + y^60 = 1; y^59 = x", "a{99999999}", "(?:a{1000}){1000}", "(a+)+$",
    "((((a{100}){100}){100}){100})",
    "(?=a{99999999})", "(.*)*(.*)*(.*)*$", "$..*..*..*..*", "$[::-1][::-1]",
    "$[?match(@, 'a{99999999}')]", "$" + "[?@" * 60 + "]" * 60, "/0", "::/0", "0.0.0.0/0", "9" * 4_300,
    "-" + "9" * 5_000,
    "1." + "0" * 5_000 + "1", "m^9999999", "m" * 5_000, "W99999", "999999-01-01", "1;" * 30_000, "1*1e300;" * 3_000,
    "1e-308;1e308;" * 3_000,
)
STRANGE = (
    "", " ", "\0", "a\0b", "\x1b[31mred", "\ud800", "a\udfffb", "\u202eabc", "\u2028", "\u2029", "\ufeff1", "é" * 40,
    "a" + "\u0301" * 500, "שלום עולם", "مرحبا", "٣+٤", "१२३", "１２３＋４", "²³", "½ + ¼", "Ⅳ", "🧮" * 50,
    "👨‍👩‍👧", "ﷺ",
    "İstanbul", "ǅ", "\u00a0\u202f1", "𝟙𝟚", "1\n2", "1\r2", "1\v2\f3", "\x7f\x80\x9f", "nan", "inf", "-inf", "Infinity",
    "NaN", "None", "null", "true", "[]", "{}", '{"a":NaN}', "0x1F", "1_000", "--5", "+-+-5", "=", "?", "%", "∞", "√-1",
)
LONG = (
    "a" * 1_000_000, "9" * 1_000_000, "(" * 1_000_000, "[" * 1_000_000, "1 " * 500_000, "1," * 500_000, " " * 1_000_000,
    "\n" * 1_000_000, "-" * 1_000_000, "1+" * 500_000, "a." * 500_000, "é🧮" * 500_000, '{"a":' * 200_000,
    '"' * 1_000_000,
    "\0" * 1_000_000, "10.0.0.0/8 " * 90_000, "§" * 1_000_000, "=" * 1_000_000, "A" * 999_996 + "====",
)
NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2**31, -(2**63), 2**64, 10**18 + 9, 10**400, -(10**400), 10**4_400, 1 << 4_000_000, 0.1, -0.0, 1e308,
    -1e308, 5e-324, math.nan, math.inf, -math.inf, 1e16, 123456789.123456789, 2**67 - 1, (10**24 + 7) * (10**25 + 13),
)


# What is worse together.
_WIDE = "[" + ",".join(['{"a": [1, 2, {"b": "aaaaaaaaaaaaaaaaaaaaaaaa!"}]}'] * 20_000) + "]"
TOGETHER: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "json_query": tuple({"json_str": _WIDE, "path": path} for path in (
        "$", "$..*", "$..*..*", "$..*..*..*", "$[*]", "$..b", "$[?@.a[2].b == 'x']", "$[?match(@.a[2].b, '(a+)+')]",
        "$..[?search(@, '(a|aa)+$')]", "$[::-1]", "$[?count(@..*) > 1]", "$[?count($..*) > 1]", "$[?$..b == @..b]")),
    "regex_extract": tuple({"pattern": pattern, "text": text} for pattern, text in (
        (r"(\w+\s*)*$", "ab " * 60_000 + "!"), ("(a)(?<=(a)*)", "a" * 100_000), ("(x+x+)+y", "x" * 100_000),
        ("", "a" * 200_000),
        ("(?:a?){500}a{500}", "a" * 500), ("(?:aaaabbbbcccc){e}", "abc" * 60_000), ("(|a)*(|b)*", "ab" * 100_000),
        ("((a)|(b)|(ab))*$", "ab" * 100_000), (r"(?r)(\w+\s*)*$", "ab " * 60_000), ("(" * 900 + ")" * 900, "a"))),
    "statistics_calc": (
        {"data": ";".join(f"{n}.{n}e{n % 600 - 300}" for n in range(20_000)),
         "operations": "mean,stdev,median,p33.3,mode"},
        {"data": list(range(20_000)), "operations": ",".join(f"p{n}" for n in range(40))},
        {"data": ";".join(f"{n}" for n in range(20_000)), "weights": ";".join(f"{10**300 + n}" for n in range(20_000)),
         "operations": "mean,stdev,p50,q1,q3,iqr"},
        {"data": "1*1e300;2*1e300", "operations": "median,p50,stdev"}),
    "loan_payment": ({"principal": "1e15", "annual_rate": 1_000, "months": 1_200},
                     {"principal": 1, "annual_rate": 1e-6, "months": 1_200}),
    "unit_convert": ({"value": "1e300", "from_unit": "km^9", "to_unit": "nm^9"},
                     {"value": "1e-300", "from_unit": "eV", "to_unit": "TWh"},
                     {"value": 1e300, "from_unit": "km", "to_unit": "mi ft in"}),
    "number_base": ({"value": "Z" * 1_000, "from_base": 36, "to_base": 2},
                    {"value": "0." + "1" * 990, "from_base": 2, "to_base": 10},
                    {"value": "1e999", "to_base": 10}, {"value": "-0x" + "F" * 900, "to_base": 3}),
    "date_add": ({"base_date": "2024-01-31", "days": 4_000_000, "months": -120_000, "years": 10_000, "weeks": 4_000_000,
                  "business_days": -4_000_000},),
    "subnet_calc": ({"cidr": "::/0", "split_prefix": 128, "contains": "::1"},
                    {"cidr": "0.0.0.0/0", "split_prefix": 32}),
    "calculate": ({"expression": "sin(" * 39 + "1" + ")" * 39},
                  {"expression": "comb(10000;1000)*" * 9 + "1"},
                  {"expression": "1400!" + "*1400!" * 200}, {"expression": "+".join(["1/7919"] * 250)},
                  {"expression": "*".join(["(1+1/7)^99"] * 150)}, {"expression": "round(1/3;4000)"},
                  {"expression": "exp(9000)^0.99"}, {"expression": "1e4000^0.5"}, {"expression": "2^0.5^0.5^0.5^0.5"}),
}


def _nest(depth: int) -> Any:
    nested: Any = 1
    for _ in range(depth):
        nested = [nested]
    return nested


WRONG: tuple[Any, ...] = (
    None, True, False, [], {}, [None], [[]], {"a": 1}, ["1", 2, 3.5], [math.nan], [10**400] * 10, [True], b"bytes",
    _nest(50), _nest(100_000), {"": {"": {}}}, ["x" * 1_000_000], list(range(30_000)), "1" * 1_000_001,
)


def attack(tool: Tool) -> Iterator[dict[str, Any]]:
    """Its good arguments with one of them replaced, in every way; then what is no call at all."""
    good = dict(GOOD.get(tool.name, {}))
    for name in tool.schema["properties"]:
        for value in (*INJECTED, *LARGE, *STRANGE, *LONG, *NUMBERS, *WRONG):
            yield good | {name: value}
    yield from TOGETHER.get(tool.name, ())
    yield from ({}, good | {"unknown": 1}, {"": ""}, {"__class__": 1, "self": 2, "setting": 3}, {"\n\0": "\ud800"})


def judge(box: Toolbox, name: str, arguments: Mapping[str, Any], language: str = "en") -> float:
    """Seconds of the processor it took. AssertionError says what is wrong."""
    begun = time.process_time()
    try:
        outcome = box.call(name, arguments, language=language)  # type: ignore[arg-type]
    except ToolError as error:
        spent = time.process_time() - begun
        assert str(error), "an error without words"
        assert isinstance(error, BadArguments) or str(error).isprintable(), f"an error that is no line: {error!r}"
        assert "cannot work this out" not in str(error), f"an error that was not foreseen: {error}"
    else:
        spent = time.process_time() - begun
        assert outcome.text == outcome.text.strip() and outcome.text.isprintable(), f"no line: {outcome.text!r:.300}"
        assert all(step.isprintable() for step in outcome.steps), outcome.steps
        written = json.dumps(outcome.result, allow_nan=False)
        assert len(written) < LONGEST_TEXT
        msgspec.json.encode(outcome)
        _check_numbers(outcome.result)
    assert spent < MOST_CPU_S, f"{spent:.1f} s"
    return spent


def _check_numbers(value: Any) -> None:
    """Nothing that a reader of JSON would get otherwise than it is."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, int):
            assert abs(value) <= SAFE_INTEGER, value
        else:
            assert value is None or isinstance(value, str) or math.isfinite(value), value


def show(arguments: Mapping[str, Any]) -> str:
    """Some numbers are too long to be written."""
    try:
        return ascii(arguments)[:200]
    except (ValueError, RecursionError):
        return f"{arguments.keys()}"


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with tempfile.TemporaryDirectory() as folder, open_laws(Path(folder)) as laws:
        box = open_toolbox(Setting(laws=laws))
        for tool in TOOLS:
            for number, arguments in enumerate(attack(tool)):
                try:
                    judge(box, tool.name, arguments, LANGUAGES[number % 3])
                except AssertionError as error:
                    sys.exit(f"{tool.name} {show(arguments)}: {error}")
    print(peak_kilobytes() // 1024)


def peak_kilobytes() -> int:
    """Of this program alone: getrusage also counts what the one that started it had before."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("utf-8").splitlines())
    return int(status["VmHWM"].split()[0])


if __name__ == "__main__":
    main()
