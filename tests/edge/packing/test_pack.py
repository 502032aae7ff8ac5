"""Packing: refuses contents that contradict each other, and publishes whole folders only."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.packing.pack import pack_bundle
from edge.runtime.bundle import Bundle
from edge.runtime.errors import BundleError, EdgeError, ModelError, RigError
from edge.runtime.rig import Rig

if TYPE_CHECKING:
    from pathlib import Path

    from edge.packing.pack import BundleContents


def _without_audio(contents: BundleContents) -> Rig:
    raw = contents.rig.model_dump(by_alias=True)
    raw["streams"] = {k: v for k, v in raw["streams"].items() if k != "audio"}
    return Rig.model_validate(raw)


BAD: dict[str, tuple[Any, type[EdgeError], str]] = {
    "no graph": (lambda c: {"graphs": {}}, BundleError, "of no dialect"),
    "unknown dialect": (lambda c: {"graphs": {"fp8": b"x"}}, BundleError, "fp8"),
    "damaged graph": (lambda c: {"graphs": {"fp32": b"x"}}, ModelError, "does not load"),
    "no golden input": (lambda c: {"golden_inputs": ()}, BundleError, "golden input"),
    "golden of a wrong shape": (
        lambda c: {"golden_inputs": [{**c.golden_inputs[0], "audio": np.zeros((1, 1, 4, 4), np.float32)}]},
        ModelError,
        "'audio'",
    ),
    "unknown state": (lambda c: {"validated_states": {"no_radar": 1.0}}, BundleError, "no_radar"),
    "no state": (lambda c: {"validated_states": {}}, BundleError, "states"),
    "score is not a number": (lambda c: {"validated_states": {"all": float("nan")}}, BundleError, "states"),
    "rig lacks a stream": (lambda c: {"rig": _without_audio(c)}, RigError, "no stream 'audio'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_contents_leave_nothing(small_contents: BundleContents, tmp_path: Path, case: str) -> None:
    change, error, message = BAD[case]
    with pytest.raises(error, match=message):
        pack_bundle(tmp_path / "bundle", dataclasses.replace(small_contents, **change(small_contents)))
    assert list(tmp_path.iterdir()) == []


def test_replaces_a_bundle_but_no_other_folder(small_contents: BundleContents, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    first = pack_bundle(out, small_contents)
    second = pack_bundle(out, dataclasses.replace(small_contents, name="renamed"))
    assert second.id != first.id
    assert Bundle.open(out).manifest.name == "renamed"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letters.txt").write_text("dear")
    with pytest.raises(BundleError, match="exists and is no bundle"):
        pack_bundle(tmp_path / "home", small_contents)
    assert (tmp_path / "home" / "letters.txt").read_text() == "dear"
