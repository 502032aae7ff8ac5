"""Who is compared: our variants, and each peer in the setting that its documentation advises.

`OUR_VARIANTS` is the one table to edit when a new option of `QuantizeConfig` is to be measured.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import onnxruntime_sides
import peer_venv
import torchao_side

import edge.calibration
import edge.compress
from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx
from edge.compress.quantize import pt2e
from edge.compress.quantize.config import QuantizeConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared_inputs import SharedInputs


@dataclass(frozen=True)
class QuantizedGraph:
    """What a side made.

    Attributes:
        graph: ONNX with Q/DQ pairs, batch 1.
        cpu_seconds: Processor time from the float model to the quantized one; not the export of either.
        versions: Of the packages that did it.
    """

    graph: bytes
    cpu_seconds: float
    versions: dict[str, str]


@dataclass(frozen=True)
class Side:
    """A column of the comparison.

    Attributes:
        name: In results and tables.
        ours: Whether it is this package.
        settings: What makes it another side than its neighbours; results are computed anew when it changes.
        quantize: Does it.
    """

    name: str
    ours: bool
    settings: dict[str, Any]
    quantize: Callable[[SharedInputs], QuantizedGraph]


@dataclass(frozen=True)
class Variant:
    """One way of ours.

    Attributes:
        name: In results and tables.
        dialect: The graph that is scored and timed: `s8` is what boards run, `u8` what x86 does.
        options: Of `QuantizeConfig`.
    """

    name: str
    dialect: Literal["s8", "u8"]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> QuantizeConfig:
        """The options, checked."""
        return QuantizeConfig(**self.options)


OUR_VARIANTS = (
    Variant("edge s8, min-max", "s8"),
    Variant("edge u8, min-max", "u8"),
    Variant("edge u8, 7-bit weights", "u8", {"weight_bits": 7}),
    Variant("edge s8, mse", "s8", {"observer": "mse"}),
    Variant("edge s8, percentile 99.99", "s8", {"observer": "percentile"}),
    Variant("edge s8, equalized", "s8", {"equalize": "activations"}),
    Variant("edge s8, adaptive rounding", "s8", {"rounding": "adaptive"}),
    Variant(
        "edge s8, mse, equalized, adaptive",
        "s8",
        {"observer": "mse", "equalize": "activations", "rounding": "adaptive"},
    ),
)


def our_side(variant: Variant) -> Side:
    """Quantizes the torch module."""
    config = variant.config

    def quantize(inputs: SharedInputs) -> QuantizedGraph:
        started = time.process_time()
        quantized = pt2e.quantize_static(inputs.module, inputs.example, inputs.batches(), config)
        seconds = time.process_time() - started
        s8 = write_s8(export_onnx(quantized, inputs.example, inputs.input_names, inputs.output_names))
        graph = s8 if variant.dialect == "s8" else write_u8(s8)
        return QuantizedGraph(graph.SerializeToString(), seconds, {"torchao": version("torchao")})

    settings = {"dialect": variant.dialect, "code": _code(), **config.model_dump(mode="json")}
    return Side(variant.name, True, settings, quantize)


def torchao_x86() -> Side:
    """PT2E with torchao's own quantizer for x86, by its own export and its own observers."""

    def quantize(inputs: SharedInputs) -> QuantizedGraph:
        started = time.process_time()
        quantized = torchao_side.quantize(inputs.module, inputs.example, inputs.batches())
        seconds = time.process_time() - started
        graph = export_onnx(quantized, inputs.example, inputs.input_names, inputs.output_names)
        return QuantizedGraph(graph.SerializeToString(), seconds, {"torchao": version("torchao")})

    return Side("torchao PT2E, x86", False, {"torchao": version("torchao")}, quantize)


def onnxruntime_side(name: str, settings: onnxruntime_sides.Settings) -> Side:
    """ONNX Runtime's static quantization of the float ONNX graph."""

    def quantize(inputs: SharedInputs) -> QuantizedGraph:
        started = time.process_time()
        graph = onnxruntime_sides.quantize(inputs.fp32, inputs.calibration, settings)
        seconds = time.process_time() - started
        return QuantizedGraph(graph, seconds, {"onnxruntime": version("onnxruntime")})

    return Side(name, False, {"onnxruntime": version("onnxruntime"), **settings.model_dump(mode="json")}, quantize)


def peer_side(name: str, command: str, settings: dict[str, Any] | None = None) -> Side:
    """A peer that lives in a venv of its own and takes the float ONNX file."""

    def quantize(inputs: SharedInputs) -> QuantizedGraph:
        made = peer_venv.quantize(command, inputs.fp32, inputs.samples_file, inputs.transformer, settings or {})
        return QuantizedGraph(made.graph, made.cpu_seconds, made.versions)

    packages = hashlib.sha256(peer_venv.REQUIREMENTS.read_bytes()).hexdigest()
    return Side(name, False, {"command": command, "packages": packages, **(settings or {})}, quantize)


@cache
def _code() -> str:
    """Digest of the source that our sides run: what they made with other code is not theirs."""
    folders = [Path(package.__file__ or "").parent for package in (edge.calibration, edge.compress)]
    digest = hashlib.sha256()
    for path in sorted(p for folder in folders for p in folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


SIDES = (
    *(our_side(variant) for variant in OUR_VARIANTS),
    onnxruntime_side("ONNX Runtime U8S8", onnxruntime_sides.Settings()),
    onnxruntime_side("ONNX Runtime U8S8, 7-bit weights", onnxruntime_sides.Settings(reduce_range=True)),
    onnxruntime_side("ONNX Runtime S8S8, symmetric", onnxruntime_sides.Settings(symmetric=True)),
    torchao_x86(),
    peer_side("ModelOpt, max", "modelopt", {"method": "max"}),
    peer_side("ModelOpt, entropy", "modelopt", {"method": "entropy"}),
    peer_side("NNCF", "nncf"),
)
