"""What a tool server of this kind was seen to get wrong, each fault by its name, and what it was seen to get right."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from moe.errors import BadArguments, ToolError, ToolTimeout
from moe.tools.base import Setting
from moe.tools.equations.worker import Worker
from moe.tools.known import open_toolbox
from moe.tools.toolbox import Toolbox

from .test_cases import fits


@pytest.fixture(scope="module")
def box() -> Iterator[Toolbox]:
    with closing(Worker()) as worker:
        worker.warm()
        yield open_toolbox(Setting(solver=worker))


def ask(box: Toolbox, name: str, **arguments: Any) -> Any:
    return box.call(name, arguments).result


EXAMPLES: list[tuple[str, dict[str, Any], Any]] = [
    *(("calculate", {"expression": expression}, result) for expression, result in (
        ("sqrt(2)*pi", "4.44288293816"), ("15% of 239.99", "35.9985"), ("15 % von 239.99", "35.9985"),
        ("2**32-1", "4294967295"), ("0.1+0.2", "0.3"), ("10 % 3", "1"), ("factorial(20)", "2432902008176640000"),
        ("5!", "120"), ("847 * 23.7", "20073.9"), ("10//3", "3"), ("log(100)", "4.60517018599"), ("round(2.5)", "2"))),
    ("solve_equation", {"equation": "x**2 - 4 = 0"}, {"solutions": [-2, 2]}),
    ("solve_equation", {"equation": "2*x + 5 = 13"}, {"solutions": [4]}),
    ("solve_equation", {"equation": "x^2=9"}, {"solutions": [-3, 3]}),
    ("solve_equation", {"equation": "x+y=3"}, {"solutions": ["3 - y"]}),
    ("solve_equation", {"equation": "sin(x)=0.5"}, {"solutions": ["0.523598775598", "2.61799387799"]}),
    ("date_diff", {"date1": "1990-05-15", "date2": "2026-03-29"},
     {"days": 13102, "years": 35, "months": 10, "remaining_days": 14}),
    ("date_diff", {"date1": "2026-03-29", "date2": "1990-05-15"}, {"days": 13102}),
    ("date_diff", {"date1": "2024-02-29", "date2": "2025-02-28"},
     {"days": 365, "years": 1, "months": 0, "remaining_days": 0}),
    ("date_add", {"base_date": "2026-01-01", "months": 3, "days": -5}, {"date": "2026-03-27", "weekday": "Friday"}),
    ("date_add", {"base_date": "2024-01-31", "months": 1}, {"date": "2024-02-29"}),
    ("date_add", {"base_date": "2024-02-29", "years": 1}, {"date": "2025-02-28"}),
    ("date_add", {"base_date": "2026-03-15", "days": -30}, {"date": "2026-02-13"}),
    ("date_add", {"base_date": "2024-12-31", "days": 1}, {"date": "2025-01-01"}),
    ("day_of_week", {"date_str": "2026-12-25"}, {"weekday": "Friday", "week": 52, "day_of_year": 359}),
    ("day_of_week", {"date_str": "2021-01-01"}, {"weekday": "Friday", "week": 53, "day_of_year": 1}),
    *(("unit_convert", {"value": value, "from_unit": old, "to_unit": new}, {"value": result})
      for value, old, new, result in (
        (100, "km/h", "m/s", "27.7777777778"), (1, "mile", "km", "1.609344"), (5, "lb", "kg", "2.26796185"),
        (1, "GiB", "MB", "1073.741824"), (1, "kWh", "J", 3_600_000), (1, "gallon", "l", "3.785411784"))),
    ("statistics_calc", {"data": "1,2,3,4,5,6,7,8,9,10"}, {"mean": "5.5", "median": "5.5", "stdev": "3.0276503541"}),
    ("statistics_calc", {"data": "2,4,4,4,5,5,7,9", "operations": "mean,median,stdev,variance,mode"},
     {"mean": 5, "median": "4.5", "stdev": "2.1380899353", "variance": "4.57142857143", "mode": 4}),
    ("statistics_calc", {"data": "7", "operations": "stdev"}, {"stdev": 0}),
    ("hash_text", {"text": "hello world"}, "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"),
    ("hash_text", {"text": ""}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("hash_text", {"text": "Hello World", "algorithm": "md5"}, "b10a8db164e0754105b7a99be72e3fe5"),
    ("base64_codec", {"text": "Hello World"}, "SGVsbG8gV29ybGQ="),
    ("base64_codec", {"text": "hello"}, "aGVsbG8="),
    ("base64_codec", {"text": "Grüße"}, "R3LDvMOfZQ=="),
    ("base64_codec", {"text": "R3LDvMOfZQ==", "mode": "decode"}, "Grüße"),
    ("regex_extract", {"pattern": r"\d{4}-\d{2}-\d{2}", "text": "Date: 2026-03-29 and 2025-12-31"},
     {"count": 2, "matches": ["2026-03-29", "2025-12-31"]}),
    ("subnet_calc", {"cidr": "192.168.1.0/24"},
     {"broadcast": "192.168.1.255", "netmask": "255.255.255.0", "hosts": 254, "first_host": "192.168.1.1",
      "last_host": "192.168.1.254"}),
    ("subnet_calc", {"cidr": "10.0.0.5/22"}, {"cidr": "10.0.0.0/22", "broadcast": "10.0.3.255", "hosts": 1022}),
    ("subnet_calc", {"cidr": "172.20.128.0/19"}, {"hosts": 8190}),
    ("subnet_calc", {"cidr": "10.42.155.160/27"}, {"hosts": 30}),
    ("subnet_calc", {"cidr": "10.0.0.0/31"}, {"hosts": 2}),
    ("subnet_calc", {"cidr": "10.0.0.1/32"}, {"hosts": 1}),
    ("prime_factorize", {"n": 360}, {"factors": [{"prime": 2, "power": 3}, {"prime": 3, "power": 2},
                                                 {"prime": 5, "power": 1}], "is_prime": False}),
    ("prime_factorize", {"n": 97}, {"is_prime": True}),
    ("prime_factorize", {"n": 2**67 - 1}, {"factors": [{"prime": 193707721, "power": 1},
                                                       {"prime": 761838257287, "power": 1}]}),
    ("gcd_lcm", {"a": 48, "b": 18}, {"gcd": 6, "lcm": 144}),
    ("gcd_lcm", {"a": 391, "b": 299}, {"gcd": 23, "lcm": 5083}),
    ("gcd_lcm", {"a": -4, "b": 6}, {"gcd": 2, "lcm": 12}),
    ("gcd_lcm", {"a": 0, "b": 0}, {"gcd": 0, "lcm": 0}),
    ("json_query", {"json_str": '{"user": {"name": "Alice"}}', "path": "user.name"}, "Alice"),
    ("json_query", {"json_str": '{"a": [{"b": 1}, {"b": 2}]}', "path": "a[1].b"}, 2),
    ("json_query", {"json_str": '{"users": [{"name": "A"}]}', "path": "users[0].name"}, "A"),
    ("json_query", {"json_str": "[1, 2, 3]", "path": "[1]"}, 2),
    ("roman_numeral", {"value": "2026"}, "MMXXVI"), ("roman_numeral", {"value": "MMXXVI"}, 2026),
    ("roman_numeral", {"value": "XIV"}, 14), ("roman_numeral", {"value": "1994"}, "MCMXCIV"),
    ("text_analyze", {"text": "One two two.\n\nThree!"},
     {"words": 4, "unique_words": 3, "characters": 20, "sentences": 2, "paragraphs": 2}),
]
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("calculate", {"expression": "1/0"}), ("calculate", {"expression": "import os"}),
    ("calculate", {"expression": "(1).real"}), ("day_of_week", {"date_str": "2023-02-29"}),
    ("unit_convert", {"value": 1, "from_unit": "kg", "to_unit": "m"}),
    ("base64_codec", {"text": "aGVsbG8", "mode": "decode"}), ("regex_extract", {"pattern": "(", "text": "x"}),
    ("subnet_calc", {"cidr": "300.1.1.1/24"}), ("prime_factorize", {"n": 1}), ("prime_factorize", {"n": 0}),
    ("roman_numeral", {"value": "0"}), ("roman_numeral", {"value": "4000"}),
]


@pytest.mark.parametrize(("name", "arguments", "result"), EXAMPLES)
def test_what_is_answered_elsewhere_is_answered_here(
    name: str, arguments: dict[str, Any], result: Any, box: Toolbox,
) -> None:
    found = ask(box, name, **arguments)
    assert fits(result, found), found


@pytest.mark.parametrize(("name", "arguments"), REFUSED)
def test_what_has_no_answer_is_an_error(name: str, arguments: dict[str, Any], box: Toolbox) -> None:
    with pytest.raises(ToolError):
        ask(box, name, **arguments)


@pytest.mark.parametrize("tool", [("solve_equation", "equation"), ("calculate", "expression")])
def test_fault_1_an_equation_runs_code(tool: tuple[str, str], box: Toolbox) -> None:
    name, argument = tool
    for text in ('x - __import__("os").getpid()', '__import__("os").getpid() + x', "x = open('/etc/passwd').read()",
                 "exec('1') = x", "().__class__ = x", "x = (lambda: 1)()"):
        with pytest.raises(ToolError) as caught:
            ask(box, name, **{argument: text})
        assert str(os.getpid()) not in str(caught.value)


@pytest.mark.parametrize(("value", "old", "new", "result"), [
    (212, "degF", "degC", 100), (100, "°C", "°F", 212), (37, "celsius", "fahrenheit", "98.6"),
    (0, "K", "degC", "-273.15"),
    (-40, "C", "F", -40), (98.6, "F", "C", 37), (25, "Grad Celsius", "K", "298.15"),
])
def test_fault_2_temperatures_are_never_converted(
    value: float, old: str, new: str, result: Any, box: Toolbox,
) -> None:
    assert ask(box, "unit_convert", value=value, from_unit=old, to_unit=new)["value"] == result


def test_fault_2_every_conversion_reads_all_units_anew(box: Toolbox) -> None:
    ask(box, "unit_convert", value=1, from_unit="furlong", to_unit="m")
    begun = time.process_time()
    for value in range(100):
        ask(box, "unit_convert", value=value, from_unit="furlong", to_unit="m")
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(("cidr", "first", "last", "hosts"), [
    ("10.0.0.0/8", "10.0.0.1", "10.255.255.254", 16_777_214),
    ("2001:db8::/64", "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff", "18446744073709551616"),
    ("0.0.0.0/0", "0.0.0.1", "255.255.255.254", 4_294_967_294),
    ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", str(2**128)),
])
def test_fault_3_a_large_subnet_takes_all_time_and_memory(
    cidr: str, first: str, last: str, hosts: int | str, box: Toolbox,
) -> None:
    begun = time.process_time()
    found = ask(box, "subnet_calc", cidr=cidr)
    assert time.process_time() - begun < 0.1
    assert (found["first_host"], found["last_host"], found["hosts"]) == (first, last, hosts)


def test_fault_4_a_tower_of_powers_hangs(box: Toolbox) -> None:
    begun = time.process_time()
    with pytest.raises(ToolError, match="digits"):
        ask(box, "calculate", expression="9**9**9")
    assert time.process_time() - begun < 0.1


def test_fault_4_a_pattern_that_backtracks_hangs(box: Toolbox) -> None:
    assert ask(box, "regex_extract", pattern="(a+)+$", text="a" * 40 + "b") == {"count": 0, "matches": []}
    begun = time.monotonic()
    with pytest.raises(ToolTimeout):
        ask(box, "regex_extract", pattern="(x+x+)+y", text="x" * 5_000)
    assert time.monotonic() - begun < 2


def test_fault_4_a_slow_call_blocks_every_other(box: Toolbox) -> None:
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(ToolTimeout):
            ask(box, "regex_extract", pattern="(x+x+)+y", text="x" * 5_000)
        ended.set()

    slow = threading.Thread(target=wait)
    slow.start()
    for number in range(1, 50):
        assert ask(box, "calculate", expression=f"{number}+1") == str(number + 1)
    assert not ended.is_set()
    slow.join()


@pytest.mark.parametrize(("expression", "result"), [
    ("1e308*10", "1" + "0" * 309), ("2^10", "1024"), ("+5", "5"), ("2pi", "6.28318530718"), ("2(3+4)", "14"),
    ("10**400/3", "3.33333333333E+399"), ("200 + 10%", "220"), ("(1+2)(3+4)", "21"), ("max(1;2)", "2"),
    ("15 % von 239,99", "35.9985"), ("1.234,5 * 2", "2469"),
])
def test_fault_4_sums_that_fail_or_come_out_wrong(expression: str, result: str, box: Toolbox) -> None:
    assert ask(box, "calculate", expression=expression) == result


@pytest.mark.parametrize("expression", ['"a"*10', "max()", "2x", "[1]*9", "'a'+'b'"])
def test_fault_4_what_is_no_sum_is_evaluated(expression: str, box: Toolbox) -> None:
    with pytest.raises(ToolError):
        ask(box, "calculate", expression=expression)


def test_fault_5_complex_and_irrational_roots_are_lost(box: Toolbox) -> None:
    assert ask(box, "solve_equation", equation="x^2 + 1 = 0")["solutions"] == ["-i", "i"]
    found = ask(box, "solve_equation", equation="x^5 - x - 1 = 0")["solutions"]
    assert found[0] == "1.16730397826" and len(found) == 5
    assert len(ask(box, "solve_equation", equation="x^3 = 8")["solutions"]) == 3


@pytest.mark.parametrize("value", ["IIII", "IC", "VX", "", "IIV", "MMMM", "XM", "VV", "iiii"])
def test_fault_6_roman_numerals_in_wrong_form_are_read(value: str, box: Toolbox) -> None:
    with pytest.raises(ToolError):
        ask(box, "roman_numeral", value=value)


@pytest.mark.parametrize(("path", "result"), [
    ("$..b", [1, 2]), ("a[*].b", [1, 2]), ("m[0][1]", 2), ("foo-bar", 3), ("$['foo-bar']", 3), ("m[*][0]", [1, 3]),
    ("a[?@.b > 1].b", [2]), ("m[-1][0]", 3), ("", {"a": [{"b": 1}, {"b": 2}], "m": [[1, 2], [3, 4]], "foo-bar": 3}),
])
def test_fault_7_paths_beyond_the_simplest_fail(path: str, result: Any, box: Toolbox) -> None:
    document = '{"a": [{"b": 1}, {"b": 2}], "m": [[1, 2], [3, 4]], "foo-bar": 3}'
    assert ask(box, "json_query", json_str=document, path=path) == result


@pytest.mark.parametrize(("text", "sentences"), [
    ("Pi is about 3.14 and no more.", 1), ("Take a fruit, e.g. an apple.", 1), ("Wait... what?", 1),
    ("It costs 3.50. Really? Yes!", 3), ("z. B. heute. Und morgen.", 2),
])
def test_fault_8_points_that_end_nothing_are_counted_as_sentences(text: str, sentences: int, box: Toolbox) -> None:
    assert ask(box, "text_analyze", text=text)["sentences"] == sentences


def test_fault_9_an_unknown_operation_is_left_out_in_silence(box: Toolbox) -> None:
    with pytest.raises(ToolError, match="'avrage'"):
        ask(box, "statistics_calc", data="1,2,3", operations="mean,avrage")


def test_fault_9_a_list_with_semicolons_fails(box: Toolbox) -> None:
    assert ask(box, "statistics_calc", data="1;2;3", operations="mean,sum") == {"mean": 2, "sum": 6}


def test_fault_9_a_count_is_no_whole_number(box: Toolbox) -> None:
    count = ask(box, "statistics_calc", data="1.5,2.5", operations="count")["count"]
    assert count == 2 and type(count) is int


@pytest.mark.parametrize("written", ["29.03.2026", "29.3.2026", "March 29, 2026", "29. März 2026",
                                     "29 de marzo de 2026",
                                     "2026/03/29"])
def test_fault_10_dates_are_read_in_one_form_only(written: str, box: Toolbox) -> None:
    assert ask(box, "day_of_week", date_str=written)["date"] == "2026-03-29"
    assert ask(box, "date_diff", date1=written, date2="2026-03-30")["days"] == 1
    assert ask(box, "date_add", base_date=written, days=1)["date"] == "2026-03-30"


def test_wrong_arguments_are_named_one_by_one(box: Toolbox) -> None:
    with pytest.raises(BadArguments) as caught:
        ask(box, "gcd_lcm", a="x", operation="product", c=1)
    assert [path for path, _ in caught.value.faults] == ["$.c", "$.a", "$.b", "$.operation"]
