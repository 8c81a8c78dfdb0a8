"""Amounts of one unit in another."""

from __future__ import annotations

import subprocess
import sys
import time
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.errors import ToolError
from moe.tools.base import Setting
from moe.tools.units import registry
from moe.tools.units.conversion import unit_convert
from moe.tools.units.names import find_names

GERMAN = Setting(language="de")
SPANISH = Setting(language="es")
LENGTHS = ["m", "km", "cm", "mm", "in", "ft", "yd", "mi", "nmi"]


def convert(value: Any, source: str, target: str) -> Any:
    return unit_convert(value, source, target).result["value"]


@pytest.mark.parametrize(("value", "source", "target", "result"), [
    (100, "km/h", "m/s", "27.7777777778"),
    (1, "mile", "km", "1.609344"),
    (5, "lb", "kg", "2.26796185"),
    (1, "GiB", "MB", "1073.741824"),
    (1, "kWh", "J", 3600000),
    (1, "gallon", "l", "3.785411784"),
])
def test_the_examples_of_the_reference(value: float, source: str, target: str, result: Any) -> None:
    assert convert(value, source, target) == result


@pytest.mark.parametrize(("value", "source", "target", "result"), [
    (212, "degF", "degC", 100), (0, "°C", "°F", 32), (100, "celsius", "fahrenheit", 212), ("98.6", "F", "C", 37),
    (-40, "C", "F", -40), (0, "C", "K", "273.15"), (25, "Grad Celsius", "kelvin", "298.15"),
    (0, "K", "°F", "-459.67"),
])
def test_bug_2_temperatures_have_offsets_and_c_and_f_mean_them(
    value: float, source: str, target: str, result: Any
) -> None:
    assert convert(value, source, target) == result


def test_bug_2_the_registry_is_made_once() -> None:
    convert(1, "m", "ft")
    made = registry._registry()
    begin = time.process_time()
    for number in range(20):
        convert(number, "km", "mi")
    assert registry._registry() is made
    assert time.process_time() - begin < 0.3


def test_pint_is_not_imported_before_it_is_needed() -> None:
    code = "import moe.tools.units.conversion, sys; print('pint' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


@pytest.mark.parametrize(("value", "source", "target", "result"), [
    ("5 ft 11 in", "", "cm", "180.34"), ("5'11\"", "", "cm", "180.34"), ("5 ft 11 in", "ft", "m", "1.8034"),
    ("1 h 30 min", "", "min", 90), ("2 lb 8 oz", "lb oz", "oz", 40), ("5 feet and 11 inches", "", "cm", "180.34"),
    ("-1 h 30 min", "", "min", -90), ("5 Fuß 11 Zoll", "", "cm", "180.34"),
    ("5 pies y 11 pulgadas", "", "cm", "180.34"),
])
def test_an_amount_may_have_several_units(value: str, source: str, target: str, result: Any) -> None:
    assert convert(value, source, target) == result


def test_an_amount_is_shared_among_several_units() -> None:
    outcome = unit_convert("180.34", "cm", "ft in")
    assert outcome.result["parts"] == [{"value": 5, "unit": "ft"}, {"value": 11, "unit": "in"}]
    assert outcome.text == "180.34 cm = 5 ft 11 in"
    assert unit_convert(3725, "s", "Stunden, Minuten und Sekunden", setting=GERMAN).text == "3725 s = 1 h 2 min 5 s"
    assert unit_convert(-90, "min", "h min").text == "-90 min = -1 h 30 min"


@pytest.mark.parametrize(("value", "source", "target", "result"), [
    (1, "GB", "GiB", "0.931322574615478515625"), (1, "MiB", "KiB", 1024), (1, "MB", "kB", 1000), (8, "bit", "B", 1),
    (100, "Mbps", "MB/s", "12.5"), (1, "gb", "mb", 1000), (1, "Gb", "Mb", 1000), (1, "TiB", "GB", "1099.511627776"),
])
def test_data_sizes_are_decimal_or_binary(value: float, source: str, target: str, result: Any) -> None:
    assert convert(value, source, target) == result


@pytest.mark.parametrize(("value", "source", "target", "digits"), [
    (30, "mpg", "L/100km", "7.84048"), ("7,84", "Liter auf 100 km", "mpg", "30.00"), (5, "l/100km", "km/l", "20"),
    (40, "uk mpg", "l/100km", "7.062"), (6, "litros a los 100 km", "mpg", "39.2024"),
])
def test_fuel_economy_turns_over(value: Any, source: str, target: str, digits: str) -> None:
    assert str(unit_convert(value, source, target, setting=GERMAN).result["value"]).startswith(digits)


