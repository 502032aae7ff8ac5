"""Puts real-time settings into force for one run, as far as the kernel permits, and says what did not take effect.

```
with RealtimeScope(RealtimeConfig(priority=50, capture_cores=(0,), lock_memory=True)) as scope:
    engine = scope.made(lambda: OnnxRuntimeEngine(graph, threads=scope.engine_threads))
    with Runtime(bundle, rig, engine, on_thread=scope.enter_inference) as runtime:
        ...
```

Threads take what is set from the thread that starts them. So an engine is made on a thread of its own that has the
settings: its workers then have them as well, and the caller's thread has nothing to undo. Linux only.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from edge.runtime.errors import ConfigError
from edge.runtime.machine_state.core_lists import format_cores
from edge.runtime.realtime.system_calls import LinuxCalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.realtime.settings import RealtimeConfig
    from edge.runtime.realtime.system_calls import SchedulerCalls

AS_PERMITTED = "; or take what is permitted: --as-permitted"
OTHER_CORES = "name other cores, or start it with another affinity (taskset, cgroup)"
UNLIMITED = "run it with `ulimit -l unlimited`, as root, or in Docker with --ulimit memlock=-1"
PERMIT = (
    "permit it to this user with '{limit}' in /etc/security/limits.d, run it as root, or in Docker with "
    "--cap-add sys_nice --ulimit {flag}"
)
MATCHING_THREAD = "edge-sync"  # as the core names it
Made = TypeVar("Made")
_log = logging.getLogger(__name__)


class RealtimeScope:
    """Settings that hold for a run; a context manager, which undoes what holds for the whole process.

    Entering locks memory, sets Python's switch interval, and tries everything else on a thread that ends at once, so
    that what is not permitted is known before anything runs.

    Args:
        config: What is wanted.
        calls: The kernel; this one where it is not given.

    Attributes:
        config: As given.
        notes: Plain sentences on what did not take effect.
        engine_threads: How many the engine is to have.

    Raises:
        ConfigError: Cores are named that the process may not use; or something is not permitted, and required.
    """

    def __init__(self, config: RealtimeConfig, calls: SchedulerCalls | None = None) -> None:
        self.config = config
        self.notes: list[str] = []
        self._calls = calls or LinuxCalls()
        usable = self._calls.usable_cores()
        self._cores = frozenset(config.model_cores(usable))
        self._pins = self._cores != usable
        self._locked = False
        self._switch_s: float | None = None  # what it was before
        self.engine_threads = config.threads_of_engine(usable)

    def __enter__(self) -> RealtimeScope:
        if self.config.lock_memory:
            self._lock_memory()
        try:
            self.made(lambda: None)
        except ConfigError:
            self._unlock_memory()
            raise
        if self.config.switch_interval_ms is not None:
            self._switch_s = sys.getswitchinterval()
            sys.setswitchinterval(self.config.switch_interval_ms / 1000)
        return self

    def __exit__(self, *_: object) -> None:
        self._unlock_memory()
        if self._switch_s is not None:
            sys.setswitchinterval(self._switch_s)
            self._switch_s = None

    def made(self, make: Callable[[], Made]) -> Made:
        """What `make` returns, called on a thread that has the settings; what it raises is raised here.

        Raises:
            ConfigError: A setting is not permitted, and required.
        """
        made: list[Made] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                self._enter()
                made.append(make())
            except BaseException as error:  # raised on the caller's thread
                errors.append(error)

        thread = threading.Thread(target=work, name="edge-maker", daemon=True)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return made[0]

    def enter_inference(self) -> None:
        """Sets the calling thread, that of inference, and the thread that matches, which runs on capture's cores.

        Raises:
            ConfigError: A setting is not permitted, and required.
        """
        self._enter()
        if not self.config.sets_threads:
            return
        threads = self._matching_threads()
        if not threads:
            self._note("The thread that matches was not found, so it runs without real-time settings.")
        for thread in threads:
            self._set(thread, frozenset(self.config.capture_cores))

    def _enter(self) -> None:
        self._set(0, self._cores if self._pins else frozenset())

    def _matching_threads(self) -> list[int]:
        """It names itself soon after it is started."""
        for _ in range(100):
            if found := self._calls.threads_named(MATCHING_THREAD):
                return found
            time.sleep(0.001)
        return []

    def _set(self, thread: int, cores: frozenset[int]) -> None:
        config, calls = self.config, self._calls
        if cores:
            self._try(f"cores {format_cores(cores)}", OTHER_CORES, lambda: calls.set_cores(thread, cores))
        if (priority := config.priority) is not None:
            remedy = PERMIT.format(limit=f"rtprio {priority}", flag=f"rtprio={priority}")
            self._try(f"priority {priority} (SCHED_FIFO)", remedy, lambda: calls.set_fifo(thread, priority))
        elif (niceness := config.niceness) is not None:
            remedy = PERMIT.format(limit=f"nice {niceness}", flag=f"nice={20 - niceness}")
            self._try(f"niceness {niceness}", remedy, lambda: calls.set_niceness(thread, niceness))

    def _lock_memory(self) -> None:
        if not self._calls.may_lock_memory():
            self._refuse("locked memory", "the limit is too low for a whole process", UNLIMITED)
        else:
            self._locked = self._try("locked memory", UNLIMITED, self._calls.lock_memory)

    def _unlock_memory(self) -> None:
        if self._locked:
            self._locked = False
            self._calls.unlock_memory()

    def _try(self, what: str, remedy: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except OSError as error:
            self._refuse(what, str(error.strerror), remedy)
            return False
        return True

    def _refuse(self, what: str, why: str, remedy: str) -> None:
        if self.config.required:
            raise ConfigError(f"{what}: the kernel does not permit it ({why})", remedy + AS_PERMITTED)
        self._note(f"Without {what}: the kernel does not permit it ({why}).", f" To permit it: {remedy}")

    def _note(self, note: str, advice: str = "") -> None:
        if note not in self.notes:
            self.notes.append(note)
            _log.warning("%s%s", note, advice)
