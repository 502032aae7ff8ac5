"""Comparison of features: zero where the projection is exact, by position, whatever kind and size; else refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edge.compress.distill.features import FeatureComparison
from edge.compress.distill.points import FeaturePoint
from edge.runtime.errors import ConfigError

POINT = FeaturePoint("features a", "a", "b", 1.0)
MAPS, TOKENS, VECTORS = (2, 3, 4, 6), (2, 24, 3), (2, 3)
sizes = st.integers(1, 7)
kinds = st.one_of(
    st.tuples(st.just(2), st.integers(1, 4), sizes, sizes),
    st.tuples(st.just(2), st.integers(1, 4)),
)


def drawn(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def comparison(student: tuple[int, ...], teacher: tuple[int, ...], *, exact: bool = False) -> FeatureComparison:
    """With `exact`, the projector hands on what it gets."""
    made = FeatureComparison(POINT, student, teacher)
    if exact:
        with torch.no_grad():
            weight, bias = made.projector.weight, made.projector.bias
            assert bias is not None
            weight.copy_(torch.eye(len(weight)).reshape(weight.shape))
            bias.zero_()
    return made


@settings(max_examples=60, deadline=None)
@given(kinds, kinds)
def test_maps_and_vectors_of_any_two_sizes_compare_and_teach(
    student: tuple[int, ...], teacher: tuple[int, ...]
) -> None:
    features = drawn(student).requires_grad_()
    distances = comparison(student, teacher)(features, drawn(teacher, 1))
    assert distances.shape == (2,)
    assert (distances >= 0).all()
    assert (distances <= 4 + 1e-5).all(), "two unit vectors are at most 2 apart"
    distances.sum().backward()
    assert features.grad is not None


@pytest.mark.parametrize("shape", [MAPS, TOKENS, VECTORS])
def test_equal_features_have_no_distance_and_other_sizes_of_them_neither(shape: tuple[int, ...]) -> None:
    features = drawn(shape)
    assert comparison(shape, shape, exact=True)(features, features).max() < 1e-9
    scaled = comparison(shape, shape, exact=True)(features, 3 * features)
    assert scaled.max() < 1e-9, "features are normalised"


def test_a_larger_map_is_pooled_to_the_smaller_one() -> None:
    small = drawn(MAPS)
    large = small.repeat_interleave(2, 2).repeat_interleave(3, 3)
    assert comparison(large.shape, MAPS, exact=True)(large, small).max() < 1e-9
    assert comparison(MAPS, large.shape, exact=True)(small, large).max() < 1e-9


def test_more_tokens_are_pooled_to_fewer() -> None:
    few = drawn((2, 4, 3))
    many = few.repeat_interleave(3, 1)
    assert comparison(many.shape, few.shape, exact=True)(many, few).max() < 1e-9


@pytest.mark.parametrize("shape", [MAPS, TOKENS])
def test_a_vector_is_compared_with_the_mean(shape: tuple[int, ...]) -> None:
    features = drawn(shape)
    mean = features.mean((2, 3)) if len(shape) == 4 else features.mean(1)
    assert comparison(shape, VECTORS, exact=True)(features, mean).max() < 1e-9
    assert comparison(VECTORS, shape, exact=True)(mean, features).max() < 1e-9


@pytest.mark.parametrize("class_token", [False, True])
def test_a_map_is_compared_with_tokens_cell_by_cell(class_token: bool) -> None:
    cells = drawn(MAPS)
    tokens = cells.flatten(2).transpose(1, 2)
    if class_token:
        tokens = torch.cat([torch.full((2, 1, 3), 9.0), tokens], dim=1)
    assert comparison(MAPS, tokens.shape, exact=True)(cells, tokens).max() < 1e-9
    assert comparison(tokens.shape, MAPS, exact=True)(tokens, cells).max() < 1e-9


def test_a_sample_has_its_own_distance() -> None:
    student, teacher = drawn(MAPS), drawn(MAPS, 1)
    compare = comparison(MAPS, MAPS)
    both = compare(student, teacher)
    assert torch.allclose(both[1:], compare(student[1:], teacher[1:]), atol=1e-6)
    by_hand = torch.nn.functional.normalize(compare.projector(student), dim=1)
    by_hand = (by_hand - torch.nn.functional.normalize(teacher, dim=1)).square().sum(1).mean((1, 2))
    assert torch.allclose(both, by_hand, atol=1e-6)


@pytest.mark.parametrize(
    ("student", "teacher"),
    [((2, 3, 4, 6), (2, 26, 3)), ((2, 23, 3), (2, 3, 4, 6)), ((2, 3, 4, 5, 6), (2, 3)), ((2,), (2, 3)), ((2, 3), ())],
)
def test_what_cannot_be_compared_is_refused_with_points_and_shapes(
    student: tuple[int, ...], teacher: tuple[int, ...]
) -> None:
    with pytest.raises(ConfigError, match="'a' of the student and 'b' of the teacher give") as raised:
        comparison(student, teacher)
    assert f"{student} and {teacher}" in str(raised.value)
    assert "name modules that give maps" in raised.value.remedy
