"""Version strings as numbers, as far as comparisons here need them: `2.13.0+cpu` is (2, 13, 0)."""

from __future__ import annotations

import re

from edge.runtime.errors import DeviceError

_LEADING = re.compile(r"v?(\d+(?:\.\d+)*)")


def version_numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version; suffixes such as `rc1` or `+cpu` are left out.

    Raises:
        DeviceError: It does not begin with a number.
    """
    found = _LEADING.match(version.strip())
    if found is None:
        raise DeviceError(f"'{version}' is no version number", "give one such as 10.3 or 2.8.0")
    return tuple(int(part) for part in found[1].split("."))


def at_least(version: str, minimum: str) -> bool:
    """Whether a version is the minimum or newer; missing parts count as zero.

    Raises:
        DeviceError: One of them is no version number.
    """
    have, want = version_numbers(version), version_numbers(minimum)
    length = max(len(have), len(want))
    return have + (0,) * (length - len(have)) >= want + (0,) * (length - len(want))
