"""How figures, dates, quotations and limits are written in English, German and Spanish."""

from __future__ import annotations

import re

_DIGITS = (r"(?:\d{1,3}(?:[ \u00a0\u202f]\d{3}){1,5}(?!\d)(?:[.,]\d{1,9})?|\d{1,30}(?:[.,'’]\d{1,30}){0,6}"
           r"(?:e[-+]?\d{1,3})?)")
_NUMBER = rf"(?<!\w)(?<!\d[.,])(?:(?<![\w)\]])[-+−±])?{_DIGITS}"
_MONEY = r"(?:[$€£¥₹]|(?:USD|EUR|CHF|GBP|MXN|US\$)\b)"
_UNITS = (
    r"percent|per cent|prozent|por ciento|pp|degrees?|grad|grados?|"
    r"milliseconds?|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?|"
    r"millisekunden?|sekunden?|minuten?|stunden?|std|tage?n?|wochen?|monate?n?|jahre?n?|uhr|"
    r"segundos?|minutos?|horas?|d[ií]as?|semanas?|mes(?:es)?|años?|ms|am|pm|a\.m\.|p\.m\.|"
    r"words?|characters?|letters?|sentences?|paragraphs?|lines?|pages?|bullet points?|items?|steps?|points?|"
    r"w[öo]rtern?|worte?n?|zeichen|buchstaben|s[äa]tzen?|abs[äa]tzen?|zeilen?|seiten?|punkten?|schritten?|"
    r"palabras?|caracteres|letras?|frases?|oraciones|p[áa]rrafos?|l[íi]neas?|p[áa]ginas?|puntos?|pasos?|"
    r"euros?|dollars?|cents?|pounds?|franken|d[óo]lares|pesos|people|persons?|personen|personas|"
    r"thousand|millions?|billions?|tausend|million(?:en)?|milliarden?|mio\.?|mrd\.?|mil(?:lones)?|"
    r"km/h|m/s|mph|kWh|kHz|MHz|GHz|[kKMGT]i?B|[kcmµn]?m[²³23]?|[kmµ]?g|[mc]?l|[kM]?W|mA|[kmM]?V|Hz|hPa|kPa|Pa|bar|psi|"
    r"ha|lbs?|oz|ft|inch(?:es)?|miles?|meters?|metres?|metern?|metros?|kilometers?|kilometres?|kilometern?|"
    r"kil[óo]metros?|kilos?|kilograms?|kilogramm|kilogramos?|grams?|gramm|gramos?|lit(?:er|re)s?|litern?|litros?|"
    r"usd|eur|chf|gbp|mxn|[hsJNKAΩt]"
)
_SHORT = r"[^\W\d_]{1,12}\b"
_PER = rf"(?:\s?/\s?{_SHORT}|\s(?:per|pro|por|al)\s{_SHORT})"
_UNIT = (rf"(?:(?:\s?(?:[%‰€$£¥]|°\s?[CFK]?)|[ \u00a0\u202f-]?(?:{_UNITS})(?!\w))"
         rf"{_PER}?)")
_AMOUNT = rf"(?:{_MONEY}\s?)?{_NUMBER}"
_TO = r"(?:\s?[-–—]\s?|\s(?:to|bis|a|hasta)\s)"
_SECOND = rf"(?:{_MONEY}\s?)?{_DIGITS}(?:{_UNIT}|(?!\w))"
_RANGE = rf"{_AMOUNT}{_UNIT}?{_TO}{_SECOND}"
_BOTH = rf"(?:between|zwischen|entre)\s{_AMOUNT}{_UNIT}?\s(?:and|und|y)\s{_SECOND}"
# What is reckoned with: "x^2 - 5x + 6 = 0", "847*23.7", "10.0.0.0/22".
_OPERAND = (r"[-+]?\(?(?:\d{1,20}(?:[.,]\d{1,10}){0,4}[a-z]?|[a-z])(?:\([\w., ]{1,20}\))?(?:\^\(?-?\d{1,3}\)?)?\)?")
_FORMULA = rf"(?<![\w.,]){_OPERAND}(?:\s?[-+*/^=<>≤≥×·÷]\s?{_OPERAND}){{1,20}}(?!\w)(?![.,]\d)"

# What is written as one word or group whatever stands in it: links, addresses, telephone numbers, ratios, hexadecimal.
_LINK = (r"(?<!\w)(?:https?://|www\.)[^ \t\r\n\u00a0\u202f<>\"'`«»“”„]{1,300}(?<![.,;:!?)\]}])"
         r"(?=[.,;:!?)\]}]{0,3}(?:[ \t\r\n\u00a0\u202f<>\"'`«»“”„]|\Z))")
