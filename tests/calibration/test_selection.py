import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.calibration.selection import choose_at_random, mix_states, shares_of
from edge.runtime.errors import DataError


@given(st.lists(st.integers(0, 4), min_size=1, max_size=300), st.data())
def test_a_draw_has_no_sample_twice_and_gives_each_stratum_its_share(strata: list[int], data: st.DataObject) -> None:
    wanted = data.draw(st.integers(1, len(strata)))
    states = np.array(strata)
    chosen = choose_at_random(states, wanted, seed=3)
    assert len(set(chosen.tolist())) == len(chosen) == wanted
    assert np.array_equal(chosen, choose_at_random(states, wanted, seed=3))
    names, counts = np.unique(states, return_counts=True)
    for name, count in zip(names, counts, strict=True):
        taken = int((states[chosen] == name).sum())
        assert wanted < len(names) or taken >= 1
        assert taken <= count
        assert abs(taken - wanted * count / len(states)) < len(names)
    assert shares_of(states, wanted) == {int(n): int((states[chosen] == n).sum()) for n in names}


def test_another_seed_chooses_others() -> None:
    states = np.zeros(1000, int)
    assert not np.array_equal(choose_at_random(states, 50, 0), choose_at_random(states, 50, 1))


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


@pytest.mark.parametrize(("available", "wanted"), [(0, 3), (3, 0), (3, 4)])
def test_what_is_not_there_cannot_be_chosen(available: int, wanted: int) -> None:
    with pytest.raises(DataError, match=f"cannot choose {wanted} calibration samples out of {available}"):
        choose_at_random(np.zeros(available, int), wanted)
