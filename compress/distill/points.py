"""Feature points: which module of the student imitates which of the teacher, and their outputs as they run."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from edge.compress.distill.config import point_pairs
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import nn

    from edge.compress.distill.config import BranchConfig, DistillConfig


@dataclass(frozen=True)
class FeaturePoint:
    """One comparison.

    Attributes:
        label: What reports call it.
        student: The student's module.
        teacher: The teacher's.
        weight: Of its distance in the loss.
        modality: Index of the modality whose absence excuses a sample; None where it never is.
    """

    label: str
    student: str
    teacher: str
    weight: float
    modality: int | None = None


def resolve_points(
    config: DistillConfig, student: nn.Module, teacher: nn.Module, modalities: Sequence[str]
) -> tuple[FeaturePoint, ...]:
    """Every comparison that the config asks for, with modules that exist.

    Raises:
        ConfigError: A module is missing in one of the models, a `*` matches nothing, or a modality is unknown.
    """
    points: list[FeaturePoint] = []
    if config.features > 0:
        for own, shown in point_pairs(config.feature_points).items():
            pairs = _expanded(own, shown, student)
            points += [FeaturePoint(f"features {o}", o, s, config.features) for o, s in pairs]
    if config.branches is not None:
        points += _branch_points(config.branches, modalities)
    labels = [point.label for point in points]
    repeated = {label for label in labels if labels.count(label) > 1}
    if repeated:
        raise ConfigError(f"feature points named twice: {sorted(repeated)}", "name each module of the student once")
    _require_modules(student, [point.student for point in points], "student")
    _require_modules(teacher, [point.teacher for point in points], "teacher")
    return tuple(points)


def _branch_points(config: BranchConfig, modalities: Sequence[str]) -> list[FeaturePoint]:
    unknown = sorted({*config.weights, *config.names} - set(modalities))
    if unknown:
        raise ConfigError(f"branches name {unknown}, the task has {list(modalities)}", "use the task's modalities")
    points = []
    for index, modality in enumerate(modalities):
        weight = config.weights.get(modality, config.weight)
        name = config.names.get(modality, modality)
        for own, shown in point_pairs(config.points).items():
            own_name, shown_name = own.replace("*", name), shown.replace("*", name)
            if weight > 0:
                points.append(FeaturePoint(f"branch {own_name}", own_name, shown_name, weight, index))
    return points


def _expanded(own: str, shown: str, student: nn.Module) -> list[tuple[str, str]]:
    """The pairs that a pattern stands for: what each `*` is in the student, it is in the teacher."""
    if "*" not in own:
        return [(own, shown)]
    pattern = re.compile("([^.]+)".join(re.escape(part) for part in own.split("*")))
    matches = [match for name, _ in student.named_modules() if (match := pattern.fullmatch(name))]
    if not matches:
        raise ConfigError(
            f"feature point '{own}' matches no module of the student ({type(student).__name__})",
            f"it has {_some_names(student)}",
        )
    return [(match.group(), _filled(shown, match.groups())) for match in matches]


def _filled(pattern: str, texts: Iterable[str]) -> str:
    for text in texts:
        pattern = pattern.replace("*", text, 1)
    return pattern


def _require_modules(model: nn.Module, names: Sequence[str], role: str) -> None:
    known = {name for name, _ in model.named_modules() if name}
    missing = [name for name in names if name not in known]
    if missing:
        raise ConfigError(
            f"feature points {missing} are no modules of the {role} ({type(model).__name__})",
            f"name modules of both models, as {{student: teacher}} where they differ; it has {_some_names(model)}",
        )


def _some_names(model: nn.Module, most: int = 12) -> str:
    """The shallowest modules."""
    names = sorted((name for name, _ in model.named_modules() if name), key=lambda name: name.count("."))
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


@contextmanager
def captured_outputs(model: nn.Module, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Output of each named module at its last call, filled while the model runs.

    Of an output that is a tuple or a Hugging Face `ModelOutput`, its first tensor.
    """
    captured: dict[str, Tensor] = {}

    def keep(name: str, output: object) -> None:
        captured[name] = _first_tensor(name, output)

    handles = [
        model.get_submodule(name).register_forward_hook(lambda _m, _i, output, name=name: keep(name, output))
        for name in dict.fromkeys(names)
    ]
    try:
        yield captured
    finally:
        for handle in handles:
            handle.remove()


def _first_tensor(name: str, output: object) -> Tensor:
    values = output.values() if isinstance(output, dict) else output if isinstance(output, tuple | list) else [output]
    for value in values:
        if isinstance(value, Tensor):
            return value
    raise ConfigError(f"feature point '{name}' gives no tensor but {type(output).__name__}", "name another module")
