"""Sparse kernels are allowed where the bundle's record names sparse layers and the device has sparse tensor cores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.compile.board.engine import engine_of
from edge.compile.board.sparse_choice import sparsity_of, with_sparse_choice
from edge.compile.tensorrt.engine_config import EngineConfig
from edge.runtime.errors import BundleError, ConfigError
from tests.edge.simulated_host import SPARSE_NOTES, SimulatedCompiler, SimulatedHost, packed

if TYPE_CHECKING:
    from pathlib import Path

    from edge.packing.pack import BundleContents
    from edge.runtime.bundle import Bundle
    from edge.runtime.engine_cache import EngineCache


@pytest.mark.parametrize(("capability", "allowed"), [("7.2", False), ("7.5", False), ("8.0", True), ("8.7", True)])
def test_by_itself_it_goes_by_bundle_and_device(
    sparse_bundle: Bundle, int8_bundle: Bundle, capability: str, allowed: bool
) -> None:
    assert with_sparse_choice(EngineConfig(), sparse_bundle, capability).sparse_weights is allowed
    assert with_sparse_choice(EngineConfig(), int8_bundle, capability).sparse_weights is False


def test_capabilities_are_compared_as_numbers(sparse_bundle: Bundle) -> None:
    assert with_sparse_choice(EngineConfig(), sparse_bundle, "11.0").sparse_weights is True


@pytest.mark.parametrize("wish", [True, False])
def test_a_wish_counts_on_a_sparse_bundle(sparse_bundle: Bundle, wish: bool) -> None:
    config = EngineConfig(sparse_weights=wish, workspace_mib=7)
    assert with_sparse_choice(config, sparse_bundle, "8.7") == config


def test_a_wish_for_what_is_not_there_is_refused(sparse_bundle: Bundle, int8_bundle: Bundle) -> None:
    asked = EngineConfig(sparse_weights=True)
    with pytest.raises(ConfigError, match=r"no layer of bundle .*int8 is 2:4 sparse"):
        with_sparse_choice(asked, int8_bundle, "8.7")
    with pytest.raises(ConfigError, match=r"compute capability 7\.5 has no sparse tensor cores"):
        with_sparse_choice(asked, sparse_bundle, "7.5")


def noted(tmp_path: Path, contents: BundleContents, **changes: Any) -> Bundle:
    note = {**SPARSE_NOTES["sparsity"], **changes}
    return packed(tmp_path / "noted", contents, int8_plan=True, notes={"sparsity": note})


def test_layers_that_lost_their_pattern_do_not_count(tmp_path: Path, small_contents: BundleContents) -> None:
    bundle = noted(tmp_path, small_contents, lost=["objects", "distance"])
    found = sparsity_of(bundle)
    assert found is not None and found.counts == (0, 3)
    assert with_sparse_choice(EngineConfig(), bundle, "8.7").sparse_weights is False


def test_a_malformed_record_is_refused(tmp_path: Path, small_contents: BundleContents) -> None:
    with pytest.raises(BundleError, match="notes on 2:4 sparsity are malformed"):
        sparsity_of(noted(tmp_path, small_contents, layers="all"))


def test_the_engines_key_holds_what_was_decided(sparse_bundle: Bundle, engine_cache: EngineCache) -> None:
    """So that an engine of before the layers were sparse, or without sparse kernels, is another one."""
    host, compiler = SimulatedHost().open(), SimulatedCompiler()

    def build(**settings: Any) -> Any:
        return engine_of(sparse_bundle, host, EngineConfig(**settings), engine_cache, compiler=compiler)

    assert build().record.key.flags["sparse_weights"] is True
    assert not build().was_built
    assert not build(sparse_weights=True).was_built
    dense = build(sparse_weights=False)
    assert dense.was_built and "flag sparse_weights: True there, False here" in dense.reason
