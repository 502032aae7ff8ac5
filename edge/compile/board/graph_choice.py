"""Which graph of a bundle TensorRT gets on a board, and which of the engines that were built there runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compile.dialect_order import TYPED_DIALECTS, UNTYPED_DIALECTS
from edge.runtime.errors import BundleError

if TYPE_CHECKING:
    from edge.compile.board.host import BoardHost
    from edge.runtime.bundle import Bundle
    from edge.runtime.engine_cache import CachedEngine, EngineCache


def suiting_dialects(host: BoardHost) -> tuple[str, ...]:
    """Dialects in the order in which they suit the host's TensorRT."""
    return TYPED_DIALECTS if host.library.typed_only else UNTYPED_DIALECTS


def choose_graph(bundle: Bundle, host: BoardHost, dialect: str | None = None, *, typed: bool = False) -> str:
    """The dialect that suits the host's TensorRT, or the one that is asked for.

    Args:
        bundle: An opened bundle.
        host: The machine.
        dialect: The wish.
        typed: Whether the graph's types are to be kept where TensorRT could choose.

    Raises:
        BundleError: The bundle has none that TensorRT takes, or the one that is asked for is not among them.
    """
    order = TYPED_DIALECTS if typed else suiting_dialects(host)
    known = [name for name in order if name in bundle.dialects]
    if dialect is not None and dialect not in order and dialect in bundle.dialects:
        raise BundleError(
            f"the {dialect} graph is for ONNX Runtime on x86, TensorRT takes symmetric INT8 or float",
            f"choose one of {', '.join(known)}" if known else "pack the bundle with s8 or fp32",
        )
    if dialect is not None:
        if dialect not in bundle.dialects:
            bundle.graph(dialect)  # says what there is
        return dialect
    if not known:
        raise BundleError(
            f"bundle {bundle.path} has no graph for TensorRT, only {', '.join(bundle.dialects)}",
            "pack it with s8 or fp32",
        )
    return known[0]


def newest_engine(
    bundle: Bundle, host: BoardHost, cache: EngineCache, dialect: str | None = None
) -> tuple[str, CachedEngine] | None:
    """The engine that a run takes: of the dialect that suits best among those that were built, the newest.

    Args:
        bundle: An opened bundle.
        host: This machine.
        cache: Its engines.
        dialect: Only of this graph.

    Returns:
        The dialect and the engine; None where none was built for this graph, device and TensorRT.

    Raises:
        BundleError: That engine is damaged, or not this user's alone.
    """
    for name in (dialect,) if dialect else suiting_dialects(host):
        if name in bundle.dialects:
            cached = cache.find_newest(host.key(bundle.graph(name), bundle.model_io, {}))
            if cached is not None:
                return name, cached
    return None
