"""Files of `/sys`, `/proc` and `/etc`: read where they can be, and noted in one line where they cannot."""

from __future__ import annotations

import errno
import math
import re
from pathlib import Path

_NUMBERED = re.compile(r"(\d+)")
SHOWN = 24  # characters of what is no number


def read_text(path: Path) -> str | None:
    """A small file of the system, None where it cannot be read; NULs, as in device trees, become line ends."""
    try:
        return path.read_bytes().decode("utf-8", "replace").replace("\x00", "\n").strip() or None
    except OSError:
        return None


class SystemFiles:
    """What is below a root, with a list of what was missing there; nothing raises.

    Args:
        root: `/`, or a made-up tree.

    Attributes:
        root: As given.
        missing: A line for each file that should have told something and did not.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self.missing: list[str] = []

    def note(self, line: str) -> None:
        """Adds a line to `missing`, once."""
        if line not in self.missing:
            self.missing.append(line)

    def found(self, pattern: str) -> list[Path]:
        """Paths that match, `cpu2` before `cpu10`; none where a folder cannot be listed."""
        try:
            return sorted(self.root.glob(pattern), key=_counting)
        except OSError as error:
            self.note(f"/{pattern}: {error.strerror}")
            return []

    def text(self, path: str | Path) -> str | None:
        """A file's content; None, without a note, where there is none."""
        return read_text(self.root / path)

    def number(self, path: Path, what: str, *, scale: float = 1.0, least: float = 0.0) -> float | None:
        """The number that a file holds, times `scale`; None with a note where there is none or it is below `least`.

        Args:
            path: The file.
            what: Whose it is, for the note.
            scale: From the kernel's unit to ours.
            least: Of what the file may say, in the kernel's unit.
        """
        try:
            told = path.read_bytes().decode("utf-8", "replace").strip("\x00 \n\t")
        except OSError as error:
            self.note(f"{what}: {path.name} cannot be read ({_reason(error)})")
            return None
        value = as_number(told)
        if value is None:
            self.note(f"{what}: {path.name} is no number ('{told.splitlines()[0][:SHOWN] if told else ''}')")
        elif value < least:
            self.note(f"{what}: {path.name} says {told}, which cannot be")
        else:
            return value * scale
        return None


def as_number(text: str) -> float | None:
    """A finite number in decimal notation, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _reason(error: OSError) -> str:
    needs_root = error.errno in (errno.EACCES, errno.EPERM)
    return f"{error.strerror}, needs root" if needs_root else str(error.strerror)


def _counting(path: Path) -> list[tuple[int, str]]:
    """Sorts numbers in names by their value."""
    parts = _NUMBERED.split(str(path))
    return [(int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts)]
