"""How many samples a profile takes, and the rule that a percentile is only told where there are enough of them."""

from __future__ import annotations

import math
import re

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edge.runtime.errors import ConfigError
from edge.runtime.statistics import minimum_samples

DEFAULT_SAMPLES = 1_000
_TAILS = 0.975  # either side of a two-sided interval at 95 %
_PERCENTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,3})?)")


class SamplingConfig(BaseModel):
    """When enough was measured.

    Attributes:
        samples: So many at most; with neither this nor a duration 1,000, or as many as `percentile` needs.
        duration_s: So long at most; with both, what comes first.
        percentile: Such as `p99`: fewer samples than it needs are an error, and not a figure.
        seed: Of random inputs and of orders.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    samples: int | None = Field(None, ge=1)
    duration_s: float | None = Field(None, gt=0, allow_inf_nan=False)
    percentile: str | None = None
    seed: int = Field(0, ge=0)

    @field_validator("percentile")
    @classmethod
    def _check_percentile(cls, name: str | None) -> str | None:
        if name is not None:
            share_of(name)
        return name

    @property
    def needed(self) -> int:
        """Fewest samples that the percentile asked for can be told of."""
        return 1 if self.percentile is None else minimum_samples(share_of(self.percentile))

    @property
    def most(self) -> float:
        """Samples after which it is over; infinite where the time alone ends it."""
        if self.samples is not None:
            return self.samples
        if self.duration_s is not None:
            return math.inf
        return max(DEFAULT_SAMPLES, 1 if self.percentile is None else bounding_samples(share_of(self.percentile)))

    def check_possible(self) -> None:
        """Before anything is timed.

        Raises:
            ConfigError: Fewer samples are asked for than the percentile needs.
        """
        if self.most < self.needed:
            raise ConfigError(
                f"{self.percentile} needs at least {self.needed} samples, and {self.samples} are asked for",
                f"give --samples {self.needed} or more, or ask for a lower --percentile",
            )

    def check_taken(self, taken: int) -> None:
        """When the time is over.

        Raises:
            ConfigError: It gave fewer samples than the percentile needs.
        """
        if taken < self.needed:
            longer = "" if self.duration_s is None else f"--duration {math.ceil(self.duration_s * self.needed / taken)}"
            raise ConfigError(
                f"{self.percentile} needs at least {self.needed} samples, and only {taken} came in time",
                f"give {longer or '--samples'} or more, or ask for a lower --percentile",
            )


def share_of(name: str) -> float:
    """0.99 of `p99`.

    Raises:
        ConfigError: It is no percentile's name.
    """
    matched = _PERCENTILE.fullmatch(name)
    share = float(matched[1]) / 100 if matched else 0.0
    if not 0.0 < share < 1.0:
        raise ConfigError(f"'{name}' is no percentile", "write it as p50, p99 or p99.9")
    return share


def bounding_samples(share: float) -> int:
    """Fewest independent samples that bound a percentile from both sides at 95 %: 367 for p99, 3,688 for p99.9."""
    return minimum_samples(max(share, 1.0 - share), _TAILS)
