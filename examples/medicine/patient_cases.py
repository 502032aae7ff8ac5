"""Invented patients: what they have, who they are, and which examinations were made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Diagnosis = Literal["healthy", "pneumonia", "heart_failure", "tumour"]
DIAGNOSES: tuple[Diagnosis, ...] = ("healthy", "pneumonia", "heart_failure", "tumour")
SEXES = ("female", "male")
AGE_BANDS = {"below_40": (20, 40), "40_to_65": (40, 65), "above_65": (65, 90)}
SITES = ("north", "south", "harbour")
EXAMINATIONS = ("picture", "report", "labs")
MISSING = {"picture": 0.08, "report": 0.15, "labs": 0.15}  # share of the patients


@dataclass(frozen=True)
class Patient:
    """One patient, examined once.

    Attributes:
        number: From 0.
        diagnosis: What the model is to tell.
        sex: Of `SEXES`.
        age: Years.
        site: Hospital; each has its own apparatus and its own way to write.
        severity: How far it has gone, 0..1; without meaning for the healthy.
        examined: What was made of `EXAMINATIONS`; never nothing.
    """

    number: int
    diagnosis: Diagnosis
    sex: str
    age: int
    site: str
    severity: float
    examined: tuple[str, ...]

    @property
    def name(self) -> str:
        """`p00042`."""
        return f"p{self.number:05d}"

    @property
    def age_band(self) -> str:
        """Of `AGE_BANDS`."""
        return next(band for band, (low, high) in AGE_BANDS.items() if low <= self.age < high)


def draw_patient(number: int, generator: np.random.Generator) -> Patient:
    """Any diagnosis as often as any other; heart failure and tumours are of the older."""
    diagnosis = DIAGNOSES[number % len(DIAGNOSES)]
    older = diagnosis in ("heart_failure", "tumour")
    age = int(np.clip(generator.normal(66 if older else 48, 14), 20, 89))
    return Patient(
        number=number,
        diagnosis=diagnosis,
        sex=SEXES[int(generator.integers(2))],
        age=age,
        site=SITES[int(generator.choice(3, p=(0.5, 0.35, 0.15)))],
        severity=float(generator.beta(2, 2)),
        examined=_draw_examinations(generator),
    )


def _draw_examinations(generator: np.random.Generator) -> tuple[str, ...]:
    while True:
        made = tuple(name for name in EXAMINATIONS if generator.random() >= MISSING[name])
        if made:
            return made
