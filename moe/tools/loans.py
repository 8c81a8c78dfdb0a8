"""loan_payment: what a loan with equal monthly payments costs, in decimals."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

from ..errors import ToolError
from .base import Language, Outcome, Setting, tool
from .numbers import decimal_text, localise, read_number

LARGEST = 10**15
HIGHEST_RATE = 1_000
LOWEST_RATE = Fraction(1, 1_000_000)
MOST_MONTHS = 1_200

_CONTEXT = Context(prec=60)
_CENT = Decimal("0.01")
_TEXTS = {
    "en": "{principal} at {rate}% a year for {months}: {payment} a month, {interest} interest in total",
    "de": "{principal} zu {rate} % im Jahr über {months}: {payment} im Monat, {interest} Zinsen insgesamt",
    "es": "{principal} al {rate} % anual durante {months}: {payment} al mes, {interest} de intereses en total",
}
_ROUNDED = {
    "en": "totals from the payment before it is rounded to cents",
    "de": "Summen mit der Rate gerechnet, bevor sie auf Cent gerundet wird",
    "es": "totales calculados con la cuota antes de redondearla a céntimos",
}
_STEPS = {
    "en": "payment = {sum} * i / (1 - (1 + i)^-{months}) with i = {rate} / 1200",
    "de": "Rate = {sum} * i / (1 - (1 + i)^-{months}) mit i = {rate} / 1200",
    "es": "cuota = {sum} * i / (1 - (1 + i)^-{months}) con i = {rate} / 1200",
}
_WITHOUT_INTEREST = {"en": "payment = {sum} / {months}", "de": "Rate = {sum} / {months}",
                     "es": "cuota = {sum} / {months}"}
_MONTHS = {"en": ("1 month", "{} months"), "de": ("1 Monat", "{} Monate"), "es": ("1 mes", "{} meses")}


@tool("measures")
def loan_payment(
    principal: int | float | str, annual_rate: int | float | str, years: int | float | str = 0, months: int = 0, *,
    setting: Setting,
) -> Outcome:
    """The equal monthly payment of a loan, the interest in total and all that is paid back, for example 200000 at 6 %
    for 30 years. Interest is charged monthly, at a twelfth of the annual rate.

    principal: the sum that is lent
    annual_rate: nominal interest a year in percent: 4.5 means 4.5 %
    years: how long it runs; years and months are added
    months: how long it runs
    """
    lent = _read(principal, "principal", setting.language)
    rate = _read(_cut_percent(annual_rate), "annual_rate", setting.language)
    count = _read(years, "years", setting.language) * 12 + months
    if lent * 100 < 1 or lent > LARGEST:
        raise ToolError("the principal lies between 0.01 and 10^15")
    if not 0 <= rate <= HIGHEST_RATE or 0 < rate < LOWEST_RATE:
        raise ToolError(f"the annual rate lies between 0.000001 and {HIGHEST_RATE} percent, or is 0")
    if months < 0 or count.denominator != 1 or not 1 <= count <= MOST_MONTHS:
        raise ToolError(f"years and months together are 1 to {MOST_MONTHS} whole months")
    payment = _find_payment(lent, rate, int(count))
    paid = _CONTEXT.multiply(payment, Decimal(int(count)))
    interest = _CONTEXT.subtract(paid, _decimal(lent)) if rate else Decimal(0)
    money = {"payment": _money(payment), "total_paid": _money(paid), "total_interest": _money(interest)}
    shown = {"sum": localise(decimal_text(lent), setting.language), "months": int(count),
             "rate": localise(decimal_text(rate), setting.language)}
    text = _TEXTS[setting.language].format(
        principal=shown["sum"], rate=shown["rate"], months=_MONTHS[setting.language][count != 1].format(count),
        payment=localise(money["payment"], setting.language),
        interest=localise(money["total_interest"], setting.language))
    working = (_STEPS if rate else _WITHOUT_INTEREST)[setting.language].format_map(shown)
    return Outcome(result={**money, "months": int(count)}, text=text, steps=(working, _ROUNDED[setting.language]))


def _cut_percent(rate: int | float | str) -> int | float | str:
    return rate.strip().removesuffix("%").rstrip() if isinstance(rate, str) else rate


def _read(value: int | float | str, name: str, language: Language) -> Fraction:
    """Raises ToolError for what is no number, and for one that no loan has."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ToolError(f"{name} is not a finite number")
        return Fraction(str(value))
    if isinstance(value, str):
        if len(value) > 60:
            raise ToolError(f"{name} has more than 60 characters")
        number = read_number(value, language)
    else:
        number = Fraction(value)
    if number.denominator > LARGEST or abs(number) > LARGEST:
        raise ToolError(f"{name} has too many digits")
    return number


def _find_payment(lent: Fraction, rate: Fraction, months: int) -> Decimal:
    """Before it is rounded. As (1 + i)^months / ((1 + i)^months - 1): no small difference of near numbers."""
    if not rate:
        return _decimal(lent / months)
    monthly = _decimal(rate / 1_200)
    grown = _CONTEXT.power(_CONTEXT.add(1, monthly), months)
    share = _CONTEXT.divide(_CONTEXT.multiply(monthly, grown), _CONTEXT.subtract(grown, 1))
    return _CONTEXT.multiply(_decimal(lent), share)


def _decimal(number: Fraction) -> Decimal:
    return _CONTEXT.divide(Decimal(number.numerator), Decimal(number.denominator))


def _money(amount: Decimal) -> str:
    return f"{amount.quantize(_CENT, ROUND_HALF_UP, _CONTEXT):f}"
