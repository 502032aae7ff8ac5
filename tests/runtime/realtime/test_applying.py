"""Settings put into force: by which thread, in what order, what is refused, what is undone; and once for real."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge.runtime.errors import ConfigError
from edge.runtime.realtime.applying import RealtimeScope
from edge.runtime.realtime.settings import RealtimeConfig
from edge.runtime.realtime.system_calls import LinuxCalls
from tests.runtime.realtime.made_up_kernel import MadeUpKernel

WHOLE = RealtimeConfig(priority=40, cores=(2, 3), capture_cores=(0,), lock_memory=True)


def test_inference_and_matching_get_their_cores_and_priority() -> None:
    kernel = MadeUpKernel()
    with RealtimeScope(WHOLE, kernel) as scope:
        assert scope.engine_threads == 2
        kernel.asked.clear()
        scope.enter_inference()
        assert kernel.asked == [
            ("set_cores", 0, frozenset({2, 3})),
            ("set_fifo", 0, 40),
            ("set_cores", 77, frozenset({0})),
            ("set_fifo", 77, 40),
        ]
        assert kernel.locked
    assert not kernel.locked
    assert scope.notes == []


def test_what_makes_the_engine_has_the_settings_and_the_callers_thread_keeps_its_own() -> None:
    kernel = MadeUpKernel()
    with RealtimeScope(RealtimeConfig(niceness=-5), kernel) as scope:
        assert scope.made(lambda: threading.current_thread().name) == "edge-maker"
    assert kernel.asked == [("set_niceness", 0, -5)] * 2  # once tried, once made
    assert kernel.callers == {"edge-maker"}


def test_pythons_switch_interval_is_the_runs_and_then_what_it_was() -> None:
    before = sys.getswitchinterval()
    scope = RealtimeScope(RealtimeConfig(switch_interval_ms=0.5), MadeUpKernel())
    with scope:
        assert sys.getswitchinterval() == pytest.approx(0.0005)
    assert sys.getswitchinterval() == before
    refused = RealtimeConfig(switch_interval_ms=0.5, priority=1)
    with pytest.raises(ConfigError), RealtimeScope(refused, MadeUpKernel(refuses=["set_fifo"])):
        pytest.fail("it ran")
    assert sys.getswitchinterval() == before


def test_what_making_raises_is_raised() -> None:
    def fail() -> None:
        raise KeyError("engine")

    with RealtimeScope(RealtimeConfig(), MadeUpKernel()) as scope, pytest.raises(KeyError, match="engine"):
        scope.made(fail)


def test_settings_of_nothing_ask_for_nothing() -> None:
    kernel = MadeUpKernel(matching=())
    with RealtimeScope(RealtimeConfig(), kernel) as scope:
        scope.enter_inference()
    assert kernel.asked == []
    assert scope.notes == []
    assert scope.engine_threads == 4


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (
            "set_fifo",
            r"priority 40 \(SCHED_FIFO\): the kernel does not permit it \(Operation not permitted\).*rtprio 40",
        ),
        ("set_cores", "cores 2-3: the kernel does not permit it"),
        ("lock_memory", "locked memory: the kernel does not permit it"),
        ("may_lock_memory", "locked memory: .*the limit is too low.*ulimit -l unlimited"),
    ],
)
def test_what_is_not_permitted_is_refused_before_the_run(refused: str, said: str) -> None:
    kernel = MadeUpKernel(refuses=(refused,))
    with pytest.raises(ConfigError, match=said), RealtimeScope(WHOLE, kernel):
        pytest.fail("it ran")
    assert not kernel.locked


def test_or_it_is_logged_and_noted_once(caplog: pytest.LogCaptureFixture) -> None:
    kernel = MadeUpKernel(refuses=("set_fifo", "may_lock_memory"))
    config = WHOLE.model_copy(update={"required": False})
    with caplog.at_level(logging.WARNING), RealtimeScope(config, kernel) as scope:
        scope.enter_inference()
    assert scope.notes == [
        "Without locked memory: the kernel does not permit it (the limit is too low for a whole process).",
        "Without priority 40 (SCHED_FIFO): the kernel does not permit it (Operation not permitted).",
    ]
    assert len(caplog.records) == 2
    assert "rtprio 40" in caplog.records[1].getMessage()
    assert [what for what, _, _ in kernel.asked] == ["set_cores"] * 3  # what is permitted took effect


def test_a_matching_thread_that_is_not_there_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with RealtimeScope(RealtimeConfig(cores=(1,)), MadeUpKernel(matching=())) as scope:
        scope.enter_inference()
    assert scope.notes == ["The thread that matches was not found, so it runs without real-time settings."]


def test_this_kernel_sets_what_needs_no_permission_and_the_process_keeps_its_own() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    config = RealtimeConfig(cores=(core,), niceness=min(own + 1, 19))
    with RealtimeScope(config) as scope:
        cores, niceness = scope.made(lambda: (os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)))
    assert (cores, niceness) == ({core}, config.niceness)
    assert os.sched_getaffinity(0) == before
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


def test_this_kernel_gives_a_priority_or_says_why_not() -> None:
    config = RealtimeConfig(priority=2, required=False)
    with RealtimeScope(config) as scope:
        policy = scope.made(lambda: os.sched_getscheduler(0))
    refused = f"Without priority 2 (SCHED_FIFO): the kernel does not permit it ({os.strerror(1)})."
    assert (policy, scope.notes) in [(os.SCHED_FIFO, []), (os.SCHED_OTHER, [refused])]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def _locked_kib() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmLck"))
    return int(line.split()[1])


def test_this_kernel_locks_memory_for_the_run_or_says_why_not() -> None:
    before = _locked_kib()
    with RealtimeScope(RealtimeConfig(lock_memory=True, required=False)) as scope:
        during = _locked_kib()
    assert during > before or scope.notes[0].startswith("Without locked memory")
    assert _locked_kib() == before


def test_threads_are_found_by_their_name() -> None:
    calls = LinuxCalls()
    named = Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text().strip()
    assert threading.get_native_id() in calls.threads_named(named)
    assert calls.threads_named("no such thread") == []


UNPERMITTED = """
import os, resource, sys
from edge.runtime.errors import ConfigError
from edge.runtime.realtime.applying import RealtimeScope
from edge.runtime.realtime.settings import RealtimeConfig

for limit in (resource.RLIMIT_RTPRIO, resource.RLIMIT_NICE, resource.RLIMIT_MEMLOCK):
    resource.setrlimit(limit, (0, 0))
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
for settings in ({"priority": 50}, {"niceness": -20}, {"lock_memory": True}):
    try:
        with RealtimeScope(RealtimeConfig(**settings)):
            sys.exit(f"{settings} was permitted")
    except ConfigError as error:
        print(error.problem)
with RealtimeScope(RealtimeConfig(priority=50, lock_memory=True, required=False)) as scope:
    print(len(scope.notes), os.sched_getscheduler(0) == os.SCHED_OTHER)
"""


def test_a_user_without_any_permission_is_told_so_by_the_real_kernel() -> None:
    done = subprocess.run([sys.executable, "-c", UNPERMITTED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "priority 50 (SCHED_FIFO): the kernel does not permit it (Operation not permitted)",
        "niceness -20: the kernel does not permit it (Permission denied)",
        "locked memory: the kernel does not permit it (the limit is too low for a whole process)",
        "2 True",
    ]
