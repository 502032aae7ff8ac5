"""Blood values of invented patients: each speaks of a diagnosis, none for sure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from patient_cases import Patient


class _Value(NamedTuple):
    usual: float
    spread: float
    shift: dict[str, float]  # at full severity


# Values that spread over decades are kept as natural logarithms, as one would for any model of them.
VALUES: dict[str, _Value] = {
    "ln_crp_mg_l": _Value(1.8, 0.9, {"pneumonia": 2.6, "heart_failure": 0.6, "tumour": 1.0}),
    "leukocytes_g_l": _Value(7.2, 1.9, {"pneumonia": 5.0, "tumour": 1.0}),
    "ln_procalcitonin_ug_l": _Value(-2.9, 0.8, {"pneumonia": 2.2, "heart_failure": 0.4}),
    "ln_bnp_ng_l": _Value(3.6, 0.8, {"heart_failure": 2.6, "pneumonia": 0.5}),
    "ldh_u_l": _Value(205.0, 38.0, {"tumour": 95.0, "pneumonia": 40.0, "heart_failure": 25.0}),
    "haemoglobin_g_dl": _Value(14.0, 1.1, {"tumour": -2.0, "heart_failure": -0.8}),
    "creatinine_mg_dl": _Value(0.9, 0.16, {"heart_failure": 0.35}),
}
FIELDS = tuple(VALUES)


def draw_values(patient: Patient, generator: np.random.Generator) -> dict[str, float]:
    """One value of each of `FIELDS`; women have less haemoglobin, and creatinine and BNP rise with age."""
    severity = 0.35 + 0.65 * patient.severity
    found = {}
    for name, value in VALUES.items():
        moved = severity * value.shift.get(patient.diagnosis, 0.0) + _of_person(name, patient)
        found[name] = float(generator.normal(value.usual + moved, value.spread))
    return found


def _of_person(name: str, patient: Patient) -> float:
    older = (patient.age - 55) / 30
    return {
        "haemoglobin_g_dl": 0.6 if patient.sex == "male" else -0.6,
        "creatinine_mg_dl": 0.08 * older,
        "ln_bnp_ng_l": 0.45 * older,
    }.get(name, 0.0)
