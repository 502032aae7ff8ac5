"""Figures and names of a profile as every view words them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edge.report.page_templates import DASH, milliseconds, spaced_words
from edge.runtime.manifest import printable
from edge.runtime.statistics import Distribution, minimum_samples

if TYPE_CHECKING:
    from edge.profile.contents import Measured, Profile

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
_SCENARIOS = {
    "single": "one inference after the other",
    "stream": "fed by a source at its pace",
    "offline": "as fast as it goes",
}


class Percentile(NamedTuple):
    """A percentile and what is known of it.

    Attributes:
        name: Such as `p99`.
        value: Milliseconds; None where n is too small.
        interval: At 95 %; None where n cannot bound it from both sides.
        needs: Samples that it takes at least.
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None
    needs: int

    @property
    def words(self) -> str:
        """The value, or a dash with the n that it needs."""
        return milliseconds(self.value) if self.value is not None else f"{DASH} (needs n = {self.needs:,})"

    @property
    def bounds(self) -> str:
        """The interval; empty where there is none."""
        if self.interval is None:
            return ""
        return f"{milliseconds(self.interval[0])} to {milliseconds(self.interval[1])}"


def percentiles_of(measured: Measured | Distribution) -> tuple[Percentile, ...]:
    """The four percentiles of `SHARES`; those of a plain distribution have no interval."""
    values = distribution_of(measured).to_json()
    intervals = {} if isinstance(measured, Distribution) else measured.intervals
    return tuple(
        Percentile(name, values[name], intervals.get(name), minimum_samples(share)) for name, share in SHARES.items()
    )


def distribution_of(measured: Measured | Distribution) -> Distribution:
    """What both have: ages come without intervals."""
    return measured if isinstance(measured, Distribution) else measured.distribution


def scenario_words(profile: Profile) -> str:
    """How it was run, in half a sentence."""
    batch = "" if profile.batch == 1 else f", batch {profile.batch}"
    return f"{profile.scenario}: {_SCENARIOS[profile.scenario]}{batch}"


def shape_words(profile: Profile) -> str:
    """Inputs as run, such as `camera 1 x 3 x 64 x 208`."""
    times = " \N{MULTIPLICATION SIGN} "
    shapes = ((name, times.join(map(str, sizes))) for name, sizes in profile.subject.inputs.items())
    return ", ".join(f"{printable(name)} {sizes}".rstrip() for name, sizes in shapes)


def stage_words(name: str) -> str:
    """A stage's name as people write it."""
    return spaced_words(printable(name))


def shortened(text: str, most: int) -> str:
    """At most `most` characters: beginning and end, which tell names of layers apart."""
    text = printable(text)
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - (most - 1 - head) :]}"
