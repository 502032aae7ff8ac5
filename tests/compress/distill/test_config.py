"""Configs of distillation: what is written twice, without a star or for nothing is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edge.compress.distill.config import BranchConfig, DistillConfig, point_pairs


def test_names_stand_for_themselves_and_pairs_for_what_they_say() -> None:
    assert point_pairs(("fusion", "late")) == {"fusion": "fusion", "late": "late"}
    assert point_pairs({"small": "large"}) == {"small": "large"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"labels": 0, "logits": 0, "features": 0}, "nothing is left to learn from"),
        ({"labels": 0, "logits": 0, "feature_points": ()}, "nothing is left to learn from"),
        ({"feature_points": {"a.*": "b"}}, "as many `\\*` on both sides"),
        ({"branches": {"points": ["encoder"]}}, "one `\\*` a side"),
        ({"branches": {"points": {"enc.*": "encoders.*.*"}}}, "one `\\*` a side"),
        ({"branches": {"weights": {"sound": -1}}}, "must not be negative"),
        ({"branch": {}}, "branch"),
        ({"temperature": 0}, "temperature"),
    ],
)
def test_what_makes_no_sense_is_refused(content: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DistillConfig.model_validate(content)


def test_branches_alone_are_enough_to_learn_from() -> None:
    config = DistillConfig(labels=0, logits=0, features=0, branches=BranchConfig())
    assert DistillConfig.model_validate(config.model_dump(mode="json")) == config
