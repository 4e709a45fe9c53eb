"""Label numbers of the organ masks: TotalSegmentator v2 class numbers, and private ones for tissue without a class.

Enters: nothing. Leaves: names and numbers. Source of the numbers: class map "total" of TotalSegmentator v2
(Apache-2.0).
"""

from __future__ import annotations

_CLASSES = """
spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right adrenal_gland_left
lung_upper_lobe_left lung_lower_lobe_left lung_upper_lobe_right lung_middle_lobe_right lung_lower_lobe_right esophagus
trachea thyroid_gland small_bowel duodenum colon urinary_bladder prostate kidney_cyst_left kidney_cyst_right sacrum
vertebrae_S1 vertebrae_L5 vertebrae_L4 vertebrae_L3 vertebrae_L2 vertebrae_L1 vertebrae_T12 vertebrae_T11
vertebrae_T10 vertebrae_T9 vertebrae_T8 vertebrae_T7 vertebrae_T6 vertebrae_T5 vertebrae_T4 vertebrae_T3 vertebrae_T2
vertebrae_T1 vertebrae_C7 vertebrae_C6 vertebrae_C5 vertebrae_C4 vertebrae_C3 vertebrae_C2 vertebrae_C1 heart aorta
pulmonary_vein brachiocephalic_trunk subclavian_artery_right subclavian_artery_left common_carotid_artery_right
common_carotid_artery_left brachiocephalic_vein_left brachiocephalic_vein_right atrial_appendage_left
superior_vena_cava inferior_vena_cava portal_vein_and_splenic_vein iliac_artery_left iliac_artery_right
iliac_vena_left iliac_vena_right humerus_left humerus_right scapula_left scapula_right clavicula_left clavicula_right
femur_left femur_right hip_left hip_right spinal_cord gluteus_maximus_left gluteus_maximus_right gluteus_medius_left
gluteus_medius_right gluteus_minimus_left gluteus_minimus_right autochthon_left autochthon_right iliopsoas_left
iliopsoas_right brain skull
"""
_ORDER = _CLASSES.split()
_ORDER += [f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13)] + ["sternum", "costal_cartilages"]

NUMBER = {name: n for n, name in enumerate(_ORDER, start=1)}
NAME = {n: name for name, n in NUMBER.items()}
LAST_CLASS = len(_ORDER)

# Tissue without a class: never written to a mask.
ABDOMEN, MEDIASTINUM, MUSCLE, FAT, SKIN, DIAPHRAGM, VESSEL, AIRWAY, DISC, LESION, FLUID = range(200, 211)

LOBES = tuple(NUMBER[name] for name in _ORDER if name.startswith("lung_"))
LOBES_OF = {
    side: tuple(NUMBER[name] for name in _ORDER if name.startswith("lung_") and name.endswith(side))
    for side in ("left", "right")
}
BOWEL = tuple(NUMBER[name] for name in ("small_bowel", "duodenum", "colon"))
BONES = tuple(
    n
    for name, n in NUMBER.items()
    if name.startswith(("vertebrae", "rib_", "hip", "sacrum", "sternum", "femur", "scapula", "clavicula", "humerus"))
)

LESIONS = (
    "lung_nodule",
    "consolidation",
    "pleural_effusion",
    "emphysema",
    "atelectasis",
    "pneumothorax",
    "pericardial_effusion",
    "aortic_aneurysm",
    "lymphadenopathy",
    "liver_lesion",
    "gallstone",
    "splenic_lesion",
    "kidney_stone",
    "kidney_cyst",
    "hydronephrosis",
    "pancreatic_mass",
    "vertebral_fracture",
    "rib_fracture",
    "bladder_stone",
    "bladder_mass",
    "ascites",
)
"""Findings that have a mask; `lesions/labels.json` numbers them from 1 in this order."""
LESION_NUMBER = {kind: n for n, kind in enumerate(LESIONS, start=1)}
FINDINGS = (*LESIONS, "cardiomegaly", "splenomegaly", "hepatic_steatosis")
