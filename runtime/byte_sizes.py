"""Sizes of memory as people write and read them."""

from __future__ import annotations

import re

from edge.runtime.errors import ConfigError

MIB = 1 << 20
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes of `512MB`, `1.5GiB` or a plain number.

    Raises:
        ConfigError: It is none of these, or nothing.
    """
    found = _SIZE.fullmatch(text)
    factor = _UNITS.get(found[2].lower()) if found else None
    if found is None or factor is None or float(found[1]) <= 0:
        raise ConfigError(f"'{text}' is no size of memory", "write it like 512MB or 1.5GiB")
    return round(float(found[1]) * factor)


def mebibytes(count: int) -> str:
    """For people."""
    return f"{count / MIB:.1f} MiB"
