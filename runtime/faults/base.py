"""What every fault has: a stream, a time, a probability; and what is at work on one stream during one run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from edge.runtime.faults.quantities import DAY_NS, as_duration, within

if TYPE_CHECKING:
    from edge.runtime.sample import Sample

ALL = "all"
Alter = Callable[["Sample"], Iterable["Sample"]]


_LEAST_SHARE = 1e-9


def _share(value: float) -> float:
    if not _LEAST_SHARE <= value <= 1:
        raise ValueError(f"{value:g} is out of range: above 0 (at least {_LEAST_SHARE:g}) and at most 1")
    return value


Share = Annotated[float, AfterValidator(_share)]
_Start = Annotated[int, within(0, DAY_NS)]
_Length = Annotated[int, within(1, DAY_NS)]


class Fault(BaseModel):
    """A fault of one stream, or of all; the class is what is dispatched on, the object is the record of what was done.

    It works on the samples which, had nothing been wrong at all, would have arrived in `[start, start + length)`,
    counted from the source's first arrival. All others are untouched, but a delayed sample may arrive among them.

    Attributes:
        stream: Name of the stream, or `all`.
        start_ns: Since when.
        length_ns: For how long; None to the end of the source.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    order: ClassVar[int]  # payloads first, then stamps, losses and copies, delays: as a sample travels
    kind: str
    stream: str = Field(min_length=1)
    start_ns: _Start
    length_ns: _Length | None = None

    @property
    def end_ns(self) -> int | None:
        """Since when it is over, from the source's first arrival; None where it lasts to the end."""
        return None if self.length_ns is None else self.start_ns + self.length_ns

    @property
    def recoverable_ns(self) -> int | None:
        """Since when the results can be complete again; None where never."""
        return self.end_ns

    @property
    def probability(self) -> float:
        """Which share of the samples it hits while it lasts."""
        return 1.0

    def is_active(self, since_ns: int) -> bool:
        """Whether it lasts at an instant after the source's first arrival."""
        return self.start_ns <= since_ns and (self.end_ns is None or since_ns < self.end_ns)

    def injector(self, origin_ns: int, words: tuple[int, ...]) -> Injector:
        """Puts it to work on one stream for one run.

        Args:
            origin_ns: The source's first arrival.
            words: Seed of its own random stream.
        """
        return Injector(self, origin_ns, words)

    def alteration(self, origin_ns: int, words: tuple[int, ...]) -> Alter:
        """What it makes of one sample that it hits; may remember those before."""
        raise NotImplementedError

    def __str__(self) -> str:
        """As `parse_fault` reads it."""
        length = "" if self.length_ns is None else f"+{as_duration(self.length_ns)}"
        head = f"{self.stream}:{self.kind}@{as_duration(self.start_ns)}{length}"
        return "".join((head, *(f",{key}={text}" for key, text in self._options())))

    def _options(self) -> Iterable[tuple[str, str]]:
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name in Fault.model_fields or name == "kind" or value == field.default:
                continue
            if name.endswith("_ns"):
                yield name.removesuffix("_ns"), as_duration(value)
            else:
                yield name, np.format_float_positional(value, trim="-") if isinstance(value, float) else str(value)


class ChanceFault(Fault):
    """A fault that hits each sample by chance.

    Attributes:
        p: Probability that it does, on its own for each sample.
    """

    p: Share = 1.0

    @property
    def probability(self) -> float:
        """Which share of the samples it hits while it lasts."""
        return self.p


class LastingFault(Fault):
    """A fault that must have an end."""

    @model_validator(mode="after")
    def _ends(self) -> LastingFault:
        if self.length_ns is None:
            raise ValueError(f"{self.kind} needs a length, as in {self.kind}@5s+2s")
        return self


class Injector:
    """A fault at work on one stream during one run.

    Attributes:
        fault: The fault.
        hits: Samples that it has hit.
    """

    def __init__(self, fault: Fault, origin_ns: int, words: tuple[int, ...]) -> None:
        self.fault = fault
        self.hits = 0
        self._origin_ns = origin_ns
        self._random = np.random.default_rng(words)
        self._alter = fault.alteration(origin_ns, words)

    def is_hit(self, arrival_ns: int) -> bool:
        """Whether it hits the next sample, which would have arrived then; asked once for each, in their order."""
        if not self.fault.is_active(arrival_ns - self._origin_ns):
            return False
        hit = bool(self._random.random() < self.fault.probability)
        self.hits += hit
        return hit

    def inject(self, samples: list[Sample], arrival_ns: int) -> list[Sample]:
        """What becomes of a sample, of which earlier faults have left `samples`: none, one, or copies."""
        if not self.is_hit(arrival_ns):
            return samples
        return [altered for sample in samples for altered in self._alter(sample)]

    def remaining(self, arrival_ns: int) -> list[Sample]:
        """What is still held when the source ends, whose last sample arrived then."""
        return []


def delayed(sample: Sample, by_ns: int) -> Sample:
    """The sample, arriving later."""
    return replace(sample, arrival_ns=sample.arrival_ns + by_ns)


def random_words(seed: int, fault: Fault, stream: str) -> tuple[int, ...]:
    """Seed of the random stream that a fault has on a stream: its own, whatever other faults there are."""
    digest = hashlib.sha256(f"{fault}\n{stream}".encode()).digest()
    return (seed, *(int.from_bytes(digest[at : at + 4], "little") for at in range(0, 16, 4)))
