"""All probes in the order of a report, and what a caller needs of them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from edge.devices.doctor import board_probes, build_probes, own_probes, package_probes
from edge.runtime.errors import ConfigError, GateError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.devices.doctor.finding import Finding
    from edge.devices.doctor.machine import Machine

PROBES: tuple[Callable[[Machine], Finding], ...] = (
    *(own_probes.python, own_probes.edge_itself, own_probes.core, own_probes.cache_folder),
    *(package_probes.training, package_probes.onnxruntime, package_probes.signing),
    *(board_probes.board, board_probes.gpu, board_probes.jetpack, board_probes.jetpack_packages),
    *(board_probes.power_mode, board_probes.power_rails),
    *(package_probes.tensorrt, package_probes.cuda_python),
    *(package_probes.tensorrt_rtx, package_probes.torch_tensorrt),
    *(build_probes.cross_compiler, build_probes.emulator),
)


def examine(machine: Machine) -> tuple[Finding, ...]:
    """What a machine can do; `Machine()` is this one."""
    return tuple(probe(machine) for probe in PROBES)


def demand(findings: Sequence[Finding], topics: Sequence[str]) -> None:
    """Refuses a machine that lacks what is needed; what is limited is there.

    Raises:
        ConfigError: A topic is unknown; the nearest is offered.
        GateError: Topics are missing; the message names them and the commands that add them.
    """
    known = {finding.topic: finding for finding in findings}
    for topic in topics:
        if topic not in known:
            nearest = get_close_matches(topic, known, 1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"choose one of {', '.join(known)}"
            raise ConfigError(f"--need {topic}: there is no such topic", hint)
    missing = [known[topic] for topic in dict.fromkeys(topics) if known[topic].status == "missing"]
    if missing:
        commands = "; ".join(finding.remedy for finding in missing if finding.remedy)
        raise GateError(
            "this machine lacks " + ", ".join(f"{finding.topic} ({finding.found})" for finding in missing),
            f"run: {commands}" if commands else "use another machine",
        )
