"""Work split over processes that end with their parent: an error or Ctrl-C leaves none behind."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from contextlib import contextmanager
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from edge.runtime.errors import DataError, EdgeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    # Called in a worker with a function that reports progress, then with that worker's arguments.
    Work = Callable[..., None]


def run_in_processes(work: Work, shares: Sequence[tuple[Any, ...]], on_progress: Callable[[int], None]) -> None:
    """Runs `work(report, *share)` in one process for each share, to the end.

    Args:
        work: A module-level function; it calls `report(n)` when it has done n more units.
        shares: The arguments of each process.
        on_progress: Called in this process with each reported number.

    Raises:
        EdgeError: As raised in a worker.
        DataError: A worker died.
    """
    started: dict[Any, BaseProcess] = {}
    try:
        with _interrupts_held():
            for share in shares:
                process, receiver = _start(work, share)
                started[receiver] = process
        receivers = dict(started)
        while receivers:
            for ready in connection.wait(list(receivers)):
                assert isinstance(ready, connection.Connection)
                _take(ready, receivers, on_progress)
    finally:
        for process in started.values():
            process.terminate()
            process.join()


def _take(receiver: Connection, receivers: dict[Any, BaseProcess], on_progress: Callable[[int], None]) -> None:
    try:
        message = receiver.recv()
    except EOFError:
        process = receivers.pop(receiver)
        process.join()
        if process.exitcode:
            raise DataError(
                f"a worker process ended with exit code {process.exitcode}", "run again with one worker to see why"
            ) from None
        return
    if isinstance(message, int):
        on_progress(message)
    else:
        raise DataError(*message)


def _start(work: Work, share: tuple[Any, ...]) -> tuple[BaseProcess, Connection]:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=_run, args=(work, sender, share), daemon=True)
    process.start()
    sender.close()
    return process, receiver


def _run(work: Work, sender: Connection, share: tuple[Any, ...]) -> None:
    try:
        work(sender.send, *share)
    except EdgeError as error:
        sender.send((error.problem, error.remedy))


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Remembers Ctrl-C and raises it afterwards: within a fork Python would lose it.

    Processes started meanwhile inherit the handler, so that Ctrl-C stays their parent's to handle.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
        yield
        return
    caught: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: caught.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if caught:
            raise KeyboardInterrupt
