"""Integrated gradients: what they must add up to, against a closed form and against captum's own layer variant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from edge.compress.samples import mask_modalities
from edge.explain.answered_figure import AnsweredFigure
from edge.explain.attribution_summary import chosen_rows, summarize_attributions
from edge.explain.coalitions import collect_answers
from edge.explain.config import GradientConfig
from edge.explain.gradients import attribute_samples
from edge.models.fusion_model import FusionModel, FusionModelConfig
from edge.runtime.errors import ModelError
from edge.runtime.model_io import ModelIO
from edge.training.fusion_task import FusionTask
from tests.edge.explain.planted import answering, sample_set, table_io

pytest.importorskip("captum")

if TYPE_CHECKING:
    from torch import Tensor

    from edge.compress.samples import SampleSet

VOCABULARY, LENGTH = 19, 7
IO = ModelIO.model_validate(
    {
        "schema": 1,
        "inputs": [
            {
                "feature": "tokens",
                "tensor": "report",
                "stream": "report",
                "shape": [1, LENGTH],
                "tokenizer": "tokenizer.json",
                "vocabulary": VOCABULARY,
            },
            {
                "feature": "tensor",
                "tensor": "labs",
                "stream": "labs",
                "shape": [1, 3],
                "fields": ["sodium", "calcium", "iron"],
                "mean": [0, 0, 0],
                "std": [1, 1, 1],
            },
            {"feature": "present", "streams": ["report", "labs"]},
        ],
        "outputs": [{"decoder": "softmax", "tensor": "finding", "classes": ["well", "ill"]}],
    }
)


class Linear(nn.Module):
    """Logits by one matrix: its attributions are known in closed form."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, left: Tensor, right: Tensor, present: Tensor) -> tuple[Tensor]:
        return (torch.cat([left, right], 1) @ self.weight,)


def text_and_table(seed: int = 0, fusion: str = "channel_mixing") -> tuple[FusionModel, SampleSet]:
    torch.manual_seed(seed)
    config = FusionModelConfig.model_validate(
        {
            "encoders": {
                "report": {"kind": "text", "hidden": 16, "layers": 1, "heads": 2},
                "labs": {"kind": "table", "hidden": [16]},
            },
            "fusion": {"kind": fusion, "channels": 16},
        }
    )
    model = FusionModel(config, IO).eval()
    for name, parameter in model.named_parameters():  # small random weights would hide what does not add up
        if "LayerNorm" not in name:
            parameter.data.mul_(3.0)
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, VOCABULARY, (12, LENGTH), generator=random)
    tokens[:, 4:] = 0
    labs = torch.randn(12, 3, generator=random)
    return model, sample_set([tokens, labs], torch.arange(12) % 2)


def test_a_linear_model_has_its_weights_times_inputs() -> None:
    weight = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    model_io = table_io({"left": 2, "right": 2})
    left, right = torch.randn(6, 2), torch.randn(6, 2)
    data = sample_set([left, right], torch.zeros(6, dtype=torch.long))
    model: Any = Linear(weight)
    for found in attribute_samples(model, model_io, data, range(6), GradientConfig(steps=2)):
        x = torch.cat([left[found.row], right[found.row]])
        answered = int((x @ weight).argmax())
        expected = x * weight[:, answered]
        torch.testing.assert_close(torch.cat(found.parts), expected.detach(), atol=1e-5, rtol=1e-4)
        assert found.off < 1e-4 and found.steps == 2


def test_parts_add_up_and_padding_has_none() -> None:
    model, data = text_and_table()
    for found in attribute_samples(model, IO, data, range(4), GradientConfig(tolerance=0.02)):
        assert found.off <= 0.02
        tokens, labs = found.parts
        assert tokens.shape == (LENGTH,) and labs.shape == (3,)
        assert float(tokens.sum() + labs.sum()) == pytest.approx(found.change, rel=0.03)
        assert float(tokens[4:].abs().max()) == 0.0
        assert float(tokens[:4].abs().max()) > 1e-3