_ADDRESS = r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}(?!\w)"
_TELEPHONE = (r"(?<![\w)\]])\+(?=(?:[ \u00a0\u202f/().-]{0,2}\d){8,15}(?!\d))\d{1,3}"
              r"(?:[ \u00a0\u202f/.-]?(?:\(\d{1,5}\)|\d{2,12})){1,6}(?!\w)")
_RATIO = r"(?<![\w:.,])\d{1,6}(?:\.\d{1,4}){0,3}(?:\s?:\s?\d{1,6}(?:\.\d{1,4})?){1,3}(?![\w:])"
_HEXADECIMAL = r"(?<!\w)0x[0-9a-f]{1,32}(?!\w)"

_MONTH = (
    r"(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|maerz|apr(?:il)?|may|mai|june?|juni|july?|juli|"
    r"aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|okt(?:ober)?|nov(?:ember)?|dec(?:ember)?|dez(?:ember)?|enero|febrero|"
    r"marzo|abril|mayo|junio|julio|agosto|septiembre|setiembre|octubre|noviembre|diciembre)\b\.?"
)
_YEAR = r"(?:,?\s(?:de(?:l)?\s|of\s)?\d{4}(?!\d))?"
_DAY = r"\d{1,2}(?:st|nd|rd|th|\.|º)?"
_DATE = (
    rf"(?<![\w.,-])(?:\d{{4}}-\d{{1,2}}-\d{{1,2}}(?:[T ]\d{{1,2}}:\d{{2}}(?::\d{{2}})?Z?)?"
    rf"|\d{{1,2}}\.\s?\d{{1,2}}\.\s?(?:\d{{4}}|\d{{2}}(?!\d))?|\d{{1,2}}/\d{{1,2}}/\d{{2,4}}"
    rf"|{_DAY}\s(?:of\s|de\s)?{_MONTH}{_YEAR}|{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?\b{_YEAR}|{_MONTH}\s(?:de\s)?\d{{4}}"
    r"|\d{1,2}:\d{2}(?::\d{2})?(?:\s?(?:am|pm|uhr|h)\b)?)(?![\w])"
)

_COUNTED = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|fifty|hundred|"
    r"eine?[mnrs]?|zwei|drei|vier|fünf|fuenf|sechs|sieben|acht|neun|zehn|elf|zwölf|zwanzig|fünfzig|hundert|"
    r"una?|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|veinte|cincuenta|cien)"
)
_BEFORE = (
    r"(?:(?:at (?:most|least|the most)|(?:no|not) (?:more|fewer|less|longer|later|earlier) than|"
    r"(?:less|fewer|more|longer|later|earlier) than|up to|exactly|precisely|within|under|over|below|above|"
    r"(?:not|never) exceed(?:ing)?|no (?:supere|exceda|sobrepase)n?|no (?:superar|exceder|sobrepasar)|"
    r"a? ?(?:maximum|minimum)(?: of)?|max\.?|min\.?|before|until|after|since|by|"
    r"(?:aller)?höchstens|hoechstens|maximal|mindestens|wenigstens|genau|exakt|innerhalb von|binnen|unter|über|"
    r"(?:nicht )?(?:mehr|weniger|länger|später) als|bis(?: zum?)?|spätestens|vor|nach|seit|ab|"
    r"como (?:máximo|mucho|mínimo|maximo|minimo)|a lo sumo|al menos|por lo menos|exactamente|"
    r"(?:no )?(?:más|mas|menos) de|hasta|máximo|mínimo|dentro de|antes del?|después del?|desde)"
    r"(?: (?:the|dem|den|der|das|el|la|los|las))?)"
)
_AFTER = (
    r"(?:\s(?:or (?:less|fewer|more)|at most|at least|max(?:imum|imal)?|or above|oder (?:weniger|mehr)|"
    r"o (?:menos|más)|como (?:máximo|mucho|mínimo))\b)?"
)
# Where the words end that belong to a limit.
_END = (
    r"(?!(?:and|or|but|so|then|please|because|that|which|while|if|und|oder|aber|dann|bitte|weil|dass|wenn|y|o|pero|"
    r"luego|porque|si|por favor|in|on|at|for|to|mit|für|im|auf|en|para|con)\b)"
)
_WORD = r"[^\W\d_][\w'’+#-]{0,30}"
_WORDS = rf"(?: {_END}{_WORD})"
_THING = r"(?: (?:of|a|an|any|the|zu|de|la|los|las|el|externe[nr]?|short|kurze[nr]?))?"

