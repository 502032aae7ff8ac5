"""A device as data: processor, memory, peak rates, power modes and JetPacks, each with the page that it was read on."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal["jetson", "dgx", "cpu"]
Architecture = Literal["aarch64", "x86_64"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Gpu(_Strict):
    """The graphics processor.

    Attributes:
        name: Its architecture.
        sm: Compute capability, such as `8.7`.
        multiprocessors: Streaming multiprocessors (SMs) that are enabled.
        clock_mhz: Highest clock in the profile's power mode.
    """

    name: str
    sm: str = Field(pattern=r"^\d+\.\d$")
    multiprocessors: int = Field(gt=0)
    clock_mhz: float = Field(gt=0)


class Cpu(_Strict):
    """The central processor: its model, and how many cores it has in all."""

    model: str
    cores: int = Field(gt=0)


class Memory(_Strict):
    """Main memory.

    Attributes:
        gib: What is fitted. The system sees less: firmware and carve-outs take their part.
        shared: Whether CPU and GPU use the same.
        bandwidth_gb_s: Highest rate in the profile's power mode, in 1e9 bytes a second.
    """

    gib: float = Field(gt=0)
    shared: bool
    bandwidth_gb_s: float = Field(gt=0)


class Peak(_Strict):
    """Highest dense rates, in 1e12 operations a second; a multiply-accumulate counts as two. None where unknown.

    INT8 and FP16 are those of the GPU's tensor cores, FP32 is that of its CUDA cores (TF32 apart); of a CPU, all
    are those of its vector units. The DLA is not in them, and neither is structured sparsity, which doubles them.
    """

    int8_tops: float | None = Field(None, gt=0)
    fp16_tflops: float | None = Field(None, gt=0)
    fp32_tflops: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _narrower_is_no_slower(self) -> Peak:
        given = [rate for rate in (self.int8_tops, self.fp16_tflops, self.fp32_tflops) if rate is not None]
        if given != sorted(given, reverse=True):
            raise ValueError("int8_tops must be at least fp16_tflops, and that at least fp32_tflops")
        return self


class Dla(_Strict):
    """Deep learning accelerators: how many, and the dense INT8 rate of each in 1e12 operations a second."""

    cores: int = Field(gt=0)
    int8_tops: float = Field(gt=0)


class PowerMode(_Strict):
    """One power mode; None where it is not limited, or where no source tells.

    Attributes:
        id: Its number, as `nvpmodel -m` takes it.
        name: As `nvpmodel -q` prints it.
        watts: The budget that its name states.
        gpu_mhz: Highest clock of the GPU.
        cpu_cores: Cores that are online.
        multiprocessors: SMs that are not power-gated.
        bandwidth_gb_s: Highest rate of the memory.
    """

    id: int = Field(ge=0)
    name: str
    watts: float | None = Field(None, gt=0)
    gpu_mhz: float | None = Field(None, gt=0)
    cpu_cores: int | None = Field(None, gt=0)
    multiprocessors: int | None = Field(None, gt=0)
    bandwidth_gb_s: float | None = Field(None, gt=0)


class Source(_Strict):
    """Where figures were read: which ones, and on which page."""

    what: str
    url: str = Field(pattern=r"^https://\S+$")


class DeviceProfile(_Strict):
    """One device.

    Attributes:
        name: What `--target` takes.
        title: What people call it.
        kind: `jetson` has JetPacks, `dgx` has a GPU and none, `cpu` is a host without GPU.
        modules: Part numbers in the device tree, or product names in the firmware tables, that tell this device.
        peak: At the power mode `power_mode`.
        dla: At the same power mode; None where there is none.
        power_mode: The mode that clocks, bandwidth and peaks are for.
        jetpacks: Those that support it, oldest first.
        notes: How figures that no page states were derived, and what is uncertain.
    """

    schema_version: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    title: str
    kind: Kind
    architecture: Architecture
    modules: tuple[str, ...] = ()
    gpu: Gpu | None = None
    cpu: Cpu
    memory: Memory
    peak: Peak
    dla: Dla | None = None
    power_modes: tuple[PowerMode, ...] = Field(min_length=1)
    power_mode: str
    jetpacks: tuple[str, ...] = ()
    default_jetpack: str | None = None
    notes: str = ""
    sources: tuple[Source, ...] = Field(min_length=1)

    @property
    def sm_name(self) -> str | None:
        """The compute capability as compilers write it, such as `SM87`; None without a GPU."""
        return f"SM{self.gpu.sm.replace('.', '')}" if self.gpu else None

    @property
    def mode(self) -> PowerMode:
        """The power mode that the figures are for."""
        return self.power_mode_named(self.power_mode)

    def power_mode_named(self, name: str) -> PowerMode:
        """A power mode of this device.

        Raises:
            KeyError: There is none of that name.
        """
        for mode in self.power_modes:
            if mode.name == name:
                return mode
        raise KeyError(name)

    @model_validator(mode="after")
    def _kind_fits(self) -> DeviceProfile:
        if (self.kind == "cpu") == (self.gpu is not None):
            raise ValueError(f"gpu: a device of kind {self.kind} has {'none' if self.kind == 'cpu' else 'one'}")
        is_jetson = self.kind == "jetson"
        if is_jetson != bool(self.jetpacks):
            raise ValueError(f"jetpacks: a device of kind {self.kind} has {'some' if is_jetson else 'none'}")
        if is_jetson and not (self.architecture == "aarch64" and self.memory.shared):
            raise ValueError("architecture: a device of kind jetson is aarch64, and its memory is shared")
        if self.dla is not None and not is_jetson:
            raise ValueError("dla: only devices of kind jetson have one")
        return self

    @model_validator(mode="after")
    def _jetpacks_fit(self) -> DeviceProfile:
        if len(set(self.jetpacks)) != len(self.jetpacks):
            raise ValueError("jetpacks: one is listed twice")
        if self.default_jetpack not in (self.jetpacks or (None,)):
            raise ValueError(f"default_jetpack: '{self.default_jetpack}' is none of jetpacks")
        return self

    @model_validator(mode="after")
    def _power_modes_fit(self) -> DeviceProfile:
        names, ids = [m.name for m in self.power_modes], [m.id for m in self.power_modes]
        if len(set(names)) != len(names) or len(set(ids)) != len(ids):
            raise ValueError("power_modes: two have the same id or name")
        if self.power_mode not in names:
            raise ValueError(f"power_mode: '{self.power_mode}' is none of {', '.join(names)}")
        for mode in self.power_modes:
            if (mode.cpu_cores or 0) > self.cpu.cores:
                raise ValueError(f"power_modes: {mode.name} has more CPU cores than cpu.cores")
            if (mode.multiprocessors or 0) > (self.gpu.multiprocessors if self.gpu else 0):
                raise ValueError(f"power_modes: {mode.name} has more multiprocessors than the GPU")
        return self
