"""Whether TensorRT may look for kernels for 2:4 sparse weights: where the bundle's stages say that there are such."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compress.sparsify.record import noted_sparsity
from edge.devices.version_order import at_least
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from edge.compile.tensorrt.engine_config import EngineConfig
    from edge.compress.sparsify.record import SparsityRecord
    from edge.runtime.bundle import Bundle

SPARSE_CAPABILITY = "8.0"  # Ampere brought sparse tensor cores (TensorRT Developer Guide, Sparsity)


def sparsity_of(bundle: Bundle) -> SparsityRecord | None:
    """What the packed stage's record says of 2:4 sparsity in its graph; None where nothing was made sparse.

    Raises:
        BundleError: The record is malformed.
    """
    stages = bundle.manifest.stages
    return noted_sparsity(stages[-1].notes) if stages else None


def with_sparse_choice(config: EngineConfig, bundle: Bundle, capability: str) -> EngineConfig:
    """The configuration with `sparse_weights` decided.

    TensorRT finds sparse weights by itself, but only where it is allowed to look, which makes builds longer.

    Args:
        config: What is asked for.
        bundle: Whose graph is built.
        capability: Compute capability of the device.

    Raises:
        ConfigError: Sparse kernels are asked for, and nothing is sparse, or the device has none.
        BundleError: The bundle's record is malformed.
    """
    found = sparsity_of(bundle)
    is_sparse = found is not None and found.counts[0] > 0
    is_able = at_least(capability, SPARSE_CAPABILITY)
    if config.sparse_weights and not is_sparse:
        remedy = "compress it with a `sparsify` stage, or leave --sparse out"
        raise ConfigError(f"no layer of bundle {bundle.path} is 2:4 sparse, as its stages tell", remedy)
    if config.sparse_weights and not is_able:
        problem = f"a device of compute capability {capability} has no sparse tensor cores"
        raise ConfigError(problem, f"they came with {SPARSE_CAPABILITY}: leave --sparse out")
    decided = is_sparse and is_able if config.sparse_weights is None else config.sparse_weights
    return config.model_copy(update={"sparse_weights": decided})
