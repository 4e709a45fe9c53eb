"""Every finding with the function that paints it, in the order in which they must be painted.

Enters: a `LesionBrush` and the findings drawn for a study. Leaves: the lesions that came out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from curation.demo import abdomen_lesions, chest_lesions, trunk_lesions
from curation.demo.lesions import Lesion, LesionBrush

_PAINTERS: dict[str, Callable[[LesionBrush], None]] = {
    # those that read what the build left come first, fluid and air beside the lung before what lies in it
    "hydronephrosis": abdomen_lesions.hydronephrosis,
    "cardiomegaly": chest_lesions.cardiomegaly,
    "splenomegaly": abdomen_lesions.splenomegaly,
    "hepatic_steatosis": abdomen_lesions.hepatic_steatosis,
    "aortic_aneurysm": trunk_lesions.aortic_aneurysm,
    "vertebral_fracture": trunk_lesions.vertebral_fracture,
    "rib_fracture": trunk_lesions.rib_fracture,
    "pleural_effusion": chest_lesions.pleural_effusion,
    "pneumothorax": chest_lesions.pneumothorax,
    "consolidation": chest_lesions.consolidation,
    "atelectasis": chest_lesions.atelectasis,
    "emphysema": chest_lesions.emphysema,
    "lung_nodule": chest_lesions.lung_nodule,
    "lymphadenopathy": trunk_lesions.lymphadenopathy,
    "liver_lesion": abdomen_lesions.liver_lesion,
    "splenic_lesion": abdomen_lesions.splenic_lesion,
    "gallstone": abdomen_lesions.gallstone,
    "kidney_stone": abdomen_lesions.kidney_stone,
    "kidney_cyst": abdomen_lesions.kidney_cyst,
    "pancreatic_mass": abdomen_lesions.pancreatic_mass,
    "bladder_mass": abdomen_lesions.bladder_mass,
    "bladder_stone": abdomen_lesions.bladder_stone,
    "pericardial_effusion": chest_lesions.pericardial_effusion,
    "ascites": abdomen_lesions.ascites,
}
ORDER = tuple(_PAINTERS)


def paint_lesions(brush: LesionBrush, findings: Sequence[str]) -> tuple[Lesion, ...]:
    """Paint every finding of `findings`; those that belong to the person's build are recorded only."""
    for kind in findings:
        _PAINTERS[kind](brush)
    return brush.found()
