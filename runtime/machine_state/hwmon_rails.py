"""Supply rails of the power sensors that the kernel shows under hwmon.

Documentation/hwmon/ina3221.rst, ina2xx.rst, ina238.rst: millivolts, milliamperes, microwatts. Orin's modules have
INA3221s of three channels with the rail's name as the label of the channel's voltage; Thor's carrier board adds an
INA238 on the supply's input, where the label `VIN` is the device's.
"""

from __future__ import annotations

from pathlib import Path

from edge.runtime.machine_state.rail_reader import RailReader
from edge.runtime.machine_state.state import RailState
from edge.runtime.machine_state.system_files import SystemFiles, as_number

CHIPS = "sys/class/hwmon/hwmon*"
INA3221S = ("sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*", "sys/bus/i2c/drivers/ina3221x/*/hwmon/hwmon*")
CHANNELS = (1, 2, 3)  # in4 and above are an INA3221's shunt voltages
# Chips of one channel that compute the power themselves.
SINGLE = ("ina219", "ina226", "ina228", "ina230", "ina237", "ina238")
LABELS = ("label", "in1_label", "power1_label")
UNCONNECTED = "NC"


class HwmonRails(RailReader):
    """Rails of the power sensors that the kernel shows.

    Args:
        root: Below which the system's files are.
    """

    source = "hwmon"

    def __init__(self, root: Path = Path("/")) -> None:
        self._files = SystemFiles(root)
        self.missing = self._files.missing
        self._triples = {chip.resolve(): chip for pattern in INA3221S for chip in self._files.found(pattern)}
        self._singles: list[tuple[Path, str]] = []  # with the names of those that have no label
        for chip in self._files.found(CHIPS):
            kind = self._files.text(chip / "name") or ""
            if kind in SINGLE:
                self._singles.append((chip, kind))
            elif kind in ("ina3221", "ina3221x"):
                self._triples.setdefault(chip.resolve(), chip)

    def read(self) -> tuple[RailState, ...]:
        """The power of every connected channel; one that says no number is left out and noted."""
        told = [self._channel(chip, channel) for chip in self._triples.values() for channel in CHANNELS]
        told += [self._single(chip, name) for chip, name in self._singles]
        found: dict[str, RailState] = {}
        for rail in told:
            if rail is not None:
                found.setdefault(rail.name, rail)
        return tuple(found.values())

    def close(self) -> None:
        """There is nothing to end."""

    def _channel(self, chip: Path, channel: int) -> RailState | None:
        label = self._files.text(chip / f"in{channel}_label")
        enabled = self._files.text(chip / f"in{channel}_enable")
        if label is None or label.upper() == UNCONNECTED or as_number(enabled or "1") == 0:
            return None
        return self._power(chip, channel, f"in{channel}_input", label)

    def _single(self, chip: Path, name: str) -> RailState | None:
        labels = (self._files.text(chip / label) for label in LABELS)
        return self._power(chip, 1, "in1_input", next((label for label in labels if label), name))

    def _power(self, chip: Path, channel: int, voltage: str, name: str) -> RailState | None:
        """As the chip computed it, else voltage times current."""
        own = chip / f"power{channel}_input"
        if own.is_file():
            milliwatts = self._files.number(own, f"rail {name}", scale=1e-3)
        else:
            volts = self._files.number(chip / voltage, f"rail {name}")
            amperes = self._files.number(chip / f"curr{channel}_input", f"rail {name}")
            milliwatts = None if volts is None or amperes is None else volts * amperes / 1000
        return None if milliwatts is None else RailState(name=name, milliwatts=milliwatts)
