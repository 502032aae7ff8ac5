"""Times as people write them: `200ms`, `-5s`, `1.5min`; exact in integer nanoseconds."""

from __future__ import annotations

import re
from decimal import Decimal

from pydantic import AfterValidator

UNITS_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9}
DAY_NS = 24 * 60 * UNITS_NS["min"]
# Delayed samples are held in memory, so no delay is longer than this.
HOLD_NS = 30 * UNITS_NS["s"]
_DURATION = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))\s*([a-zA-Z]*)", re.ASCII)
_MOST_DIGITS = 30


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration with its unit, rounded where there are fractions of them.

    Raises:
        ValueError: It is no number, or has no unit or another one.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or len(text) > _MOST_DIGITS:
        raise ValueError(f"'{text[:_MOST_DIGITS]}' is no time (write 5s or 200ms)")
    number, unit = found.groups()
    if unit not in UNITS_NS:
        told = f"has the unknown unit '{unit}'" if unit else "has no unit"
        raise ValueError(f"'{text}' {told} (units are {', '.join(UNITS_NS)})")
    return round(Decimal(number) * UNITS_NS[unit])


def as_duration(nanoseconds: int) -> str:
    """The shortest exact way to write a duration, not in minutes."""
    for unit in ("s", "ms", "us"):
        if nanoseconds % (UNITS_NS[unit] // 1000) == 0 and (nanoseconds == 0 or abs(nanoseconds) >= UNITS_NS[unit]):
            return f"{(Decimal(nanoseconds) / UNITS_NS[unit]).normalize():f}{unit}"
    return f"{nanoseconds}ns"


def within(least_ns: int, most_ns: int) -> AfterValidator:
    """Validates a duration: from `least_ns` to `most_ns`."""

    def check(value: int) -> int:
        if not least_ns <= value <= most_ns:
            least = "not before" if least_ns < 0 else "not negative" if least_ns == 0 else "above 0"
            lower = f"{least} {as_duration(least_ns)}" if least_ns < 0 else least
            raise ValueError(f"{as_duration(value)} is out of range: {lower} and at most {as_duration(most_ns)}")
        return value

    return AfterValidator(check)
