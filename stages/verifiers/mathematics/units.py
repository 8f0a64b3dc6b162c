r"""Units: words behind a number, known ones in all their spellings, others by their letters.

A unit is `cm`, `\text{ cm}^2`, `square centimeters`, `km/h`, `miles per hour`, `dollars`, or any
other words in letters (`apples`), singular or plural alike. Nothing is converted: 500 cm is another
answer than 5 m.
"""

import re

SPELLINGS = {
    "mm": "millimeter millimeters millimetre millimetres",
    "cm": "centimeter centimeters centimetre centimetres",
    "dm": "decimeter decimeters decimetre decimetres",
    "μm": "µm micrometer micrometers micrometre micrometres micron microns",
    "m": "meter meters metre metres",
    "km": "kilometer kilometers kilometre kilometres",
    "in": "inch inches",
    "ft": "foot feet",
    "yd": "yard yards yds",
    "mi": "mile miles",
    "mg": "milligram milligrams",
    "g": "gram grams gramme grammes",
    "kg": "kilogram kilograms kgs",
    "lb": "pound pounds lbs",
    "oz": "ounce ounces",
    "t": "ton tons tonne tonnes",
    "mL": "milliliter milliliters millilitre millilitres ml",
    "L": "liter liters litre litres l",
    "gal": "gallon gallons",
    "ms": "millisecond milliseconds",
    "s": "second seconds sec secs",
    "min": "minute minutes mins",
    "h": "hour hours hr hrs",
    "day": "days",
    "week": "weeks wk",
    "month": "months",
    "year": "years yr yrs",
    "N": "newton newtons",
    "J": "joule joules",
    "W": "watt watts",
    "Ω": "ohm ohms",
    "V": "volt volts",
    "A": "ampere amperes amp amps",
    "Hz": "hertz",
    "K": "kelvin kelvins",
    "Pa": "pascal pascals",
    "kPa": "kilopascal kilopascals",
    "mol": "mole moles",
    "rad": "radian radians",
    "degree": "degrees deg",
    "°C": "celsius",
    "°F": "fahrenheit",
    "$": "dollar dollars usd",
    "¢": "cent cents",
    "€": "euro euros eur",
    "£": "gbp",
    "¥": "yen jpy",
    "mi/h": "mph",
    "km/h": "kph kmh",
}
KNOWN = {unit: unit for unit in SPELLINGS} | {
    word: unit for unit, words in SPELLINGS.items() for word in words.split()
}
POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "squared": 2, "cubed": 3}
ANY_KNOWN = "|".join(re.escape(word) for word in sorted(KNOWN, key=len, reverse=True))
KNOWN_UNIT = re.compile(
    rf"(?:(?:square|sq\.?|cubic|cu\.?) )?(?:{ANY_KNOWN})\.?(?:(?:/| per )(?:{ANY_KNOWN}))?"
    "(?: squared| cubed)?"
)
"""What is a unit right behind an answer's delimiters; other words there are prose."""
NO_UNITS = {"or", "and", "not", "is", "the", "to", "if", "so", "but", "then", "answer", "mod", "of"}
SCALES = ("°C", "°F")
MAX_WORDS = 4


def unit_of(text: str) -> str | None:
    """The unit that a text is, spelt in one way; None where it is none."""
    text = re.sub(r"\\(?:text|textrm|mathrm|mbox|rm|textbf)\s*\{([^{}]*)\}", r" \1 ", text)
    text = text.replace("\\cdot", " ").replace("\\", "").replace(" per ", "/")
    above, *below = re.sub(r"\s*/\s*", "/", " ".join(text.split())).split("/")
    parts = [product for part in (above, *below) if (product := _product(part))]
    if len(parts) > 2 or len(parts) <= len(below):
        return None
    factors = parts[0].split("*")
    inverse = [factor.replace("^-1", "").replace("^-", "^") for factor in factors if "^-" in factor]
    if inverse and len(parts) == 1 and len(inverse) < len(factors):  # "km h^-1"
        parts = ["*".join(factor for factor in factors if "^-" not in factor), "*".join(inverse)]
    return "/".join(parts)


def _product(text: str) -> str | None:
    power = 1
    words: list[str] = []
    for word in text.strip().rstrip(".").split():
        name, _, exponent = word.replace("{", "").replace("}", "").partition("^")
        name = name.rstrip(".")
        if name.lower() in POWERS:
            power = POWERS[name.lower()]
            if words:  # "meters squared"
                words[-1] += f"^{power}"
                power = 1
            continue
        if name == "" and exponent and words:
            words[-1] += f"^{exponent}"
            continue
        if (unit := _word(name)) is None or (exponent and not re.fullmatch(r"-?\d", exponent)):
            return None
        if unit in SCALES and words == ["degree"]:
            words.clear()
        words.append(unit + (f"^{exponent or power}" if exponent or power != 1 else ""))
        power = 1
    return "*".join(words) if words and len(words) <= MAX_WORDS else None


def _word(name: str) -> str | None:
    """One word's spelling: a known unit's, or small letters without the `s` of the plural.

    A symbol keeps its capitals: MW is no mW, and Mg no mg.
    """
    is_symbol = len(name) <= 2 or (len(name) == 3 and name[1:] != name[1:].lower())
    is_exact = len(name) == 1 or (is_symbol and name.startswith("M"))
    if known := KNOWN.get(name) or KNOWN.get(name if is_exact else name.lower()):
        return known
    if is_symbol and re.fullmatch("[A-Za-z]+", name) and name.lower() not in NO_UNITS:
        return name
    if not re.fullmatch(r"[A-Za-z][A-Za-z'-]*", name) or name.lower() in NO_UNITS:
        return None
    word = name.lower()
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and len(word) > 3 and word[-2] != "s" else word
