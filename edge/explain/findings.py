"""`explain.json`: everything that was found out about a model, as programs read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.explain.attribution_summary import Attributions
from edge.explain.config import ExplainConfig
from edge.explain.contribution import ClassContribution, Contribution
from edge.explain.failure_slices import Failures
from edge.explain.fusion_shares import WeightShares
from edge.explain.group_findings import AttributeFinding
from edge.explain.paired_models import ModelComparison
from edge.explain.recording_draws import Quantity
from edge.runtime.environment import HostDescription
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ExplainedModel(_Record):
    """Which model.

    Attributes:
        kind: A checkpoint, or a bundle, of which only answers are known.
        name: Of its project.
        digest: Of its weights, or the bundle's id.
        engine: What computed its answers.
        modalities: In its order.
        classes: Of all outputs.
    """

    kind: Literal["checkpoint", "bundle"]
    name: str
    digest: str
    engine: str
    modalities: tuple[str, ...]
    classes: tuple[str, ...]


class ExplainedData(_Record):
    """On which samples.

    Attributes:
        name: Of the dataset.
        split: `test`, unless another was asked for.
        samples: How many.
        recordings: That they are from; intervals draw from these.
        digest: Of ids and recordings.
    """

    name: str
    split: str
    samples: int
    recordings: int
    digest: str


class Explanation(_Record):
    """The whole of `explain.json`.

    Attributes:
        model: Which model.
        data: On which samples.
        config: What was asked.
        states: Points of score in each modality state; `blind` is the prior, which sees nothing.
        contributions: Of each modality to the score, and to the probability of the truth.
        classes: The latter by what is true.
        shares: What the fusion says of its own weights; None where it weighs nothing, or nothing of it is known.
        attributions: Integrated gradients; None where they were not asked for, or of a bundle.
        failures: Groups that fail more than the rest, and the worst samples.
        bias: Groups of the attributes that were named.
        comparison: Against another model; None where none was given.
        environment: The machine.
        notes: What a reader must know of these figures, in words.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    model: ExplainedModel
    data: ExplainedData
    config: ExplainConfig
    states: dict[str, Quantity]
    contributions: tuple[Contribution, ...]
    classes: tuple[ClassContribution, ...]
    shares: WeightShares | None = None
    attributions: Attributions | None = None
    failures: Failures
    bias: tuple[AttributeFinding, ...] = ()
    comparison: ModelComparison | None = None
    environment: HostDescription
    notes: tuple[str, ...] = ()


def read_explanation(path: Path) -> Explanation:
    """Reads and validates an `explain.json`.

    Raises:
        ConfigError: It is missing, no JSON or not of schema 1; the message names the key.
    """
    try:
        return Explanation.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})", "pass the path of an explain.json") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "explanation"
        raise ConfigError(f"{path}: {where}: {first['msg']}", "explain the model again with this version") from error
