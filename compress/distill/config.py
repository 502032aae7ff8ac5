"""What a student imitates, and how much."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# Modules that both models have under one name, or {student's module: teacher's module}.
PointNames = tuple[str, ...] | dict[str, str]


class BranchConfig(BaseModel):
    """Imitation of the teacher's branches, one modality each; a sample that lacks the modality gives no loss.

    Attributes:
        points: Modules with one `*` for the modality, e.g. `branches.*.encoder`; same name in both models, or
            `{student: teacher}`.
        weight: Of every branch.
        weights: By modality, where a branch weighs otherwise; 0 leaves it out.
        names: What `*` stands for where modules are not called as their modality.

    Raises:
        ValueError: A point has no `*`, or more than one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    points: PointNames = ("branches.*.encoder",)
    weight: float = Field(0.5, ge=0)
    weights: dict[str, float] = {}
    names: dict[str, str] = {}

    @field_validator("points")
    @classmethod
    def _one_star(cls, points: PointNames) -> PointNames:
        for student, teacher in point_pairs(points).items():
            if student.count("*") != 1 or teacher.count("*") != 1:
                raise ValueError(f"branch point '{student}': '{teacher}' needs one `*` a side, for the modality")
        return points

    @field_validator("weights")
    @classmethod
    def _not_negative(cls, weights: dict[str, float]) -> dict[str, float]:
        if any(weight < 0 for weight in weights.values()):
            raise ValueError(f"branch weights must not be negative: {weights}")
        return weights


class DistillConfig(BaseModel):
    """How much of what the student imitates.

    Attributes:
        labels: Weight of the task's own loss.
        logits: Weight of the imitation of the teacher's outputs.
        features: Weight of the imitation of its features, each point.
        feature_points: Modules whose outputs are compared, by one name in both models or as `{student: teacher}`; a
            `*` stands for any text without dots, the same on both sides. A projector bridges differing widths
            (FitNets, Romero et al. 2015), pooling differing sizes.
        branches: Imitation of the teacher's branches, modality by modality; absent means none.
        temperature: Softens categorical outputs; the loss carries its square, so that gradients keep
            their size (Hinton et al. 2015, section 2).

    Raises:
        ValueError: Nothing is left to learn from, or a pair's sides differ in their `*`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: float = Field(1.0, ge=0)
    logits: float = Field(1.0, ge=0)
    features: float = Field(0.5, ge=0)
    feature_points: PointNames = ("fusion",)
    branches: BranchConfig | None = None
    temperature: float = Field(2.0, gt=0)

    @field_validator("feature_points")
    @classmethod
    def _stars_pair(cls, points: PointNames) -> PointNames:
        for student, teacher in point_pairs(points).items():
            if student.count("*") != teacher.count("*"):
                raise ValueError(f"feature point '{student}': '{teacher}' needs as many `*` on both sides")
        return points

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> DistillConfig:
        features = self.features if self.feature_points else 0.0
        if not (self.labels or self.logits or features or self.branches):
            raise ValueError("labels, logits, features and branches are all off: nothing is left to learn from")
        return self


def point_pairs(points: PointNames) -> dict[str, str]:
    """The student's module and the teacher's, whichever way they were written."""
    return dict(points) if isinstance(points, dict) else {name: name for name in points}
