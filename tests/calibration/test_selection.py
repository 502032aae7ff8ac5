import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.calibration.selection import choose_samples, mix_states
from edge.runtime.errors import DataError


@given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 9))
def test_chosen_samples_are_different_and_the_same_for_one_seed(available: int, wanted: int, seed: int) -> None:
    chosen = choose_samples(available, wanted, seed)
    assert len(set(chosen.tolist())) == len(chosen) == min(available, wanted)
    assert chosen.min() >= 0 and chosen.max() < available
    assert np.array_equal(chosen, choose_samples(available, wanted, seed))


def test_another_seed_chooses_others() -> None:
    assert not np.array_equal(choose_samples(1000, 50, 0), choose_samples(1000, 50, 1))


def test_every_state_is_seen_and_never_nothing() -> None:
    rows = mix_states(100, ("camera", "lidar", "audio"))
    counts = {tuple(r): int((rows == r).all(1).sum()) for r in np.unique(rows, axis=0)}
    assert counts.pop((1, 1, 1)) == 70
    assert (0, 0, 0) not in counts
    assert len(counts) == 6 and set(counts.values()) == {5}


@given(st.integers(2, 60), st.floats(0, 0.999))
def test_a_masked_sample_is_there_wherever_there_is_room(count: int, complete: float) -> None:
    rows = mix_states(count, ("camera", "lidar"), complete)
    assert 1 <= (rows.sum(1) < 2).sum() <= max(1, count - round(count * complete))


def test_one_modality_has_nothing_to_mask() -> None:
    assert mix_states(10, ("camera",)).min() == 1


@pytest.mark.parametrize(("count", "names", "complete"), [(0, ("a",), 0.7), (3, (), 0.7), (3, ("a",), 1.5)])
def test_impossible_mixes_are_refused(count: int, names: tuple[str, ...], complete: float) -> None:
    with pytest.raises(DataError, match="cannot mix"):
        mix_states(count, names, complete)


@pytest.mark.parametrize(("available", "wanted"), [(0, 3), (3, 0)])
def test_nothing_to_choose_is_refused(available: int, wanted: int) -> None:
    with pytest.raises(DataError, match="cannot choose"):
        choose_samples(available, wanted)
