"""What TensorRT's engine inspector says of a plan: the only witness of what is inside of it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from edge.runtime.engines.tensorrt_plan import LoadedPlan

if TYPE_CHECKING:
    from edge.runtime.engines.tensorrt_plan import BoardLibraries


def inspect_plan(libraries: BoardLibraries, plan: bytes) -> str:
    """JSON of all layers, with details where the engine was built with them.

    Args:
        libraries: TensorRT and CUDA.
        plan: A serialized engine that is trusted: it can run code.

    Raises:
        ModelError: TensorRT does not read the plan.
    """
    with ExitStack() as resources:
        loaded = LoadedPlan(libraries, plan, resources)
        inspector = loaded.engine.create_engine_inspector()
        inspector.execution_context = loaded.context
        return str(inspector.get_engine_information(libraries.trt.LayerInformationFormat.JSON))