def test_words_are_attributed_as_captum_does_by_layer() -> None:
    from captum.attr import LayerIntegratedGradients

    model, data = text_and_table()
    tokens, labs = data.inputs[0][:3], torch.zeros(3, 3)
    present = torch.tensor([[1.0, 0.0]]).expand(3, -1)
    only_text = sample_set([tokens, labs], torch.zeros(3, dtype=torch.long), available=present.clone())
    ours = attribute_samples(model, IO, only_text, range(3), GradientConfig(steps=64, max_steps=64))
    answered = model(*mask_modalities([tokens, labs], present))[0].argmax(1)
    embedding = AnsweredFigure(model, IO).embeddings["report"]
    theirs = LayerIntegratedGradients(lambda ids, table, there: model(ids, table, there)[0], embedding).attribute(
        tokens,
        baselines=torch.zeros_like(tokens),
        additional_forward_args=(labs, present),
        target=answered,
        n_steps=64,
    )
    torch.testing.assert_close(torch.stack([o.parts[0] for o in ours]), theirs.sum(-1).detach(), atol=1e-4, rtol=1e-3)


def test_what_is_absent_adds_nothing() -> None:
    model, data = text_and_table()
    available = torch.tensor([[0.0, 1.0]]).repeat(12, 1)
    without = sample_set(data.inputs, data.targets[0], available=available)
    (found,) = attribute_samples(model, IO, without, [0], GradientConfig())
    assert float(found.parts[0].abs().max()) == 0.0
    assert found.off < 0.05


def test_more_steps_are_taken_until_the_parts_add_up_and_a_miss_is_told() -> None:
    class Kinked(nn.Module):
        """Steep half-way along the path, where few steps miss it."""

        def forward(self, left: Tensor, present: Tensor) -> tuple[Tensor]:
            steep = 3.0 * torch.sigmoid(400 * (left[:, :1] - 0.51))
            return (torch.cat([steep, torch.zeros_like(steep)], 1),)

    model_io = table_io({"left": 1})
    data = sample_set([torch.ones(1, 1)], torch.zeros(1, dtype=torch.long))
    model: Any = Kinked()
    (enough,) = attribute_samples(model, model_io, data, [0], GradientConfig(steps=4, max_steps=1024, tolerance=0.01))
    assert 16 < enough.steps <= 1024 and enough.off <= 0.01
    (stopped,) = attribute_samples(model, model_io, data, [0], GradientConfig(steps=4, max_steps=8, tolerance=0.01))
    assert stopped.steps == 8 and stopped.off > 0.01


def test_an_encoder_without_word_embeddings_is_refused_by_name() -> None:
    model, _ = text_and_table()
    model.branches["report"] = nn.Identity()
    with pytest.raises(ModelError, match=r"'report' has no embedding layer of 19 tokens.*--gradients 0"):
        AnsweredFigure(model, IO)


def test_the_summary_names_fields_and_leaves_out_what_did_not_converge() -> None:
    model, data = text_and_table()
    answers = collect_answers(model, data, FusionTask(IO), IO)
    config = GradientConfig(samples=12, pictured=3)
    found = attribute_samples(model, IO, data, range(12), config)
    summary = summarize_attributions(found, found[:3], data, answers, IO, config)
    assert summary.converged == 12 and sum(summary.magnitude.values()) == pytest.approx(100)
    assert set(summary.fields) == {"labs"} and set(summary.fields["labs"]) == {"sodium", "calcium", "iron"}
    first = summary.samples[0]
    assert first.modalities["labs"] == pytest.approx(sum(first.fields["labs"].values()), abs=1e-5)
    strict = config.model_copy(update={"tolerance": min(f.off for f in found) / 2 + 1e-12})
    nothing = summarize_attributions(found, [], data, answers, IO, strict)
    assert (nothing.converged, nothing.magnitude, nothing.fields) == (0, {}, {})


def test_samples_that_are_shown_are_wrong_ones_sure_ones_and_unsure_ones() -> None:
    labels = np.arange(30) % 2
    wrong = np.zeros(30, np.bool_)
    wrong[[4, 9]] = True
    _, answers, _ = answering(wrong, labels)
    drawn, shown = chosen_rows(answers, GradientConfig(samples=10, pictured=6), seed=0)
    assert len(drawn) == len(set(drawn)) == 10
    assert {4, 9} < set(shown) and len(shown) == len(set(shown)) == 6
