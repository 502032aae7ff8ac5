"""A look at the network that Torch-TensorRT hands to TensorRT's builder, before it is built."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def tapped(on_network: Callable[[Any], None], on_config: Callable[[Any, Any], None]) -> Iterator[None]:
    """While the body runs, every network that is converted is shown, and every builder configuration.

    Args:
        on_network: Called with Torch-TensorRT's interpreter when its network is complete.
        on_config: Called with the interpreter and its TensorRT builder configuration before it builds.
    """
    from torch_tensorrt.dynamo.conversion._TRTInterpreter import TRTInterpreter

    construct, populate = TRTInterpreter._construct_trt_network_def, TRTInterpreter._populate_trt_builder_config

    def constructed(self: Any) -> None:
        construct(self)
        on_network(self)

    def populated(self: Any, *args: Any, **kwargs: Any) -> Any:
        config = populate(self, *args, **kwargs)
        on_config(self, config)
        return config

    TRTInterpreter._construct_trt_network_def = constructed
    TRTInterpreter._populate_trt_builder_config = populated
    try:
        yield
    finally:
        TRTInterpreter._construct_trt_network_def = construct
        TRTInterpreter._populate_trt_builder_config = populate
