"""Shows a run on a thread of its own: what comes while it draws is dropped but for the latest; the run never waits."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from edge.runtime.fusion import Inference
    from edge.runtime.result import FusedResult

MOST_FAILURES = 10
POLL_S = 0.01
# How long `close` waits for what is being drawn.
PATIENCE_S = 5.0
OVERRUN, ERROR, STUCK = "view:overrun", "view:error", "view:stuck"
_log = logging.getLogger(__name__)


class Moment(NamedTuple):
    """What was fused at a time, and what came of it; payloads are the run's own and only read."""

    inference: Inference
    result: FusedResult


class Scene(Protocol):
    """Where moments are drawn; used by one thread at a time."""

    def draw(self, moment: Moment) -> None:
        """Shows a moment; may take its time and may raise."""

    def close(self, *, complete: bool) -> None:
        """Ends it: what was drawn is kept where the run was complete, or nothing of it."""


class LiveView:
    """Hands moments to a scene; what is too much for it is dropped and counted.

    The scene's thread looks for a moment every `POLL_S`: waking it would have it take the interpreter's lock, and on a
    small board the core, from the thread that runs the model, at the very instant of a result.

    An error of the scene is counted, the first is logged with its trace, and the next moment is drawn all the same.
    After `MOST_FAILURES` in a row it is given up, for what a viewer that is gone was sent may pile up in its library.

    Args:
        scene: Draws; it is closed with the view.
        patience_s: How long `close` waits for it.
    """

    def __init__(self, scene: Scene, patience_s: float = PATIENCE_S) -> None:
        self._scene, self._patience_s = scene, patience_s
        self._waiting: deque[Moment] = deque(maxlen=1)
        self._end = threading.Event()
        self._offered = self._taken = 0
        self._errors = self._in_a_row = 0
        self._is_stuck = self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="edge-view", daemon=True)
        self._thread.start()

    def show(self, inference: Inference, result: FusedResult) -> None:
        """Has a moment shown as soon as the one before is; takes some microseconds, never waits, never raises."""
        if not self._is_closed:
            self._offered += 1
            self._waiting.append(Moment(inference, result))

    @property
    def counts(self) -> dict[str, int]:
        """What was not shown: `view:overrun`, `view:error`, and `view:stuck` where the scene never came back."""
        dropped = self._offered - self._taken - len(self._waiting)
        found = {OVERRUN: dropped, ERROR: self._errors, STUCK: int(self._is_stuck)}
        return {key: n for key, n in found.items() if n}

    def close(self, *, complete: bool) -> None:
        """Draws what waits, then ends the scene; a second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if not complete:
            self._waiting.clear()
        self._end.set()
        self._thread.join(self._patience_s)
        if self._thread.is_alive():  # what the scene wrote is left to it, for it may still write
            self._is_stuck = True
            _log.error("the view has not come back for %.0f s; the run ends without it", self._patience_s)
            return
        try:
            self._scene.close(complete=complete)
        except Exception as error:  # a run is worth more than its view
            self._note(error)

    def _run(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._end.wait(POLL_S)
            while (moment := self._next()) is not None:
                self._draw(moment)

    def _next(self) -> Moment | None:
        try:
            moment = self._waiting.popleft()
        except IndexError:
            return None
        self._taken += 1
        return moment

    def _draw(self, moment: Moment) -> None:
        if self._in_a_row >= MOST_FAILURES:
            self._errors += 1
            return
        try:
            self._scene.draw(moment)
            self._in_a_row = 0
        except Exception as error:  # whatever a viewer may raise
            self._note(error)

    def _note(self, error: Exception) -> None:
        self._errors += 1
        self._in_a_row += 1
        if self._in_a_row == MOST_FAILURES:
            _log.error("the view has failed %d times in a row and is given up", MOST_FAILURES)
        if self._errors == 1:
            _log.error("the view has failed and goes on; further failures are only counted", exc_info=error)
