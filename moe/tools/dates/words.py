"""What months, days of the week and certain days are called in English, German and Spanish, in small letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def _number(rows: Sequence[str]) -> dict[str, int]:
    return {name: number for number, row in enumerate(rows, 1) for name in row.split()}


MONTHS: Mapping[str, int] = _number((
    "january jan januar jänner enero ene", "february feb februar feber febrero", "march mar märz mär mrz marzo",
    "april apr abril abr", "may mai mayo", "june jun juni junio", "july jul juli julio", "august aug agosto ago",
    "september sep sept septiembre setiembre", "october oct oktober okt octubre", "november nov noviembre",
    "december dec dezember dez diciembre dic",
))
WEEKDAYS: Mapping[str, int] = _number((
    "monday mon montag lunes", "tuesday tue tues dienstag martes", "wednesday wed mittwoch miércoles miercoles",
    "thursday thu thur thurs donnerstag jueves", "friday fri freitag viernes",
    "saturday sat samstag sonnabend sábado sabado", "sunday sun sonntag domingo",
))
# Days from today.
NEAR: Mapping[str, int] = {
    "today": 0, "tomorrow": 1, "yesterday": -1, "the day after tomorrow": 2, "day after tomorrow": 2,
    "the day before yesterday": -2, "day before yesterday": -2,
    "heute": 0, "morgen": 1, "gestern": -1, "übermorgen": 2, "vorgestern": -2,
    "hoy": 0, "mañana": 1, "ayer": -1, "pasado mañana": 2, "anteayer": -2, "antier": -2,
}
# Month and day of what falls on the same day each year and is called so by everybody who uses the word.
FEASTS: Mapping[str, tuple[int, int]] = {
    "christmas eve": (12, 24), "christmas": (12, 25), "christmas day": (12, 25), "new year's eve": (12, 31),
    "new years eve": (12, 31), "new year's day": (1, 1), "halloween": (10, 31), "valentine's day": (2, 14),
    "heiligabend": (12, 24), "silvester": (12, 31), "neujahr": (1, 1),
    "nochebuena": (12, 24), "navidad": (12, 25), "nochevieja": (12, 31), "año nuevo": (1, 1),
}
NEXT = frozenset({"next", "coming", "nächsten", "nächster", "nächste", "nächstem", "kommenden", "kommender", "kommende",
                  "próximo"})
LAST = frozenset({"last", "past", "letzten", "letzter", "letzte", "letztem", "vergangenen", "vergangener", "pasado"})
