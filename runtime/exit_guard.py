"""Closes what has threads before the interpreter ends: one that wakes up after that would take the process down."""

from __future__ import annotations

import atexit
import logging
import weakref
from typing import Protocol


class Closable(Protocol):
    """What can be closed more than once."""

    def close(self) -> object:
        """Ends its threads."""


_open: weakref.WeakSet[Closable] = weakref.WeakSet()
_log = logging.getLogger(__name__)


def close_at_exit(one: Closable) -> None:
    """Has `one` closed when the program ends, if it then still lives."""
    _open.add(one)


@atexit.register
def _close_all() -> None:
    for one in list(_open):
        try:
            one.close()
        except Exception as error:  # the others are to be closed too
            _log.error("closing at exit: %s", error)
