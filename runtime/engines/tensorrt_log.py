"""TensorRT's log, handed on to Python's; what it logs as an error is kept for the exception that follows."""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger(__name__)

KEPT_ERRORS = 32
_LEVELS = {
    "WARNING": logging.INFO,  # TensorRT warns of much that nobody can act on
    "INFO": logging.DEBUG,
    "VERBOSE": logging.DEBUG,
}


def make_logger(trt: Any) -> Any:
    """A logger for one of TensorRT's objects; it must outlive all that is made with it.

    Args:
        trt: The imported module, whose base class it needs.
    """

    class ForwardingLogger(trt.ILogger):  # type: ignore[misc]
        """Forwards by severity; `take_errors` gives what went wrong since it was last called, oldest first."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            """Called by TensorRT, on any thread."""
            name = getattr(severity, "name", str(severity))
            if name in ("INTERNAL_ERROR", "ERROR") and len(self.errors) < KEPT_ERRORS:
                self.errors.append(message)
            logger.log(_LEVELS.get(name, logging.DEBUG), "%s", message)  # an exception will tell of an error

        def take_errors(self) -> list[str]:
            """What was logged as an error, and forgets it."""
            taken, self.errors = self.errors, []
            return taken

    return ForwardingLogger()
