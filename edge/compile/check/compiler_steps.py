"""Steps that ask a compiler: TensorRT's parser, engine builds for stand-ins, and the precision that it was handed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge.compile.check.graph_steps import precision_verdict
from edge.compile.check.report import CheckStep, Finding
from edge.compile.check.step import PREFLIGHT, counted, skipped, verdict
from edge.compile.check.target import stand_in
from edge.compile.precision.declared_in_graph import graph_precision
from edge.compile.precision.declared_in_network import declared_precision
from edge.compile.tensorrt.builder import BuildError, build_engine
from edge.compile.tensorrt.engine_config import EngineConfig
from edge.compile.tensorrt.library import open_library
from edge.compile.tensorrt.network import ParserError, parse_network
from edge.devices.typing_regime import tensorrt_typing
from edge.runtime.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compile.check.subject import Subject
    from edge.compile.check.target import Target
    from edge.compile.precision.layer_precision import PrecisionReport
    from edge.compile.tensorrt.library import TensorRTLibrary
    from edge.compile.tensorrt.network import ParsedNetwork


def open_compiler() -> TensorRTLibrary:
    """The TensorRT that is here.

    Raises:
        MissingDependencyError: There is none, or one that is too old; the message says where a check finds one.
    """
    try:
        return open_library()
    except MissingDependencyError as error:
        raise MissingDependencyError(error.problem, PREFLIGHT) from error


def parse_graph(subject: Subject, target: Target) -> CheckStep:
    """The parser of the TensorRT that is here."""
    if target.tensorrt is None:
        return skipped("the target runs ONNX Runtime")
    library = open_compiler()
    parsed = _parse(library, subject, target)
    same = not library.is_rtx and library.version.startswith(target.tensorrt)
    other = "" if same else f"; the target's is TensorRT {target.tensorrt}"
    return verdict(f"{library.title} takes the graph, as {counted(parsed.network.num_layers, 'layer')}{other}")


def checked_capabilities(given: Sequence[str]) -> tuple[str, ...]:
    """Compute capabilities as the command line has them, once it is sure that the compiler here builds for each.

    Raises:
        ConfigError: One is malformed, or the TensorRT that is here does not build for it.
    """
    malformed = next((c for c in given if not re.fullmatch(r"\d{1,2}\.\d", c)), None)
    if malformed is not None:
        raise ConfigError(f"'{malformed}' is no compute capability", "write it like 8.6")
    try:
        library = open_library()
    except MissingDependencyError:  # the step itself tells
        return tuple(given)
    known = library.compute_capabilities()
    foreign = next((c for c in given if c not in known), None)
    if foreign is not None:
        able = f"choose among {', '.join(known)}" if known else "leave --sm out: it builds for the device that is here"
        raise ConfigError(f"{library.title} does not build for compute capability {foreign}", able)
    return tuple(dict.fromkeys(given))


def build_engines(subject: Subject, target: Target, capabilities: Sequence[str]) -> CheckStep:
    """Real engines: for the device itself where the compiler here can build for it, else for its stand-in.

    Args:
        subject: The model.
        target: What it is for.
        capabilities: Compute capabilities to build for; the target's or its stand-in where there are none.
    """
    if target.device.gpu is None:
        return skipped("the target runs ONNX Runtime")
    library, own = open_compiler(), target.device.gpu.sm
    chosen = list(capabilities) or [capability_for(library, own)]
    sizes, findings = {}, []
    for capability in chosen:
        try:
            sizes[capability] = _engine_bytes(library, subject, target, capability)
        except ParserError:
            return skipped("not tried: the parser does not take the graph")
        except BuildError as error:
            findings.append(Finding(layer=f"compute capability {capability}", message=error.reason))
    stand_ins = [capability for capability in chosen if capability != own]
    standing = f"; {', '.join(stand_ins)} {'stands' if len(stand_ins) == 1 else 'stand'} in for {own}"
    built = ", ".join(f"for {c} ({_megabytes(size)})" for c, size in sizes.items()) or "no engine"
    detail = f"{library.title} built {built}{standing if stand_ins else ''}"
    return verdict(detail, findings, engine_bytes=sizes, stand_ins=stand_ins)


def capability_for(library: TensorRTLibrary, own: str) -> str:
    """The compute capability to build for: the target's own, or the one that stands in for it.

    Raises:
        MissingDependencyError: This TensorRT builds for neither.
    """
    known = library.compute_capabilities()
    found = stand_in(own, known)
    if found is None and known:
        raise MissingDependencyError(
            f"{library.title} builds for {', '.join(known)}, and none of them stands in for {own}",
            "build on the device: `edge build`",
        )
    if found is None:
        raise MissingDependencyError(
            f"{library.title} builds only for the device that is here",
            f"build there with `edge build`; elsewhere {PREFLIGHT}",
        )
    return found


def check_precision(subject: Subject, target: Target) -> tuple[CheckStep, PrecisionReport]:
    """Precision as declared: by the network where TensorRT takes the graph, else by the graph's own Q/DQ pairs."""
    try:
        report = declared_precision(_parse(open_library(), subject, target))
    except (MissingDependencyError, ParserError):
        report = graph_precision(subject.graph(subject.dialect_for(target.dialects)))
    if target.tensorrt is not None and tensorrt_typing(target.tensorrt) != "strong":
        report = report.with_fp16_allowed()  # as `edge build` does there
    return precision_verdict(report, subject.plan), report


def _engine_bytes(library: TensorRTLibrary, subject: Subject, target: Target, capability: str) -> int:
    config = EngineConfig(compute_capability=capability)
    return len(build_engine(_parse(library, subject, target), config).plan)


def _parse(library: TensorRTLibrary, subject: Subject, target: Target) -> ParsedNetwork:
    return parse_network(library, subject.graphs[subject.dialect_for(target.dialects)], EngineConfig())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
