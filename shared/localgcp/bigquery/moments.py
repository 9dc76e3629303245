"""Dates and times as text: the elements of FORMAT_DATE, PARSE_TIMESTAMP and their kind, and of CAST … FORMAT."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Moment = dt.datetime | dt.date | dt.time

_MONTHS, _SHORT_MONTHS = list(calendar.month_name), list(calendar.month_abbr)
_DAYS, _SHORT_DAYS = list(calendar.day_name), list(calendar.day_abbr)
_EPOCH = dt.datetime(1970, 1, 1)
# Elements that stand for others.
_COMPOUND = {
    "c": "%a %b %e %H:%M:%S %Y", "D": "%m/%d/%y", "F": "%Y-%m-%d", "R": "%H:%M", "T": "%H:%M:%S", "X": "%H:%M:%S",
    "x": "%m/%d/%y", "r": "%I:%M:%S %p", "h": "%b",
}  # fmt: skip
_ELEMENT = re.compile(r"%(E(?:[0-9]|\*)S|E4Y|Ez|E#S|EY|Ec|EC|Ex|EX|Ey|O[a-zA-Z]|[a-zA-Z%])")


def zone_of(name: str | None) -> dt.tzinfo:
    """A time zone by its name or offset. Raises ValueError in BigQuery's words."""
    if name is None or name.upper() in ("UTC", "Z", "GMT"):
        return dt.UTC
    if found := re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?", name):
        minutes = int(found[2]) * 60 + int(found[3] or 0)
        return dt.timezone(dt.timedelta(minutes=-minutes if found[1] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"Invalid time zone: {name}") from None


def as_datetime(value: Moment, zone: str | None = None) -> dt.datetime:
    """The moment with a date and a time of day; a TIMESTAMP in that zone."""
    if isinstance(value, dt.datetime):
        return value.astimezone(zone_of(zone)) if value.tzinfo else value
    if isinstance(value, dt.time):
        return dt.datetime.combine(_EPOCH.date(), value)
    return dt.datetime.combine(value, dt.time())


def format_moment(pattern: str, value: Moment, zone: str | None = None) -> str:
    """FORMAT_DATE, FORMAT_DATETIME, FORMAT_TIME, FORMAT_TIMESTAMP. Raises ValueError for an unknown element."""
    moment = as_datetime(value, zone)
    return _ELEMENT.sub(lambda found: _formatted(found[1], moment), pattern)


def _formatted(element: str, t: dt.datetime) -> str:
    if element in _COMPOUND:
        return format_moment(_COMPOUND[element], t) if t.tzinfo is None else _in_own_zone(_COMPOUND[element], t)
    if found := re.fullmatch(r"E([0-9*#])S", element):
        return f"{t.second:02}" + fraction(t.microsecond, None if found[1] in "*#" else int(found[1]))
    if element.startswith(("E", "O")) and element not in ("Ez", "E4Y"):
        return _formatted(element[1:], t)
    make = _FORMATTERS.get(element)
    if make is None:
        raise ValueError(f"Invalid format element %{element}")
    return make(t)


def _in_own_zone(pattern: str, t: dt.datetime) -> str:
    return _ELEMENT.sub(lambda found: _formatted(found[1], t), pattern)


def fraction(microsecond: int, digits: int | None) -> str:
    """`.250`: that many digits of the second's fraction, or as many as it has."""
    if digits == 0:
        return ""
    text = f"{microsecond:06}"
    if digits is None:
        text = text.rstrip("0")
        return f".{text}" if text else ""
    return "." + text.ljust(digits, "0")[:digits]


def _offset(t: dt.datetime, colon: bool) -> str:
    minutes = int((t.utcoffset() or dt.timedelta()).total_seconds()) // 60
    sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
    return f"{sign}{minutes // 60:02}{':' if colon else ''}{minutes % 60:02}"


def _zone_name(t: dt.datetime) -> str:
    return "UTC" if t.tzinfo in (None, dt.UTC) else (t.tzname() or "UTC")


def _week(t: dt.datetime, first_weekday: int) -> int:
    """The week of the year that counts from the year's first such day; before it is week 0."""
    return (t.timetuple().tm_yday + 6 - (t.weekday() - first_weekday) % 7) // 7


def _unix(t: dt.datetime) -> int:
    return int((t.replace(tzinfo=t.tzinfo or dt.UTC) - _EPOCH.replace(tzinfo=dt.UTC)) // dt.timedelta(seconds=1))


_FORMATTERS: dict[str, Callable[[dt.datetime], str]] = {
    "A": lambda t: _DAYS[t.weekday()],
    "a": lambda t: _SHORT_DAYS[t.weekday()],
    "B": lambda t: _MONTHS[t.month],
    "b": lambda t: _SHORT_MONTHS[t.month],
    "C": lambda t: f"{t.year // 100:02}",
    "d": lambda t: f"{t.day:02}",
    "e": lambda t: f"{t.day:2}",
    "E4Y": lambda t: f"{t.year:04}",
    "Ez": lambda t: _offset(t, colon=True),
    "G": lambda t: str(t.isocalendar()[0]),
    "g": lambda t: f"{t.isocalendar()[0] % 100:02}",
    "H": lambda t: f"{t.hour:02}",
    "I": lambda t: f"{t.hour % 12 or 12:02}",
    "J": lambda t: f"{(t.date() - dt.date.fromisocalendar(t.isocalendar()[0], 1, 1)).days + 1:03}",
    "j": lambda t: f"{t.timetuple().tm_yday:03}",
    "k": lambda t: f"{t.hour:2}",
    "l": lambda t: f"{t.hour % 12 or 12:2}",
    "M": lambda t: f"{t.minute:02}",
    "m": lambda t: f"{t.month:02}",
    "n": lambda t: "\n",
    "P": lambda t: "am" if t.hour < 12 else "pm",
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "Q": lambda t: str((t.month + 2) // 3),
    "S": lambda t: f"{t.second:02}",
    "s": lambda t: str(_unix(t)),
    "t": lambda t: "\t",
    "U": lambda t: f"{_week(t, 6):02}",
    "u": lambda t: str(t.isoweekday()),
    "V": lambda t: f"{t.isocalendar()[1]:02}",
    "W": lambda t: f"{_week(t, 0):02}",
    "w": lambda t: str(t.isoweekday() % 7),
    "Y": lambda t: str(t.year),
    "y": lambda t: f"{t.year % 100:02}",
    "Z": _zone_name,
    "z": lambda t: _offset(t, colon=False),
    "%": lambda t: "%",
}

_NAMES = {
    "B": "|".join(_MONTHS[1:] + _SHORT_MONTHS[1:]),
    "A": "|".join(_DAYS + _SHORT_DAYS),
}
_PATTERNS = {
    "Y": r"\d{1,4}", "E4Y": r"\d{4}", "y": r"\d{1,2}", "C": r"\d{1,2}", "m": r"\d{1,2}", "d": r"\d{1,2}",
    "e": r"\s?\d{1,2}", "H": r"\d{1,2}", "k": r"\s?\d{1,2}", "I": r"\d{1,2}", "l": r"\s?\d{1,2}", "M": r"\d{1,2}",
    "S": r"\d{1,2}", "B": _NAMES["B"], "b": _NAMES["B"], "A": _NAMES["A"], "a": _NAMES["A"], "j": r"\d{1,3}",
    "p": "am|pm", "P": "am|pm", "s": r"-?\d+", "z": r"[+-]\d{2}:?\d{2}|Z", "Ez": r"[+-]\d{1,2}(?::?\d{2})?|Z",
    "Z": r"[A-Za-z_]+(?:/[A-Za-z_]+)*", "Q": r"[1-4]", "n": r"\s*", "t": r"\s*", "%": "%", "u": r"\d", "w": r"\d",
    "U": r"\d{1,2}", "W": r"\d{1,2}", "V": r"\d{1,2}", "G": r"\d{4}", "g": r"\d{2}",
}  # fmt: skip


def parse_moment(pattern: str, text: str, zone: str | None = None) -> dt.datetime:
    """The moment that a text says; what it leaves out is that of 1970-01-01 00:00:00. Raises ValueError."""
    keys: list[str] = []
    found = re.fullmatch(rf"\s*{_regex(pattern, keys)}\s*", text, re.IGNORECASE)
    if found is None:
        raise ValueError(f'Failed to parse input string "{text}"')
    values = {key: found[place] for place, key in enumerate(keys, 1)}
    try:
        return _moment(values, zone)
    except (ValueError, OverflowError):
        raise ValueError(f'Failed to parse input string "{text}"') from None


def _regex(pattern: str, keys: list[str]) -> str:
    parts, place = [], 0
    for element in _ELEMENT.finditer(pattern):
        parts += [_plain(pattern[place : element.start()]), _element_regex(element[1], keys)]
        place = element.end()
    return "".join([*parts, _plain(pattern[place:])])


def _plain(text: str) -> str:
    return re.sub(r"(?:\\\s)+|\s+", r"\\s*", re.escape(text))


def _element_regex(element: str, keys: list[str]) -> str:
    if element in _COMPOUND:
        return _regex(_COMPOUND[element], keys)
    if found := re.fullmatch(r"E([0-9*#])S", element):
        keys += ["S", "f"]
        digits = "*" if found[1] in "*#" else f"{{0,{found[1]}}}"
        return rf"(\d{{1,2}})(?:\.(\d{digits}))?"
    if element.startswith(("E", "O")) and element not in ("Ez", "E4Y"):
        return _element_regex(element[1:], keys)
    if element not in _PATTERNS:
        raise ValueError(f"Invalid format element %{element}")
    keys.append(element)
    return f"({_PATTERNS[element]})"


def _month(name: str) -> int:
    return [month.lower() for month in _SHORT_MONTHS].index(name[:3].lower())


def _moment(values: dict[str, str], zone: str | None) -> dt.datetime:
    if "s" in values:
        return _EPOCH.replace(tzinfo=dt.UTC) + dt.timedelta(seconds=int(values["s"]))
    numbers = {key: int(text) for key, text in values.items() if text and re.fullmatch(r"\s*[+-]?\d+", text)}
    year = numbers.get("Y", numbers.get("E4Y", numbers.get("G", 1970)))
    if "y" in numbers:
        year = numbers["y"] + (1900 if numbers["y"] >= 69 else 2000)
    month = numbers.get("m", 1)
    if name := values.get("B") or values.get("b"):
        month = _month(name)
    if "Q" in numbers and "m" not in numbers:
        month = numbers["Q"] * 3 - 2
    day = numbers.get("d", numbers.get("e", 1))
    hour = numbers.get("H", numbers.get("k", 0))
    if (half := values.get("p") or values.get("P")) is not None or "I" in numbers or "l" in numbers:
        twelve = numbers.get("I", numbers.get("l", hour))
        hour = twelve % 12 + (12 if (half or "am").lower() == "pm" else 0)
    micro = int((values.get("f") or "0").ljust(6, "0")[:6])
    moment = dt.datetime(year, month, day, hour, numbers.get("M", 0), numbers.get("S", 0), micro)
    if "j" in numbers:
        moment = moment.replace(month=1, day=1) + dt.timedelta(days=numbers["j"] - 1)
    offset = values.get("z") or values.get("Ez") or values.get("Z")
    return moment.replace(tzinfo=zone_of(offset or zone)).astimezone(dt.UTC)


# CAST … FORMAT. Longer elements first, as the text is read from the left.
_CAST_ELEMENTS = (
    "YYYY", "YYY", "Y,YYY", "YY", "Y", "RRRR", "RR", "MONTH", "MON", "MM", "MI", "DDD", "DD", "DAY", "DY", "D",
    "HH24", "HH12", "HH", "SSSSS", "SS", "AM", "PM", "A.M.", "P.M.", "TZH", "TZM",
)  # fmt: skip
_CAST_TOKEN = re.compile(
    r'"(?P<text>(?:[^"\\]|\\.)*)"|FF(?P<digits>[1-9])|(?P<element>'
    + "|".join(re.escape(e) for e in sorted(_CAST_ELEMENTS, key=len, reverse=True))
    + r")|(?P<plain>[-./,';: ]|\s)",
    re.IGNORECASE,
)


def _cast_tokens(pattern: str) -> list[re.Match[str]]:
    tokens, place = [], 0
    while place < len(pattern):
        found = _CAST_TOKEN.match(pattern, place)
        if found is None:
            raise ValueError(f"Cannot find matched format element at {place} of '{pattern}'")
        tokens.append(found)
        place = found.end()
    return tokens


def format_cast(pattern: str, value: Moment, zone: str | None = None) -> str:
    """CAST(value AS STRING FORMAT pattern) of a date or time. Raises ValueError for an unknown element."""
    moment = as_datetime(value, zone)
    return "".join(_cast_text(token, moment) for token in _cast_tokens(pattern))


def _cast_text(token: re.Match[str], t: dt.datetime) -> str:
    if token["text"] is not None:
        return re.sub(r"\\(.)", r"\1", token["text"])
    if token["digits"]:
        return f"{t.microsecond:06}".ljust(9, "0")[: int(token["digits"])]
    if token["plain"]:
        return token["plain"]
    written = token["element"]
    name = written.upper()
    if name in ("MONTH", "MON", "DAY", "DY"):
        word = {
            "MONTH": _MONTHS[t.month],
            "MON": _SHORT_MONTHS[t.month],
            "DAY": _DAYS[t.weekday()],
            "DY": _SHORT_DAYS[t.weekday()],
        }[name]
        return word.upper() if written.isupper() else word.lower() if written.islower() else word
    if name in ("AM", "PM", "A.M.", "P.M."):
        half = "A" if t.hour < 12 else "P"
        text = f"{half}.M." if "." in name else f"{half}M"
        return text if written[0].isupper() else text.lower()
    return _CAST_FORMATTERS[name](t)


_CAST_FORMATTERS: dict[str, Callable[[dt.datetime], str]] = {
    "YYYY": lambda t: f"{t.year:04}",
    "YYY": lambda t: f"{t.year % 1000:03}",
    "Y,YYY": lambda t: f"{t.year // 1000},{t.year % 1000:03}",
    "YY": lambda t: f"{t.year % 100:02}",
    "Y": lambda t: str(t.year % 10),
    "RRRR": lambda t: f"{t.year:04}",
    "RR": lambda t: f"{t.year % 100:02}",
    "MM": lambda t: f"{t.month:02}",
    "MI": lambda t: f"{t.minute:02}",
    "DDD": lambda t: f"{t.timetuple().tm_yday:03}",
    "DD": lambda t: f"{t.day:02}",
    "D": lambda t: str(t.isoweekday() % 7 + 1),
    "HH24": lambda t: f"{t.hour:02}",
    "HH12": lambda t: f"{t.hour % 12 or 12:02}",
    "HH": lambda t: f"{t.hour % 12 or 12:02}",
    "SSSSS": lambda t: f"{t.hour * 3600 + t.minute * 60 + t.second:05}",
    "SS": lambda t: f"{t.second:02}",
    "TZH": lambda t: _offset(t, colon=False)[:3],
    "TZM": lambda t: _offset(t, colon=False)[3:],
}
_CAST_PATTERNS = {
    "YYYY": (r"\d{4}", "Y"), "RRRR": (r"\d{4}", "Y"), "YY": (r"\d{2}", "y2"), "RR": (r"\d{2}", "y"),
    "MONTH": ("|".join(_MONTHS[1:]), "B"), "MON": ("|".join(_SHORT_MONTHS[1:]), "B"), "MM": (r"\d{1,2}", "m"),
    "DD": (r"\d{1,2}", "d"), "DDD": (r"\d{1,3}", "j"), "HH24": (r"\d{1,2}", "H"), "HH12": (r"\d{1,2}", "I"),
    "HH": (r"\d{1,2}", "I"), "MI": (r"\d{1,2}", "M"), "SS": (r"\d{1,2}", "S"), "AM": ("am|pm", "p"),
    "PM": ("am|pm", "p"), "A.M.": (r"a\.m\.|p\.m\.", "p"), "P.M.": (r"a\.m\.|p\.m\.", "p"),
    "TZH": (r"[+-]\d{2}", "zh"), "TZM": (r"\d{2}", "zm"),
}  # fmt: skip


def parse_cast(pattern: str, text: str, zone: str | None = None, today: dt.date | None = None) -> dt.datetime:
    """CAST(text AS DATE … FORMAT pattern). The year and month left out are today's. Raises ValueError."""
    keys: list[str] = []
    parts = []
    for token in _cast_tokens(pattern):
        if token["digits"]:
            keys.append("f")
            parts.append(rf"(\d{{1,{token['digits']}}})")
        elif token["element"]:
            name = token["element"].upper()
            if name not in _CAST_PATTERNS:
                raise ValueError(
                    f"UNIMPLEMENTED: the format element {name} in a cast from text is not emulated locally"
                )
            keys.append(_CAST_PATTERNS[name][1])
            parts.append(f"({_CAST_PATTERNS[name][0]})")
        else:
            parts.append(_plain(token["plain"] or token["text"]))
    found = re.fullmatch("".join(parts), text.strip(), re.IGNORECASE)
    if found is None:
        raise ValueError(f"Failed to parse input string '{text}'")
    values = {key: found[place].replace(".", "") for place, key in enumerate(keys, 1)}
    now = today or dt.datetime.now(dt.UTC).date()
    if "y2" in values:
        values["Y"] = str(now.year // 100 * 100 + int(values.pop("y2")))
    if "zh" in values:
        values["z"] = f"{values.pop('zh')}{values.pop('zm', '00')}"
    values = {"Y": str(now.year), "m": str(now.month)} | values
    if "B" in values:
        values.pop("m")
    if "y" in values:
        values.pop("Y")
    try:
        return _moment(values, zone)
    except ValueError:
        raise ValueError(f"Failed to parse input string '{text}'") from None
