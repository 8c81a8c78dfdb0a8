"""What units are called in three languages."""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from ..base import Language

# Symbol | what the registry calls it | English | German | Spanish.
_UNITS = """
in|inch|inch,inches|zoll|pulgada,pulgadas
ft|foot|foot,feet|fuß,fuss|pie,pies
yd|yard|yard,yards|yard,yards|yarda,yardas
mi|mile|mile,miles|meile,meilen|milla,millas
nmi|nautical_mile|nautical mile,nautical miles|seemeile,seemeilen|milla náutica,millas náuticas
ly|light_year|light year,light years,lightyear,lightyears|lichtjahr,lichtjahre,lichtjahren|año luz,años luz
au|astronomical_unit|astronomical unit,astronomical units|\
astronomische einheit,astronomische einheiten|
pc|parsec|parsec,parsecs|parsec|pársec
lb|pound|pound,pounds,lbs||libra,libras
oz|ounce|ounce,ounces|unze,unzen|onza,onzas
st|stone|stone,stones||
t|tonne|tonne,tonnes,metric ton,metric tons|tonne,tonnen|tonelada,toneladas
ct|carat|carat,carats|karat|quilate,quilates
s|second|second,seconds,sec,secs|sekunde,sekunden,sek|segundo,segundos
min|minute|minute,minutes,mins|minute,minuten|minuto,minutos
h|hour|hour,hours,hr,hrs|stunde,stunden,std|hora,horas
d|day|day,days|tag,tage,tagen|día,días,dia,dias
wk|week|week,weeks|woche,wochen|semana,semanas
a|year|year,years|jahr,jahre,jahren|año,años
°C|degC|degc,°c,celsius,degree celsius,degrees celsius,degrees c|\
grad celsius,grad c|grados celsius,grado celsius,grados c
°F|degF|degf,°f,fahrenheit,degree fahrenheit,degrees fahrenheit,degrees f|grad fahrenheit,grad f|grados fahrenheit
K|kelvin|kelvin,kelvins|kelvin|kelvin,kelvins
°R|degR|rankine,degrees rankine|grad rankine|grados rankine
ha|hectare|hectare,hectares|hektar|hectárea,hectáreas
ac|43560 foot^2|acre,acres|acre,acres|acre,acres
US gal|gallon|gallon,gallons,us gallon,us gallons|gallone,gallonen|galón,galones
imp gal|imperial_gallon|imperial gallon,imperial gallons,uk gallon,uk gallons|britische gallone,britische gallonen|\
galón imperial,galones imperiales
qt|quart|quart,quarts||
pt|pint|pint,pints||pinta,pintas
imp pt|imperial_pint|imperial pint,imperial pints,uk pint,uk pints||
imp fl oz|imperial_fluid_ounce|imperial fluid ounce,imperial fluid ounces,uk fluid ounce,uk fluid ounces||
short ton|short_ton|short ton,short tons,us ton,us tons||
long ton|long_ton|long ton,long tons,imperial ton,imperial tons,uk ton,uk tons||
cup|cup|cup,cups||
fl oz|fluid_ounce|fluid ounce,fluid ounces,floz|flüssigunze,flüssigunzen|onza líquida,onzas líquidas
tbsp|tablespoon|tablespoon,tablespoons||
tsp|teaspoon|teaspoon,teaspoons||
bbl|oil_barrel|oil barrel,oil barrels||
mph|mile/hour|mph,miles per hour|meilen pro stunde|millas por hora
km/h|kilometer/hour|kph,kmh,kmph|stundenkilometer,kmh|kmh
kn|knot|knot,knots,kt,kts|knoten|nudo,nudos
mpg (US)|mile/gallon|mpg,miles per gallon,mpg us|meilen pro gallone|millas por galón
mpg (imp)|mile/imperial_gallon|mpg uk,mpg imp,mpg imperial,uk mpg,imperial mpg,miles per imperial gallon||
L/100 km|0.01 liter/kilometer|l/100km,l/100 km,liters per 100 km,litres per 100 km,liters per 100 kilometers,\
litres per 100 kilometres|\
liter auf 100 km,liter pro 100 km,liter auf 100 kilometer,liter pro 100 kilometer|\
litros a los 100,litros cada 100 km,litros por 100 km,litros a los 100 km
psi|psi|psi,pounds per square inch||
atm|atm|atmosphere,atmospheres|atmosphäre,atmosphären|atmósfera,atmósferas
bar|bar|bar,bars|bar|bar,bares
mbar|millibar|millibar,millibars|millibar|milibar,milibares
mmHg|mmHg|||
Torr|torr|torr||
hp|horsepower|horsepower||
PS|metric_horsepower|metric horsepower|pferdestärke,pferdestärken|
BTU|Btu|btu,btus|btu|btu
°|degree|degree,degrees,deg|grad|grado,grados
rad|radian|radian,radians|radiant|radián,radianes
rpm|rpm|rpm||
Nm|newton*meter|newton meter,newton meters,newton metre,newton metres|newtonmeter|newton metro,newtons metro
ft·lbf|foot*pound_force|ft lb,ft lbs,ft lbf,ft-lb,ft-lbs,ft-lbf,lb ft,lb-ft,lbf ft,foot pound,foot pounds,\
foot-pound,foot-pounds||
lbf|pound_force|pound force||
kgf|kilogram_force|kilogram force||
"""
# The same, with prefixes: the last column are those that go with it.
_PREFIXED = """
m|meter|meter,meters,metre,metres|meter,metern|metro,metros|n µ m c d h k
g|gram|gram,grams,gramme,grammes,grm|gramm|gramo,gramos|n µ m c h k
s|second|second,seconds|sekunde,sekunden|segundo,segundos|n µ m
L|liter|liter,liters,litre,litres|liter,litern|litro,litros|µ m c d h
J|joule|joule,joules|joule|julio,julios|m k M G T
Wh|watt_hour|watt hour,watt hours,watt-hour,watt-hours|wattstunde,wattstunden|vatio hora,vatios hora|k M G T
cal|calorie|calorie,calories|kalorie,kalorien|caloría,calorías|k
eV|electron_volt|electronvolt,electronvolts|elektronenvolt|electronvoltio,electronvoltios|k M G T
W|watt|watt,watts|watt|vatio,vatios|µ m k M G T
Pa|pascal|pascal,pascals|pascal|pascal,pascales|m h k M G
N|newton|newton,newtons|newton|newton,newtons|m k M
Hz|hertz|hertz|hertz|hercio,hercios|m k M G T
V|volt|volt,volts|volt|voltio,voltios|µ m k M
A|ampere|ampere,amperes,amp,amps|ampere|amperio,amperios|n µ m k
Ω|ohm|ohm,ohms|ohm|ohmio,ohmios|m k M
B|byte|byte,bytes|byte,bytes|byte,bytes|k M G T P Ki Mi Gi Ti Pi
bit|bit|bit,bits|bit,bits|bit,bits|k M G T P Ki Mi Gi Ti Pi
"""
_PREFIXES = {
    "n": ("nano", "nano", "nano"), "µ": ("micro", "mikro", "micro"), "m": ("milli", "milli", "mili"),
    "c": ("centi", "zenti", "centi"), "d": ("deci", "dezi", "deci"), "h": ("hecto", "hekto", "hecto"),
    "k": ("kilo", "kilo", "kilo"), "M": ("mega", "mega", "mega"), "G": ("giga", "giga", "giga"),
    "T": ("tera", "tera", "tera"), "P": ("peta", "peta", "peta"), "Ki": ("kibi", "kibi", "kibi"),
    "Mi": ("mebi", "mebi", "mebi"), "Gi": ("gibi", "gibi", "gibi"), "Ti": ("tebi", "tebi", "tebi"),
    "Pi": ("pebi", "pebi", "pebi"),
}
# Other spellings of symbols, as they stand; several meanings are tried in this order.
_SPELLINGS = {
    "C": ("°C", "coulomb"), "F": ("°F", "farad"), "º": ("°",), "ºC": ("°C",), "ºF": ("°F",), "l": ("L",),
    "sec": ("s",), "Std": ("h",), "KB": ("kB",), "Kb": ("kbit",), "kb": ("kbit",), "Mb": ("Mbit",), "Gb": ("Gbit",),
    "KiB": ("KiB",), "oz": ("oz", "fl oz"), "ounce": ("oz", "fl oz"), "ounces": ("oz", "fl oz"), "um": ("µm",),
    "μm": ("µm",), "ug": ("µg",), "μg": ("µg",), "us": ("µs",), "μs": ("µs",), "'": ("ft",), "′": ("ft",),
    '"': ("in",), "″": ("in",), "”": ("in",), "’": ("ft",), "p": ("pint",), "b": ("bit",), "hrs": ("h",),
    "sqm": ("m²",), "qm": ("m²",), "sqft": ("ft²",), "sq ft": ("ft²",), "sqkm": ("km²",), "cc": ("cm³",),
    "cbm": ("m³",), "ccm": ("cm³",), "mps": ("m/s",), "fps": ("ft/s",), "kbps": ("kbit/s",), "Mbps": ("Mbit/s",),
    "Gbps": ("Gbit/s",), "MBps": ("MB/s",), "bps": ("bit/s",), "TB": ("TB",), "kWh": ("kWh",), "kwh": ("kWh",),
    "KWH": ("kWh",), "gal": ("US gal",), "mb": ("MB",), "gb": ("GB",), "tb": ("TB",), "kilo": ("kg",), "kilos": ("kg",),
    "Kilo": ("kg",), "mbps": ("Mbit/s",), "KPH": ("km/h",), "KMH": ("km/h",), "floz": ("fl oz",),
}
_SHOWN_SPELLINGS = {"coulomb": "coulomb", "farad": "farad", "pint": "pint"}
# Words that several units have: people must say which they mean.
UNCLEAR = {
    "pfund": "lb (0.45359237 kg) or 500 g",
    "zentner": "50 kg or 100 kg",
    "ton": "a short ton (907.18474 kg), a long ton (1016.0469088 kg) or a tonne (1000 kg)",
    "tons": "short tons (907.18474 kg), long tons (1016.0469088 kg) or tonnes (1000 kg)",
}
# The same in what is written so: capitals matter there.
UNCLEAR_AS_WRITTEN = {
    "Cal": "cal or kcal", "Calorie": "cal or kcal", "Calories": "cal or kcal", "ML": "mL or ML (1000000 L)",
    "MS": "ms or MS (1000000 s)", "MA": "mA or MA", "MG": "mg or Mg (1000 kg)",
    "Mg": "mg or Mg (1000 kg)", "Mm": "mm or Mm (1000000 m)", "Ms": "ms or Ms (1000000 s)",
    "Mbar": "mbar or Mbar (1000000 bar)", "Ml": "mL or ML (1000000 L)", "Tb": "TB or Tbit", "Pb": "PB or Pbit",
    "Kib": "KiB or Kibit", "Mib": "MiB or Mibit", "Gib": "GiB or Gibit", "Tib": "TiB or Tibit", "mwh": "mWh or MWh",
}
_MONEY = (
    "$ € £ ¥ ₹ eur usd gbp chf jpy cny inr mxn ars cop clp pen cad aud sek nok dkk pln czk brl try btc euro euros "
    "dollar dollars us-dollar cent cents yen yuan rupee rupees franken franc francs dólar dólares dolar dolares "
    "peso pesos sterling bitcoin"
)
CURRENCIES = frozenset(_MONEY.split())
# Known, but of no one agreed size, or not the one that is asked for: no question of these is answered unasked.
LOOSE = frozenset({"cup", "tbsp", "tsp", "pt", "qt", "a", "ct", "cal", "st", "fl oz", "bbl", "kt", "kbit", "p",
                   "b", "nm"})


