"""A kernel that permits what a test says, and remembers what was asked of it by which thread."""

from __future__ import annotations

import errno
import threading
from collections.abc import Collection


class MadeUpKernel:
    """Has some cores; refuses the calls that are named.

    Args:
        cores: That the process may use.
        refuses: Names of methods that raise PermissionError; `may_lock_memory` says no.
        matching: Native ids of threads that are named as the matching one.
    """

    def __init__(
        self, cores: Collection[int] = (0, 1, 2, 3), refuses: Collection[str] = (), matching: Collection[int] = (77,)
    ) -> None:
        self._cores, self._refuses, self._matching = frozenset(cores), frozenset(refuses), list(matching)
        self.asked: list[tuple[str, int, object]] = []
        self.callers: set[str] = set()
        self.locked = False

    def usable_cores(self) -> frozenset[int]:
        return self._cores

    def set_fifo(self, thread: int, priority: int) -> None:
        self._ask("set_fifo", thread, priority)

    def set_niceness(self, thread: int, niceness: int) -> None:
        self._ask("set_niceness", thread, niceness)

    def set_cores(self, thread: int, cores: frozenset[int]) -> None:
        self._ask("set_cores", thread, cores)

    def threads_named(self, name: str) -> list[int]:
        return self._matching if name == "edge-sync" else []

    def may_lock_memory(self) -> bool:
        return "may_lock_memory" not in self._refuses

    def lock_memory(self) -> None:
        self._ask("lock_memory", 0, None)
        self.locked = True

    def unlock_memory(self) -> None:
        self.locked = False

    def _ask(self, what: str, thread: int, value: object) -> None:
        if what in self._refuses:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        self.asked.append((what, thread, value))
        self.callers.add(threading.current_thread().name)
