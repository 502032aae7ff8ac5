"""The state of a machine while something was timed on it: what two figures must share to be compared."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ClockState(_Part):
    """A clock domain: a processor's frequency policy, a GPU, a DLA, the memory.

    Attributes:
        name: `cpu0-3` (the cores that share it), `gpu`, `emc`, or what the kernel calls the device.
        now_mhz: At the time of reading; None where the kernel does not tell.
        least_mhz: Lower limit in force.
        most_mhz: Upper limit in force, which a power mode lowers.
        governor: Who picks the frequency between both.
    """

    name: str
    now_mhz: float | None = Field(None, ge=0)
    least_mhz: float | None = Field(None, ge=0)
    most_mhz: float | None = Field(None, ge=0)
    governor: str | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether nothing is left to pick, as after `jetson_clocks`."""
        return self.most_mhz is not None and self.least_mhz == self.most_mhz


class RailState(_Part):
    """A supply rail, as an INA3221 or another sensor under `hwmon` shows it.

    Attributes:
        name: Its label, such as `VDD_GPU_SOC`.
        milliwatts: Drawn at the time of reading.
    """

    name: str
    milliwatts: float = Field(ge=0)


class MachineState(_Part):
    """What was read at one time; what could not be read is None or absent, and `missing` says why.

    Attributes:
        model: What the board or machine calls itself.
        jetpack: The release of Jetson Linux, which decides the JetPack, as `Jetson Linux 36.4.3`; None elsewhere.
        power_mode: Of nvpmodel, as `0 MAXN`.
        clocks: Every domain that was found.
        temperatures_c: By thermal zone.
        limits_c: By thermal zone, the lowest temperature above which the kernel throttles.
        throttling: Cooling devices that hold something back at the time, with their step, as `cpufreq 3 of 9`.
        throttled: How often the kernel counted the hardware throttling since it booted, by source: on x86 `cores` and
            `package`, on a Jetson its over-current alarms `oc1` and so on.
        rails: Of the supply.
        source: Where rails come from: `hwmon`, `tegrastats`; None where there are none.
        cores: That this process may run on.
        threads: Thread counts in force, by who set them; ONNX Runtime's spinning as `allow_spinning` 0 or 1.
        load: Mean number of runnable processes over the last minute.
        missing: What could not be read, with the reason in one line each.
    """

    model: str | None = None
    jetpack: str | None = None
    power_mode: str | None = None
    clocks: tuple[ClockState, ...] = ()
    temperatures_c: dict[str, float] = {}
    limits_c: dict[str, float] = {}
    throttling: tuple[str, ...] = ()
    throttled: dict[str, int] = {}
    rails: tuple[RailState, ...] = ()
    source: str | None = None
    cores: tuple[int, ...] = ()
    threads: dict[str, int | str] = {}
    load: float | None = Field(None, ge=0)
    missing: tuple[str, ...] = ()
