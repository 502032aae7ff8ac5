"""A runtime of three threads whose steps take fixed times, in virtual time: its limits are known."""

from __future__ import annotations

from dataclasses import dataclass

from edge.profile.load.contents import StepFigures
from edge.runtime.clock import VirtualClock
from edge.runtime.statistics import Distribution

MS, S = 1_000_000, 1_000_000_000
CLOCK_MODEL_HZ = 10.0


@dataclass(frozen=True)
class FixedTimes:
    """Nanoseconds that each thread takes for one set.

    The producer pushes one sample of one stream a set; sets wait in a mailbox of one, the latest wins.

    Attributes:
        push_ns: By the producer.
        match_ns: By the thread that matches.
        stages_ns: By the thread that runs the model.
    """

    push_ns: int
    match_ns: int
    stages_ns: dict[str, int]
    sets: int = 400

    @property
    def limit_hz(self) -> float:
        """The highest rate that no thread is too slow for."""
        return S / max(self.push_ns, self.match_ns, sum(self.stages_ns.values()))

    def step(self, factor: float) -> StepFigures:
        """Plays one step, event by event."""
        rate_hz = CLOCK_MODEL_HZ * factor
        period_ns = S / rate_hz
        model_ns = sum(self.stages_ns.values())
        producer, matcher, model = VirtualClock(), VirtualClock(), VirtualClock()
        pushed: list[int] = []
        ages: list[int] = []
        ready: list[int] = []
        waiting: tuple[int, int] | None = None  # stamp, and when it was matched
        overruns = 0
        for k in range(self.sets + 1):
            stamp = round(k * period_ns)
            for clock, taken in ((producer, self.push_ns), (matcher, self.match_ns)):
                clock.wait_until_ns(stamp if clock is producer else pushed[-1])
                clock.wait_until_ns(clock.now_ns() + taken)
                if clock is producer:
                    pushed.append(clock.now_ns())
            if waiting is not None and model.now_ns() <= matcher.now_ns():  # the model was free before this one came
                model.wait_until_ns(waiting[1])
                model.wait_until_ns(model.now_ns() + model_ns)
                ready.append(model.now_ns())
                ages.append(ready[-1] - waiting[0])
                waiting = None
            overruns += waiting is not None
            waiting = (stamp, matcher.now_ns())
        third = max(1, len(ages) // 3)
        return StepFigures(
            factor=factor,
            asked_hz=rate_hz,
            delivered_hz=_rate(pushed),
            results_hz=_rate(ready),
            sets=len(ready) + overruns,
            overruns=overruns,
            latency_ms=Distribution.of(ages, MS),
            age_growth_ms=(sum(ages[-third:]) - sum(ages[:third])) / third / MS,
            stages_ms={name: taken / MS for name, taken in self.stages_ns.items()},
            utilisation={
                "producer": self.push_ns / period_ns,
                "matching": self.match_ns / period_ns,
                "inference": model_ns / period_ns,
            },
        )


def _rate(instants: list[int]) -> float | None:
    return None if len(instants) < 2 else (len(instants) - 1) * S / (instants[-1] - instants[0])
