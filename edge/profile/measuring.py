"""From a path and what was asked for to a profile, whatever lies there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.profile.assembly import LAYER_ROUNDS
from edge.profile.sample_rule import SamplingConfig
from edge.profile.subjects.opening import is_bundle, open_timed
from edge.profile.subjects.timed import SubjectConfig
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.profile.contents import Profile, Scenario
    from edge.profile.subjects.timed import TimedSubject
    from edge.runtime.trust import TrustPolicy

OFFLINE_BATCH = 8


@dataclass(frozen=True)
class ProfileOrder:
    """How something is to be profiled.

    Attributes:
        scenario: See `edge.profile.contents.Profile`.
        rule: How many samples.
        opened: How the subject is opened; its batch is set from `batch`.
        batch: Samples at once; 1, and 8 for `offline`, where it is not given.
        layer_rounds: Inferences that layers are the mean of; 0 leaves them out.
        trust: What a bundle's signature must be.
    """

    scenario: Scenario = "single"
    rule: SamplingConfig = field(default_factory=SamplingConfig)
    opened: SubjectConfig = field(default_factory=SubjectConfig)
    batch: int | None = None
    layer_rounds: int = LAYER_ROUNDS
    trust: TrustPolicy | None = None

    @property
    def at_once(self) -> int:
        """Samples at once."""
        return self.batch or (OFFLINE_BATCH if self.scenario == "offline" else 1)


def measure(path: Path, order: ProfileOrder, on_samples: Callable[[int], None] | None = None) -> Profile:
    """Profiles what lies at a path.

    Args:
        path: A bundle, an ONNX file, an exported program or a TensorRT engine.
        order: How.
        on_samples: Called now and then with the samples taken so far.

    Raises:
        ConfigError: The order contradicts itself or the subject, or asks for a percentile of too few samples.
        EdgeError: The subject does not load, or fails.
    """
    order.rule.check_possible()
    if order.scenario == "stream":
        return _streamed(path, order, on_samples)
    timed = open_for(path, order)
    try:
        if order.scenario == "offline":
            from edge.profile.offline import profile_offline

            return profile_offline(
                timed, order.rule, order.at_once, layer_rounds=order.layer_rounds, on_samples=on_samples
            )
        from edge.profile.single import profile_single

        return profile_single(timed, order.rule, layer_rounds=order.layer_rounds, on_samples=on_samples)
    finally:
        timed.close()


def open_for(path: Path, order: ProfileOrder, *, whole_road: bool = True) -> TimedSubject:
    """Opens a subject for `single` or `offline`; a bundle's whole road only for the former.

    Raises:
        ConfigError: It does not take a batch, or there is nothing to time.
        EdgeError: It does not load.
    """
    batch = 1 if is_bundle(path) else order.at_once
    opened = order.opened.model_copy(update={"batch": batch})
    road = whole_road and order.scenario == "single"
    if order.scenario == "offline" and opened.sources:
        raise ConfigError("offline runs a bundle's engine alone, on its examples", "leave --source out")
    timed = open_timed(path, opened, order.trust, whole_road=road)
    if order.scenario == "single" and order.at_once not in (1, timed.batch):
        timed.close()
        raise ConfigError(
            f"{path.name} takes {timed.batch} sample at a time, not {order.at_once}",
            "leave --batch out, or use offline",
        )
    return timed


def _streamed(path: Path, order: ProfileOrder, on_samples: Callable[[int], None] | None) -> Profile:
    from edge.profile.streaming.scenario import profile_stream, run_length_s
    from edge.profile.subjects.bundle_subject import open_drive
    from edge.run_engine import open_engine
    from edge.runtime.bundle import Bundle
    from edge.runtime.engines.tensorrt import RunnerConfig

    if not is_bundle(path):
        raise ConfigError(f"{path.name} is no bundle, and streams are what bundles take", "use --scenario single")
    if order.batch not in (None, 1):
        raise ConfigError("a stream is run sample by sample", "leave --batch out")
    bundle, opened = Bundle.open(path, order.trust), order.opened
    source = open_drive(bundle, opened.sources, run_length_s(order.rule, bundle.rig))
    runner = RunnerConfig(device=opened.device)
    engine = open_engine(bundle, opened.dialect, opened.threads, opened.engine, runner)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if on_samples is not None:
            on_samples(done)

    return profile_stream(bundle, source, engine, order.rule, on_result=count)
