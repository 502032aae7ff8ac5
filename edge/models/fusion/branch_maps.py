"""What a fusion is told of the maps that it gets, before it gets any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True)
class BranchMaps:
    """The maps `[B, C_m, h_m, w_m]` of a model's branches, in the order of its modalities.

    Attributes:
        modalities: Names.
        widths: Channels `C_m`.
        sizes: `(h_m, w_m)`; all alike where there is a grid, (1, 1) where a map is pooled.
        grid: Size of the fused map where the outputs need one; None where only the maps' contents count, and the
            fused map has one cell.
    """

    modalities: tuple[str, ...]
    widths: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    grid: tuple[int, int] | None = None

    @property
    def spatial(self) -> bool:
        """Whether the fused map has places."""
        return self.grid is not None

    def demand(self, named: Collection[str], key: str) -> None:
        """Refuses names of modalities that there are not.

        Raises:
            ConfigError: The message names them and the key of the configuration.
        """
        unknown = sorted(set(named) - set(self.modalities))
        if unknown:
            raise ConfigError(f"{key} names {unknown}, the model reads {list(self.modalities)}", f"correct {key}")