class Name(Struct, frozen=True):
    """A unit of the table: `shown` is its symbol, `meaning` what the registry calls it."""

    shown: str
    meaning: str
    languages: frozenset[Language]


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[str, Name], dict[str, Name]]:
    """By symbol as it is written, and by word in small letters."""
    symbols: dict[str, Name] = {}
    words: dict[str, Name] = {}
    for line in _UNITS.strip().splitlines():
        symbol, meaning, *named = line.split("|")
        _enter(symbols, words, symbol, meaning, [names.split(",") for names in named])
    for line in _PREFIXED.strip().splitlines():
        symbol, meaning, *named, prefixes = line.split("|")
        _enter(symbols, words, symbol, meaning, [names.split(",") for names in named])
        for prefix in prefixes.split():
            long = [[_PREFIXES[prefix][place] + name for name in names.split(",")] for place, names in enumerate(named)]
            # The modern German spelling stands beside the international one: Zentimeter, Centimeter.
            long[1] += [_PREFIXES[prefix][0] + name for name in named[1].split(",")]
            if symbol == "m":
                long[2] += [_accent(_PREFIXES[prefix][2]) + name for name in named[2].split(",")]
            _enter(symbols, words, prefix + symbol, _PREFIXES[prefix][0] + meaning, long)
    return symbols, words


