"""Modality states: names, and which one the runtime runs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.runtime.states import BLIND, all_states, choose_state, state_name

THREE = ("camera", "lidar", "audio")


def test_three_modalities_have_seven_states() -> None:
    assert list(all_states(THREE)) == [
        "all", "no_audio", "no_lidar", "no_camera", "only_camera", "only_lidar", "only_audio",
    ]  # fmt: skip


def test_two_and_four_modalities_have_plain_names() -> None:
    assert list(all_states(("image", "audio"))) == ["all", "only_image", "only_audio"]
    assert state_name(("a", "c"), ("a", "b", "c", "d")) == "a+c"
    assert state_name((), THREE) == BLIND


def test_the_largest_validated_state_wins_then_the_better_score() -> None:
    validated = {"no_camera": 70.0, "no_lidar": 60.0, "only_audio": 90.0}
    assert choose_state(THREE, THREE, validated) == "no_camera"
    assert choose_state(("camera", "audio"), THREE, validated) == "no_lidar"
    assert choose_state(("audio",), THREE, validated) == "only_audio"
    assert choose_state(("lidar",), THREE, validated) == BLIND
    assert choose_state((), THREE, validated) == BLIND


@given(
    present=st.sets(st.sampled_from(THREE)),
    validated=st.dictionaries(st.sampled_from(list(all_states(THREE))), st.floats(0, 100)),
)
def test_a_chosen_state_never_needs_what_is_missing(present: set[str], validated: dict[str, float]) -> None:
    chosen = choose_state(present, THREE, validated)
    states = all_states(THREE)
    fitting = [s for s in validated if set(states[s]) <= present]
    if chosen == BLIND:
        assert not fitting
    else:
        assert chosen in fitting
        assert len(states[chosen]) == max(len(states[s]) for s in fitting)
