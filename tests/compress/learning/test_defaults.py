"""What nothing is configured of: the loop as it was written first, step by step, gives the same weights to the bit."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from edge.compress.fitting import FitConfig
from edge.compress.learning.config import LATER_KEYS
from edge.compress.samples import draw_present, mask_modalities
from tests.compress.learning.small_models import QUICK, TwoBranches, differing, fitted, fresh_model, pictures


def one_cycle(step: int, steps: int, warmup: float) -> float:
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def plainly_fitted(config: FitConfig) -> TwoBranches:
    """AdamW, one cycle, clipping and modality dropout, with torch's own scheduler and nothing else."""
    model, data = fresh_model(), pictures()
    steps = config.epochs * (len(data) // config.batch_size)
    decayed = [p for p in model.parameters() if p.dim() > 1 and min(p.shape[:2]) > 1]
    rest = [p for p in model.parameters() if all(p is not q for q in decayed)]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, steps, config.warmup))
    model.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(config.seed)
    for _ in range(config.epochs):
        for chosen in data.batch_rows(config.batch_size, generator):
            if len(chosen) < config.batch_size:
                continue
            present = draw_present(len(chosen), 2, config.modality_dropout, generator)
            inputs, targets = data.rows(chosen)
            laid_out = [
                x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
                for x in mask_modalities(inputs, present)
            ]
            with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bfloat16"):
                loss = functional.cross_entropy(model(*laid_out)[0].float(), targets[0])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            optimizer.step()
            schedule.step()
    return model.eval()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_plain_training_is_what_it_always_was(precision: str) -> None:
    config = QUICK.model_copy(update={"precision": precision})
    assert differing(fitted(config), plainly_fitted(config)) == []
    assert differing(fitted(config), fresh_model()), "training moves something"


def test_an_old_file_says_nothing_of_later_keys_and_means_the_same() -> None:
    old = {
        "epochs": 3, "batch_size": 16, "learning_rate": 0.02, "weight_decay": 0.02, "warmup": 0.1,
        "modality_dropout": 0.5, "precision": "float32", "clip": 5.0, "seed": 0,
    }  # fmt: skip
    config = FitConfig.model_validate(old)
    assert set(FitConfig.model_fields) - set(old) == LATER_KEYS
    assert config == QUICK and FitConfig.model_validate_json(config.model_dump_json()) == config
