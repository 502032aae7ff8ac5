"""Statistics of inputs, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.explain.statistics_of_inputs import input_statistics
from edge.runtime.model_io import ModelIO
from tests.edge.explain.planted import sample_set

IO = ModelIO.model_validate(
    {
        "schema": 1,
        "inputs": [
            {
                "feature": "image",
                "tensor": "camera",
                "stream": "camera",
                "shape": [1, 1, 2, 2],
                "mean": [0.5],
                "std": [0.25],
            },
            {"feature": "lidar_view", "tensor": "lidar", "stream": "lidar", "camera": "camera", "shape": [1, 4, 2, 2]},
            {"feature": "logmel", "tensor": "audio", "stream": "audio", "shape": [1, 1, 2, 2]},
            {
                "feature": "series",
                "tensor": "pump",
                "stream": "pump",
                "shape": [1, 2, 3],
                "fields": ["pressure", "flow"],
                "mean": [10, 0],
                "std": [2, 1],
            },
            {
                "feature": "tokens",
                "tensor": "note",
                "stream": "note",
                "shape": [1, 4],
                "tokenizer": "t.json",
                "vocabulary": 9,
            },
            {"feature": "present", "streams": ["camera", "lidar", "audio", "pump", "note"]},
        ],
        "outputs": [{"decoder": "softmax", "tensor": "y", "classes": ["a", "b"]}],
    }
)


def test_each_kind_of_input_has_its_statistics_in_units_of_the_readings() -> None:
    lidar = torch.zeros(2, 4, 2, 2)
    lidar[0, 3, 0] = 1.0
    lidar[0, 0, 0] = torch.tensor([0.2, 0.4])
    inputs = [
        torch.stack([torch.zeros(1, 2, 2), torch.full((1, 2, 2), 2.0)]),
        lidar,
        torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]], [[[5.0, 5.0], [5.0, 5.0]]]]),
        torch.tensor([[[0.0, 0, 0], [1, 2, 3]], [[1.0, 1, 1], [0, 0, 0]]]),
        torch.tensor([[3, 4, 0, 0], [1, 1, 1, 1]]),
    ]
    available = torch.ones(2, 5)
    available[1, 4] = 0
    found = input_statistics(sample_set(inputs, torch.zeros(2, dtype=torch.long), available=available), IO)
    expected = {
        "camera brightness": [0.5, 1.0],
        "camera contrast": [0.0, 0.0],
        "lidar returns": [0.5, 0.0],
        "lidar depth": [0.3, 0.0],
        "audio level": [2.5, 5.0],
        "audio variation": [np.std([1, 2, 3, 4], ddof=1), 0.0],
        "pump pressure mean": [10.0, 12.0],
        "pump pressure deviation": [0.0, 0.0],
        "pump flow mean": [2.0, 0.0],
        "pump flow deviation": [np.std([1, 2, 3]), 0.0],
        "note length": [2.0, np.nan],
    }
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-6, nan_ok=True), name
