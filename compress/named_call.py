"""Modules that take their inputs by name, or give dictionaries, as positional tensors in and a tuple of tensors out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence


class NamedCall(nn.Module):
    """Calls a module by keywords and picks its outputs by name, so that it exports and quantizes like any other.

    Paths of its layers begin with `module.`, in `keep_float` and in reports.

    Args:
        module: What is called, such as a model of transformers.
        inputs: Names of its arguments, in the order in which tensors are passed here.
        outputs: Keys or attributes of what it returns, in the order in which tensors are given here.
        constants: Arguments that are always the same: flags, and inputs without a batch, which become a part of the
            graph.

    Attributes:
        module: The module.
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: Sequence[str],
        outputs: Sequence[str],
        constants: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.module = module
        self._inputs, self._outputs = tuple(inputs), tuple(outputs)
        self._constants = dict(constants or {})
        twice = sorted(set(self._inputs) & set(self._constants))
        if twice:
            raise ModelError(f"argument '{twice[0]}' is an input and a constant", "name it once")

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """One tensor per input in, one per output out.

        Raises:
            ModelError: Another number of tensors is passed, or an output is missing or no tensor.
        """
        if len(tensors) != len(self._inputs):
            raise ModelError(
                f"{len(tensors)} tensors for {len(self._inputs)} inputs", f"pass {', '.join(self._inputs)}"
            )
        returned = self.module(**dict(zip(self._inputs, tensors, strict=True)), **self._constants)
        return tuple(_picked(returned, name) for name in self._outputs)


def _picked(returned: Any, name: str) -> Tensor:
    value = returned.get(name) if isinstance(returned, Mapping) else getattr(returned, name, None)
    if not isinstance(value, Tensor):
        named = list(returned) if isinstance(returned, Mapping) else [type(returned).__name__]
        raise ModelError(f"the model gives no tensor '{name}'", f"name one of what it returns: {', '.join(named)}")
    return value
