"""Readings and series as tensors: fields picked by name, normalised, oldest first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.runtime.errors import ConfigError, RigError, SampleError
from edge.runtime.model_io import ModelIO, SeriesInput, TensorInput
from edge.runtime.preprocess.preprocessor import Preprocessor
from edge.runtime.rig import Rig, Stream
from edge.runtime.sample import Reading, Series, Text

FIELDS = ("light", "temperature")
RIG = Rig(
    schema=1,
    anchor="room",
    streams={"room": Stream(kind="table", rate_hz=1, fields=FIELDS), "report": Stream(kind="text", rate_hz=1)},
)
LAST = SeriesInput(
    tensor="last",
    stream="room",
    shape=(1, 2, 3),
    fields=("temperature", "light"),
    mean=(20.0, 100.0),
    std=(5.0, 50.0),
)
NOW = TensorInput(tensor="now", stream="room", shape=(1, 1), fields=("light",), mean=(100.0,), std=(50.0,))


def series(count: int, fields: tuple[str, ...] = FIELDS) -> Series:
    steps = np.arange(count, dtype=np.float32)
    return Series(np.stack([100 + 50 * steps, 20 + 5 * steps], 1), fields)


def made(*items: Any) -> Preprocessor:
    return Preprocessor(ModelIO(schema=1, inputs=items, outputs=()), RIG)


def test_the_last_readings_are_picked_by_name_and_normalised() -> None:
    tensors = made(LAST, NOW).inputs({"room": series(5)})
    np.testing.assert_allclose(tensors["last"], [[[2, 3, 4], [2, 3, 4]]])
    np.testing.assert_allclose(tensors["now"], [[4.0]])  # of a series a reading is the last
    assert tensors["last"].dtype == np.float32


def test_an_absent_series_is_zeros() -> None:
    assert not made(LAST).inputs({})["last"].any()


def test_a_single_reading_is_as_before() -> None:
    np.testing.assert_allclose(made(NOW).inputs({"room": Reading(np.array([150, 1], np.float32), FIELDS)})["now"], 1.0)


@pytest.mark.parametrize(
    ("items", "payload", "message"),
    [
        ((LAST,), series(2), r"the series is \[2, 2\], but the model needs 3 readings of 2 fields"),
        ((LAST,), Series(np.zeros(3, np.float32), FIELDS), r"the series is \[3\]"),
        ((LAST,), Series(np.zeros((3, 3), np.float32), FIELDS), r"the values are \[3, 3\], and 2 fields are named"),
        ((LAST,), series(3, ("light", "humidity")), "lacks temperature"),
        ((LAST,), Series(np.full((3, 2), np.nan, np.float32), FIELDS), "not finite"),
        ((LAST,), Reading(np.zeros(2, np.float32), FIELDS), "is a Reading, but the model needs a Series"),
        ((NOW,), series(0), r"the values are \[0, 2\]"),
        ((NOW,), Reading(np.zeros(3, np.float32), FIELDS), r"the values are \[1, 3\], and 2 fields are named"),
        ((NOW,), Text("dark"), "is a Text, but the model needs a Reading"),
    ],
)
def test_what_does_not_fit_is_named(items: tuple[Any, ...], payload: Any, message: str) -> None:
    with pytest.raises(SampleError, match=f"stream 'room': .*{message}"):
        made(*items).inputs({"room": payload})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shape": (1, 3, 3)}, "cannot have the shape"),
        ({"shape": (2, 2, 3)}, "cannot have the shape"),
        ({"shape": (1, 2, 0)}, "cannot have the shape"),
        ({"mean": (1.0,)}, "has 1 values of mean and 2 of std"),
        ({"std": (1.0, 0.0)}, "a std that is not positive"),
    ],
)
def test_an_input_that_contradicts_itself_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"input 'last'.*{message}"):
        made(LAST.model_copy(update=changed))


def test_the_stream_must_be_a_table() -> None:
    with pytest.raises(RigError, match="needs 'report' to be a table stream, but the rig says text"):
        made(LAST.model_copy(update={"stream": "report"}))
