"""The street: closed form, endless, seeded, and drawn as its config says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pydantic import ValidationError

from edge.runtime.errors import ConfigError
from edge.runtime.simulate.bodies import CAR, CLASSES, EMERGENCY, PEDESTRIAN, TRUCK, draw_body
from edge.runtime.simulate.street import Street, StreetConfig, Thing


def _state(things: tuple[Thing, ...]) -> list[tuple[float, ...]]:
    return [(t.slot, t.turn, t.body.kind, t.x, t.y, t.z, t.yaw, t.vx, t.vy) for t in things]


def test_any_instant_can_be_asked_in_any_order() -> None:
    forwards, backwards = Street(5), Street(5)
    instants = (0.0, 3.3, 61.0, 4000.5)
    first = {t: _state(forwards.objects_at(t)) for t in instants}
    assert first == {t: _state(backwards.objects_at(t)) for t in reversed(instants)}
    assert _state(Street(6).objects_at(3.3)) != first[3.3]


@pytest.mark.parametrize("seed", range(6))
def test_velocity_is_the_derivative_of_the_position(seed: int) -> None:
    street, step = Street(seed), 1e-4
    for before, after in zip(street.objects_at(7.0), street.objects_at(7.0 + step), strict=True):
        if before.turn == after.turn:
            assert (after.x - before.x) / step == pytest.approx(before.vx, abs=0.02)
            assert (after.y - before.y) / step == pytest.approx(before.vy, abs=0.02)


def test_an_endless_drive_stays_populated() -> None:
    street = Street(2, StreetConfig(traffic=1, pedestrians=1))
    ahead = [sum(0 < t.x < 40 for t in street.objects_at(float(t))) for t in range(0, 3600, 60)]
    assert min(ahead) >= 5
    turns = {t.turn for t in street.objects_at(3600.0)}
    assert len(turns) > 2  # specimens were replaced


def test_nobody_drives_through_the_ego_vehicle() -> None:
    for seed in range(40):
        street = Street(seed)
        for t_s in np.arange(0, 40, 0.5):
            for thing in street.objects_at(float(t_s)):
                assert not (abs(thing.y) < 1.2 and -1.0 < thing.x - thing.body.length / 2 < 1.5), (seed, t_s)


def test_vehicles_of_a_lane_do_not_overlap() -> None:
    for seed in range(30):
        things = Street(seed, StreetConfig(traffic=1, parked=1)).objects_at(13.0)
        for lane in (3.4, -4.1):
            row = sorted((t for t in things if abs(t.y - lane) < 0.3), key=lambda t: t.x)
            for rear, front in itertools.pairwise(row):
                assert front.x - rear.x > (front.body.length + rear.body.length) / 2 - 0.6


def test_config_shares_are_met() -> None:
    config = StreetConfig(night=0.3, fog=0.2, dark=0.4, emergency=0.5)
    streets = [Street(seed, config) for seed in range(300)]
    assert np.mean([s.surroundings.night for s in streets]) == pytest.approx(0.3, abs=0.09)
    assert np.mean([np.isfinite(s.surroundings.fog_m) for s in streets]) == pytest.approx(0.2, abs=0.08)
    things = [t for s in streets[:100] for t in s.objects_at(5.0)]
    people = [t.body.dark for t in things if t.body.kind == PEDESTRIAN]
    assert np.mean(people) == pytest.approx(0.4, abs=0.1)
    oncoming = [t.body.kind == EMERGENCY for t in things if abs(t.y - 3.4) < 0.2 and t.yaw > 3]
    assert np.mean(oncoming) == pytest.approx(0.5, abs=0.15)


def test_nothing_is_there_where_nothing_is_wanted() -> None:
    empty = StreetConfig(traffic=0, parked=0, pedestrians=0, cyclists=0, followers=0)
    assert Street(0, empty).objects_at(9.0) == ()
    assert Street(0, empty).snapshot_at(9.0).things == ()


def test_emergency_vehicles_have_the_shapes_of_cars_and_trucks() -> None:
    def heights(kind: int) -> list[float]:
        rng = np.random.default_rng(kind)
        bodies = [draw_body(kind, rng, 0.2) for _ in range(300)]
        return [float((b.centres + b.halves)[b.solid, 2].max()) for b in bodies]

    cars, trucks, emergency = heights(CAR), heights(TRUCK), heights(EMERGENCY)
    low = [h for h in emergency if h < 2.2]
    assert 0.5 < len(low) / len(emergency) < 0.7
    assert min(cars) - 0.05 < min(low) and max(low) < max(cars) + 0.05
    assert max(emergency) < max(trucks) + 0.05
    assert max(cars) < 2.2 < min(trucks)


def test_bodies_stand_on_the_ground() -> None:
    for kind in range(1, len(CLASSES) + 1):
        body = draw_body(kind, np.random.default_rng(kind), 0.0)
        assert float((body.centres - body.halves)[:, 2].min()) == pytest.approx(0.0, abs=1e-6)
        assert ((body.colours >= 0) & (body.colours <= 1.06)).all()


def test_bad_input_is_refused() -> None:
    with pytest.raises(ConfigError, match="seed cannot be -1"):
        Street(-1)
    with pytest.raises(ValidationError, match="range_m"):
        StreetConfig(range_m=(10.0, 12.0))
    with pytest.raises(ValidationError, match="Extra inputs"):
        StreetConfig.model_validate({"rain": 0.5})
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        StreetConfig(night=1.5)
