"""An error of one rank, as it is told to the others: they raise its like, and all end with its exit code."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from edge.runtime import errors
from edge.runtime.errors import EdgeError

KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, EdgeError)}


class ToldError(BaseModel):
    """What travels between ranks.

    Attributes:
        kind: The nearest class of `edge.runtime.errors`, by name; it brings the exit code.
        problem: As in the error.
        remedy: As in the error.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    problem: str
    remedy: str

    @classmethod
    def of(cls, error: EdgeError) -> ToldError:
        """Of an error that this rank raised."""
        kind = next(c.__name__ for c in type(error).__mro__ if KINDS.get(c.__name__) is c)
        return cls(kind=kind, problem=error.problem, remedy=error.remedy)

    def retold(self, rank: int) -> EdgeError:
        """The same error on another rank; it names the one that it comes from.

        Args:
            rank: Where it was raised.
        """
        return KINDS.get(self.kind, EdgeError)(f"{self.problem} (on rank {rank})", self.remedy)
