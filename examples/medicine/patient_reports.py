"""Short reports on invented patients: synonyms, negations, old findings, doubts, and what was overlooked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from patient_cases import Diagnosis, Patient

FINDINGS: dict[Diagnosis, tuple[str, ...]] = {
    "pneumonia": ("infiltrate", "consolidation", "patchy opacity", "pneumonic shadowing"),
    "heart_failure": ("effusion", "vascular congestion", "enlarged heart", "blunted angles"),
    "tumour": ("nodule", "mass", "round lesion", "space occupying lesion"),
}
COMPLAINTS: dict[Diagnosis, tuple[str, ...]] = {
    "healthy": ("routine check", "check before an operation", "chest pain", "cough"),
    "pneumonia": ("fever", "cough", "shortness of breath", "chest pain"),
    "heart_failure": ("shortness of breath", "swollen legs", "chest pain", "cough"),
    "tumour": ("weight loss", "cough", "routine check", "shortness of breath"),
}
PLACES = ("left", "right", "left base", "right base", "left upper field", "right upper field")
SEEN = ("{0} {1}.", "there is {0} on the {1}.", "new {0}, {1}.", "{0} is seen {1}.", "typical {0} {1}.")
NOT_SEEN = ("no {0}.", "no evidence of {0}.", "{0} is not seen.", "without {0}.", "{0} has been ruled out.")
DOUBTED = ("{0} cannot be excluded.", "possible {0} {1}.", "questionable {0}, control advised.")
PAST = ("known {0} two years ago.", "former {0}, since resolved.", "history of {0}.")
CLEAR = ("lungs are clear.", "normal finding.", "unremarkable.", "no acute finding.")
OVERLOOKED, DOUBT, FALSE_ALARM, HISTORY = 0.32, 0.3, 0.3, 0.3


def write_report(patient: Patient, generator: np.random.Generator) -> str:
    """A few sentences, lower case: the complaint, what was once, what is seen and what is not."""
    complaint = _one(COMPLAINTS[patient.diagnosis], generator)
    sentences = [f"{complaint}."]
    if generator.random() < HISTORY:
        sentences.append(_say(PAST, _any_finding(generator), generator))
    found = [*_present(patient, generator), *_absent(patient, generator)]
    sentences += [found[i] for i in generator.permutation(len(found))]
    return f"{patient.age} years, {patient.sex}. " + " ".join(sentences)


def _present(patient: Patient, generator: np.random.Generator) -> list[str]:
    """The finding, perhaps in doubt; overlooked the more easily, the less there is of it."""
    if patient.diagnosis == "healthy":
        return [_one(CLEAR, generator)] if generator.random() < 0.6 else []
    finding = _one(FINDINGS[patient.diagnosis], generator)
    if generator.random() < 2 * OVERLOOKED * (1 - patient.severity):
        return [_one(CLEAR, generator)] if generator.random() < 0.5 else []
    return [_say(DOUBTED if generator.random() < DOUBT else SEEN, finding, generator)]


def _absent(patient: Patient, generator: np.random.Generator) -> list[str]:
    """What is ruled out, and now and then an alarm that is false."""
    others = [name for name in FINDINGS if name != patient.diagnosis]
    told = [_say(NOT_SEEN, _one(FINDINGS[name], generator), generator) for name in others if generator.random() < 0.4]
    if generator.random() < FALSE_ALARM:
        told.append(_say(DOUBTED, _one(FINDINGS[_one(tuple(others), generator)], generator), generator))
    return told


def _any_finding(generator: np.random.Generator) -> str:
    return _one(tuple(word for words in FINDINGS.values() for word in words), generator)


def _say(templates: tuple[str, ...], finding: str, generator: np.random.Generator) -> str:
    return _one(templates, generator).format(finding, _one(PLACES, generator))


def _one(choices: tuple[str, ...], generator: np.random.Generator) -> str:
    return choices[int(generator.integers(len(choices)))]