@pytest.mark.parametrize(("source", "target", "first", "second"), [
    ("kg", "m", "mass", "length"), ("GB", "s", "data size", "time"), ("°C", "km", "temperature", "length"),
    ("km/h", "MB/s", "speed", "data rate"), ("L/100km", "kg", "fuel economy", "mass"), ("rad", "bit", "angle", "data"),
    ("kWh", "kW", "energy", "power"), ("m²", "m", "area", "length"),
])
def test_an_error_names_both_dimensions(source: str, target: str, first: str, second: str) -> None:
    with pytest.raises(ToolError, match=rf"\({first}.*\({second}"):
        convert(1, source, target)


@pytest.mark.parametrize(("value", "source", "target", "message"), [
    (1, "parrots", "m", "'parrots' is not a unit"), (1, "", "m", "unit is missing"), (-300, "°C", "K", "absolute zero"),
    (0, "mpg", "L/100km", "no counterpart"), (float("nan"), "m", "km", "not a finite"), ("1e9999", "m", "km", "too"),
    ("１", "m", "km", "not a number"), (5, "Pfund", "kg", "say which"), ("11 in 5 ft", "", "cm", "large to small"),
    ("5 ft 3 kg", "", "cm", "cannot convert"), (1, "m^99", "m", "not a unit"), (1, "km^9*km^9", "m", "cannot convert"),
    (1, "__import__('os')", "m", "not a unit"), (1, "m" * 1000, "m", "more than"), (10**400, "m", "km", "too large"),
    ("", "m", "km", "not a number"), ("abc", "m", "km", "neither"), ("1" * 1_000_000, "m", "km", "digits"),
])
def test_what_has_no_answer_is_said(value: Any, source: str, target: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        convert(value, source, target)


def test_the_sentence_is_in_the_language_asked_for() -> None:
    assert unit_convert("2,5", "Kilometer", "Meter", setting=GERMAN).text == "2,5 km = 2500 m"
    assert unit_convert("2,5", "millas", "kilómetros", setting=SPANISH).text == "2,5 mi = 4,02336 km"
    assert unit_convert(100, "km/h", "m/s").steps == ("1 km/h ≈ 0.277777777778 m/s",)


@pytest.mark.parametrize(("text", "symbol"), [
    ("Quadratmeter", ""), ("kilómetros", "km"), ("Zentimeter", "cm"), ("MW", "MW"), ("mW", "mW"), ("KM", "km"),
    ("µm", "µm"), ("M", ""), ("mS", ""), ("Meilen", "mi"), ("Pulgadas", "in"),
])
def test_names_are_found_in_three_languages(text: str, symbol: str) -> None:
    assert [name.shown for name in find_names(text)] == ([symbol] if symbol else [])


@settings(max_examples=60, deadline=None)
@given(st.decimals(min_value=Decimal("-1e9"), max_value=Decimal("1e9"), places=4), st.sampled_from(LENGTHS),
       st.sampled_from(LENGTHS))
def test_there_and_back_is_the_same(value: Decimal, one: str, other: str) -> None:
    there = convert(str(value), one, other)
    back = Fraction(str(convert(str(there), other, one)))
    assert abs(back - Fraction(value)) <= abs(Fraction(value)) / 10**10


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=30), st.floats(), st.integers()), st.text(max_size=20), st.text(max_size=20))
def test_nothing_but_a_tool_error_is_raised(value: Any, source: str, target: str) -> None:
    for units in ((source, target), ("km", target), (source, "km"), ("km", "mi")):
        try:
            assert unit_convert(value, *units).text
        except ToolError:
            continue


@pytest.mark.parametrize("text", ["m " * 500_000, "1 m " * 250_000, " " * 1_000_000, "m/" * 500_000, "\0\ud800" * 1000])
def test_long_and_strange_inputs_end_soon(text: str) -> None:
    begin = time.process_time()
    for arguments in ((text, "", "m"), (1, text, "m"), (1, "m", text)):
        with pytest.raises(ToolError):
            unit_convert(*arguments)
    assert time.process_time() - begin < 1


@pytest.mark.parametrize("unit", ["EUR", "€", "$", "dollars", "euro", "USD", "pesos", "£", "Franken"])
def test_money_is_refused_as_money(unit: str) -> None:
    with pytest.raises(ToolError, match="rates of exchange"):
        unit_convert(1, unit, "kg")


@pytest.mark.parametrize("unit", ["ton", "tons", "Pfund", "Calories", "ML", "MS", "Mg"])
def test_a_unit_of_two_sizes_must_be_told_apart(unit: str) -> None:
    with pytest.raises(ToolError, match="say which"):
        unit_convert(1, unit, "kg")


@pytest.mark.parametrize(("source", "target", "result"), [
    ("short ton", "kg", "907.18474"), ("long ton", "kg", "1016.0469088"), ("imperial pint", "ml", "568.26125"),
    ("ft lb", "J", "1.3558179483314004"), ("m**2", "cm**2", 10_000), ("MV", "V", 1_000_000), ("m²", "cm^2", 10_000),
])
def test_more_units_that_people_ask_for(source: str, target: str, result: Any) -> None:
    assert unit_convert(1, source, target).result["value"] == result