def _accent(prefix: str) -> str:
    """As in "kilómetro", where Spanish stresses the prefix."""
    return prefix[:-1] + {"a": "á", "i": "í", "o": "ó"}[prefix[-1]]


def _enter(
    symbols: dict[str, Name], words: dict[str, Name], symbol: str, meaning: str, named: list[list[str]]
) -> None:
    symbols.setdefault(symbol, Name(symbol, meaning, frozenset()))
    for language, names in zip(("en", "de", "es"), named, strict=True):
        for word in filter(None, names):
            known = words.get(word)
            spoken: frozenset[Language] = (known.languages if known else frozenset()) | {language}  # type: ignore[arg-type]
            words[word] = Name(symbol, known.meaning if known else meaning, spoken)


def find_names(text: str) -> tuple[Name, ...]:
    """What `text` may be called, the likeliest first; empty where the table has none."""
    symbols, words = _tables()
    if text in symbols and text not in _SPELLINGS:
        return (symbols[text],)
    if text in _SPELLINGS:
        return tuple(symbols.get(each) or Name(each, _SHOWN_SPELLINGS.get(each, each), frozenset())
                     for each in _SPELLINGS[text])
    small = text.lower()
    if small in words:
        return (words[small],)
    # "KM", "Mhz"; but "M" is not metre, nor "mS" millisecond.
    if len(text) < 2 or not (text.isupper() or text.islower() or text.istitle()):
        return ()
    same = [name for symbol, name in symbols.items() if symbol.lower() == small]
    return (same[0],) if len(same) == 1 else ()
