"""What was made 2:4 sparse, and what of it is still so in the exported graph: a note of the stage's record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.compress.sparsify.config import SparseImportance
from edge.runtime.errors import BundleError, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

SPARSITY_NOTE = "sparsity"


class SparseLayer(BaseModel):
    """One layer.

    Attributes:
        layer: Path of its module.
        weights: How many it has, zeros included.
        kept_norm: L2 norm of what stayed as a share of the norm before, 0 to 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: str
    weights: int = Field(ge=1)
    kept_norm: float = Field(ge=0, le=1)


class SparsityRecord(BaseModel):
    """The layers of a model with 2:4 sparsity.

    Attributes:
        importance: By what weights were chosen.
        layers: Those that were made sparse.
        dense: The other convolutions and linear layers, and why each stays dense.
        share: Of all their weights together, how many lie in layers that were made sparse; half of those are zero.
        lost: Layers that are not 2:4 sparse in the exported graph any more, or are not found there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    importance: SparseImportance
    layers: tuple[SparseLayer, ...]
    dense: dict[str, str]
    share: float = Field(ge=0, le=1)
    lost: tuple[str, ...] = ()

    @property
    def counts(self) -> tuple[int, int]:
        """Layers that are sparse, and layers in all."""
        return len(self.layers) - len(self.lost), len(self.layers) + len(self.dense)

    def __str__(self) -> str:
        sparse, total = self.counts
        return f"sparse 2:4: {sparse} of {total} layers"


def noted_sparsity(notes: Mapping[str, Any]) -> SparsityRecord | None:
    """What a stage's notes say of sparsity; None where they say nothing.

    Raises:
        BundleError: They say something else than edge writes.
    """
    found = notes.get(SPARSITY_NOTE)
    try:
        return None if found is None else SparsityRecord.model_validate(found)
    except ValidationError as error:
        raise BundleError(
            f"the notes on 2:4 sparsity are malformed ({first_line(error)})", "pack the bundle again"
        ) from error
