"""The note in a stage's record, written and read back."""

from __future__ import annotations

import json

import pytest

from edge.compress.sparsify.record import SPARSITY_NOTE, SparseLayer, SparsityRecord, noted_sparsity
from edge.runtime.errors import BundleError

LAYERS = tuple(SparseLayer(layer=name, weights=64, kept_norm=0.9) for name in ("a", "b"))
RECORD = SparsityRecord(importance="magnitude", layers=LAYERS, dense={"c": "grouped"}, share=0.7)


def test_it_comes_back_from_json() -> None:
    lost = RECORD.model_copy(update={"lost": ("b",)})
    for record in (RECORD, lost):
        notes = json.loads(json.dumps({SPARSITY_NOTE: record.model_dump(mode="json")}))
        assert noted_sparsity(notes) == record
    assert (str(RECORD), str(lost)) == ("sparse 2:4: 2 of 3 layers", "sparse 2:4: 1 of 3 layers")


def test_without_a_note_nothing_is_sparse() -> None:
    assert noted_sparsity({"left_float": {}}) is None


@pytest.mark.parametrize("note", ["yes", [], {"layers": 3}, {**RECORD.model_dump(mode="json"), "share": 2}])
def test_a_malformed_note_is_refused(note: object) -> None:
    with pytest.raises(BundleError, match="notes on 2:4 sparsity are malformed"):
        noted_sparsity({SPARSITY_NOTE: note})