_LANGUAGES = (
    r"python|javascript|typescript|java|kotlin|swift|rust|golang|go|ruby|php|perl|scala|haskell|lua|bash|powershell|"
    r"matlab|fortran|cobol|julia|r|sql|postgresql|mysql|sqlite|html|css|c\+\+|c#|c|excel|pandas|numpy|"
    r"english|german|spanish|french|italian|portuguese|dutch|polish|russian|chinese|japanese|"
    r"deutsch|englisch|spanisch|französisch|italienisch|portugiesisch|polnisch|russisch|chinesisch|japanisch|"
    r"inglés|alemán|español|castellano|francés|italiano|portugués|ruso|chino|japonés"
)
_SHAPES = (
    r"tables?|lists?|bullet points?|json|yaml|csv|xml|markdown|latex|plain text|"
    r"tabelle|liste|stichpunkten?|fließtext|tabla|lista|viñetas|texto plano"
)
_LENGTHS = (r"sentences?|paragraphs?|words?|lines?|s[äa]tze?n?|abs[äa]tze?n?|worte?n?|zeilen?|frases?|p[áa]rrafos?|"
            r"l[íi]neas?")


def _compile(*patterns: str) -> tuple[re.Pattern[str], ...]:
    """A blank in them is any blank within a line."""
    return tuple(re.compile(each.replace(r"\s", "[ \t\u00a0\u202f]"), re.IGNORECASE) for each in patterns)


LIMITS = _compile(
    rf"(?<!\w){_BEFORE}\s(?:{_DATE}|{_RANGE}|{_AMOUNT}(?:{_UNIT}|(?!\w){_WORDS}?)){_AFTER}",
    rf"(?<!\w){_BEFORE}\s{_COUNTED}{_THING}{_WORDS}{{1,2}}{_AFTER}",
    rf"{_AMOUNT}{_UNIT}?\s(?:or less|or fewer|or more|at most|at least|max(?:imum|imal)?|oder weniger|"
    r"oder mehr|nicht (?:zu )?überschreiten|o menos|o más|como máximo|como mucho|como mínimo)(?!\w)",
    rf"(?<!\w)(?:without|ohne|sin(?! embargo))\b{_WORDS}{{1,4}}",
    rf"(?<!\w)(?:(?:use|using) only|only (?:use|using|with)|nothing but|nur (?:mit|in|auf)|ausschließlich|"
    rf"(?:sólo|solo|solamente|únicamente) (?:con|en|usando)|usando solo)\b{_WORDS}{{1,4}}",
    rf"(?<!\w)(?<!i )(?<!we )(?<!they )(?:(?:do not|don['’]t|must not|may not|never) "
    r"(?:use|mention|include|write|add|import|call|change|modify)|"
    rf"avoid|vermeide|(?:verwende|benutze|nutze|nimm|erwähne|ändere|schreibe?) (?:keine?[mnrs]?|nicht)|evita|"
    rf"no (?:uses|utilices|menciones|incluyas|cambies|escribas|modifiques))\b{_WORDS}{{1,4}}",
    rf"(?<!\w)(?:in|with|using|for|auf|mit|für|en|con|para)\s(?:{_LANGUAGES})(?:\s?\d{{1,4}}(?:\.\d{{1,4}}){{0,3}}\+?)?"
    r"(?![\w+#])",
    rf"(?<!\w)(?:as|als|como|in|im|en)\s(?:an?\s|eine[mnrs]?\s|una?\s)?(?:{_SHAPES})(?!\w)",
    rf"(?<!\w)(?:in|en)\s(?:{_COUNTED}|\d{{1,4}})\s(?:{_LENGTHS})(?!\w)",
)
DATES = _compile(_DATE)
NUMBERS = _compile(
    _TELEPHONE, _RATIO, _HEXADECIMAL,
    _RANGE, _BOTH, _FORMULA, rf"{_MONEY}\s?{_NUMBER}(?:{_UNIT}|(?!\w){_PER}?)", rf"{_NUMBER}{_UNIT}",
    r"(?<!\w)v\d{1,4}(?:\.\d{1,4}){1,3}(?!\w)",
)
REFERENCES = _compile(
    r"§§?\s?\d{1,4}[a-z]?(?:\s(?:Abs\.?|Absatz|Satz|S\.|Nr\.?)\s?\d{1,3}[a-z]?){0,3}"
    r"(?:\s(?-i:[A-Z][A-Za-z]{0,6}[A-Z][A-Za-z]{0,3}))?(?!\w)",
    r"(?<!\w)(?:art\.?|article|artikel|artículo)\s\d{1,4}[a-z]?(?:\s(?-i:[A-Z][A-Za-z]{0,6}[A-Z][A-Za-z]{0,3}))?(?!\w)",
)
QUOTED = _compile(
    _LINK, _ADDRESS,
    r'"[^"\n]{1,120}"', r"“[^“”\n]{1,120}”", r"„[^„“”\n]{1,120}[“”]", r"«[^«»\n]{1,120}»", r"»[^«»\n]{1,120}«",
)
SIMPLE = _compile(rf"{_NUMBER}[a-z]{{0,3}}(?!\w)")
