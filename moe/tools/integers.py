"""Tools for whole numbers: prime factors, common divisors, Roman numerals."""

from __future__ import annotations

import math
import re
import time
from typing import Literal

from ..errors import ToolError, ToolTimeout
from .base import Outcome, Setting, tool
from .numbers import exact

MOST_DIGITS = 400
# What is tried here before the solver is asked: trial division, then Pollard's rho for so long.
SMALL = 2_000
HERE_S = 0.15
# Miller and Rabin's test is a proof below this with the first 13 primes, by Sorenson and Webster.
PROVEN = 3_317_044_064_679_887_385_961_981
WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
LARGEST_ROMAN = 3_999

_ROMAN = ((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"),
          (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))
_CANONICAL = re.compile(r"(M{0,3})(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
_COMPOSITE = {"en": "{n} is not a prime number", "de": "{n} ist keine Primzahl", "es": "{n} no es un número primo"}
_PRIME = {"en": "{n} is a prime number", "de": "{n} ist eine Primzahl", "es": "{n} es un número primo"}
_GCD = {"en": "the greatest common divisor of {a} and {b} is {gcd}", "de": "der größte gemeinsame Teiler von {a} und "
        "{b} ist {gcd}", "es": "el máximo común divisor de {a} y {b} es {gcd}"}
_LCM = {"en": "the least common multiple of {a} and {b} is {lcm}", "de": "das kleinste gemeinsame Vielfache von {a} "
        "und {b} ist {lcm}", "es": "el mínimo común múltiplo de {a} y {b} es {lcm}"}
_BOTH = {"en": "{gcd}, and {lcm}", "de": "{gcd}, und {lcm}", "es": "{gcd}, y {lcm}"}


@tool("algebra")
def prime_factorize(n: int, *, setting: Setting) -> Outcome:
    """Splits a whole number into its prime factors, and so tells whether it is prime: 360 = 2^3 × 3^2 × 5.

    n: a whole number of at least 2
    """
    if n < 2:
        raise ToolError("only whole numbers from 2 on have prime factors")
    if n >= 10**MOST_DIGITS:
        raise ToolError(f"a number of more than {MOST_DIGITS} digits")
    factors = factorize(n, setting)
    is_prime = factors == {n: 1}
    written = " × ".join(str(prime) if power == 1 else f"{prime}^{power}" for prime, power in factors.items())
    told = (_PRIME if is_prime else _COMPOSITE)[setting.language].format(n=n)
    result = {"factors": [{"prime": exact(prime), "power": power} for prime, power in factors.items()],
              "is_prime": is_prime}
    return Outcome(result=result, text=told) if is_prime else Outcome(
        result=result, text=f"{n} = {written}", steps=(told,))


def factorize(n: int, setting: Setting) -> dict[int, int]:
    """Each prime with its power, upwards. Raises ToolTimeout where that takes too long."""
    factors: dict[int, int] = {}
    for prime in (2, *range(3, SMALL, 2)):
        while n % prime == 0:
            factors[prime] = factors.get(prime, 0) + 1
            n //= prime
    deadline = time.monotonic() + HERE_S
    rest = [n] if n > 1 else []
    while rest:
        number = rest.pop()
        divisor = number if number < SMALL**2 or _is_prime(number) else _divide(number, deadline)
        if divisor is None:
            for prime, power in _ask(number * math.prod(rest), setting).items():
                factors[prime] = factors.get(prime, 0) + power
            break
        elif divisor == number:
            factors[number] = factors.get(number, 0) + 1
        else:
            rest += [divisor, number // divisor]
    return dict(sorted(factors.items()))


def _is_prime(n: int) -> bool | None:
    """None where it can be said only in all likelihood."""
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for witness in WITNESSES:
        power = pow(witness, odd, n)
        if power in (1, n - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % n
            if power == n - 1:
                break
        else:
            return False
    return True if n < PROVEN else None


def _divide(n: int, deadline: float) -> int | None:
    """A divisor by Pollard's rho in Brent's manner; None where none is found in time, or `n` may be prime."""
    if _is_prime(n) is None:
        return None
    for step in range(1, 20):
        slow = fast = 2
        product, count = 1, 0
        while True:
            slow = (slow * slow + step) % n
            fast = (fast * fast + step) % n
            fast = (fast * fast + step) % n
            product = product * abs(slow - fast) % n
            count += 1
            if count % 64 == 0 or product == 0:
                if product == 0:
                    break
                divisor = math.gcd(product, n)
                if 1 < divisor < n:
                    return divisor
                if time.monotonic() > deadline:
                    return None
    return None


def _ask(n: int, setting: Setting) -> dict[int, int]:
    if setting.solver is None:
        raise ToolTimeout("this number is too large to be split into its factors here")
    found = setting.solver.solve("factorize", {"number": str(n)})
    factors = {int(prime): int(power) for prime, power in found}
    if math.prod(prime**power for prime, power in factors.items()) != n:
        raise ToolError("the factors that were found do not stand the test")
    return factors


@tool("algebra")
def gcd_lcm(a: int, b: int, operation: Literal["both", "gcd", "lcm"] = "both", *, setting: Setting) -> Outcome:
    """Finds the greatest common divisor and the least common multiple of two whole numbers: 6 and 144 for 48 and 18.

    a: a whole number
    b: a whole number
    operation: which of the two is wanted
    """
    if max(abs(a), abs(b)) >= 10**MOST_DIGITS:
        raise ToolError(f"a number of more than {MOST_DIGITS} digits")
    values = {"gcd": math.gcd(a, b), "lcm": math.lcm(a, b)}
    told = {"gcd": _GCD[setting.language].format(a=a, b=b, **values),
            "lcm": _LCM[setting.language].format(a=a, b=b, **values)}
    text = told[operation] if operation != "both" else _BOTH[setting.language].format(**told)
    result = {name: exact(value) for name, value in values.items() if operation in ("both", name)}
    return Outcome(result=result, text=text[0].upper() + text[1:])


@tool("algebra")
def roman_numeral(value: str, *, setting: Setting) -> Outcome:
    """Writes a number from 1 to 3999 in Roman numerals, or reads Roman numerals: 2026 is MMXXVI.

    value: a number in digits, or Roman numerals in their one right form
    """
    text = value.strip() if len(value) < 40 else value[:40]
    if text.isascii() and text.isdigit():
        number = int(text)
        if not 1 <= number <= LARGEST_ROMAN:
            raise ToolError(f"only 1 to {LARGEST_ROMAN} can be written in Roman numerals")
        roman = write_roman(number)
        return Outcome(result=roman, text=f"{number} = {roman}")
    found = read_roman(text)
    return Outcome(result=found, text=f"{text.upper()} = {found}")


def write_roman(number: int) -> str:
    written = ""
    for size, letters in _ROMAN:
        count, number = divmod(number, size)
        written += letters * count
    return written


def read_roman(text: str) -> int:
    """Raises ToolError for what is not the one way to write a number."""
    letters = text.upper()
    if not text or not text.isascii() or not _CANONICAL.fullmatch(letters):
        raise ToolError(f"{ascii(text)} is no number from 1 to {LARGEST_ROMAN} and no Roman numeral in its right form")
    number, place = 0, 0
    for size, sign in _ROMAN:
        while letters.startswith(sign, place):
            number += size
            place += len(sign)
    return number
