"""Who the phantom's patients are: their findings, each a lesion with the table's fields for it."""

from dataclasses import dataclass

import numpy as np

from mcalc.data.datasets.phantom.lesions import Lesion, draw_lesion

# In this order patients get their pathology: about the proportions of the published tables, and
# every five patients hold both classes.
PATHOLOGIES = ("MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK", "MALIGNANT", "BENIGN")
# A benign finding beside the malignant one, in every tenth patient: both labels in one patient.
SECOND_FINDING_EVERY, BOTH_LABELS_EVERY = 4, 10
# So many of a hundred lesions look like the other class: biopsies surprise.
LABEL_NOISE = 0.08
ASSESSMENTS = {"BENIGN": (3, 4, 4), "BENIGN_WITHOUT_CALLBACK": (2,), "MALIGNANT": (4, 4, 5)}


@dataclass(frozen=True)
class Finding:
    """A lesion with the fields that the table has for it."""

    pathology: str
    abnormality_id: int
    assessment: int
    subtlety: int
    lesion: Lesion


@dataclass(frozen=True)
class Patient:
    """What the images of one patient have in common."""

    number: int
    laterality: str
    density: int
    texture: float
    findings: list[Finding]

    @property
    def patient_id(self) -> str:
        """The table's `patient_id`; the published ones end at P_02584."""
        return f"P_{10001 + self.number}"

    @property
    def part(self) -> str:
        """Every fifth patient is of the test set, the next ones in turn of either class."""
        return "Test" if self.number % 5 == (self.number // 5) % 5 else "Training"


def draw_patient(rng: np.random.Generator, number: int, *, looks: str = "published") -> Patient:
    """Draw the patient of that number: laterality, density, texture, and lesions.

    `looks` is how lesions of the two classes look: as in the `published` tables, where they overlap
    and biopsies surprise; `typical`, as their class alone does; or as a `random` one of the classes
    does, so that no image says anything about its label.
    """
    pathologies = [PATHOLOGIES[number % len(PATHOLOGIES)]]
    if number % BOTH_LABELS_EVERY == 0:
        pathologies.append("BENIGN")
    elif number % SECOND_FINDING_EVERY == 1:
        pathologies.append(pathologies[0])
    findings = [
        _draw_finding(rng, pathology, abnormality_id, looks)
        for abnormality_id, pathology in enumerate(pathologies, start=1)
    ]
    laterality = str(rng.choice(["LEFT", "RIGHT"]))
    return Patient(number, laterality, int(rng.integers(1, 5)), rng.uniform(0.3, 0.7), findings)


def _draw_finding(
    rng: np.random.Generator, pathology: str, abnormality_id: int, looks: str
) -> Finding:
    looks_like, surprise = pathology, rng.random()
    if looks == "random":
        looks_like = "BENIGN" if surprise < 0.5 else "MALIGNANT"
    elif looks == "published" and surprise < LABEL_NOISE:
        looks_like = "BENIGN" if pathology == "MALIGNANT" else "MALIGNANT"
    return Finding(
        pathology,
        abnormality_id,
        int(rng.choice(ASSESSMENTS[pathology])),
        int(rng.integers(1, 6)),
        draw_lesion(rng, looks_like, typical=looks == "typical"),
    )
