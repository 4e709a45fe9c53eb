"""Where a PACS puts the files of a study: four manners, one per site.

Enters: a plan. Leaves: paths relative to ``dicom/``. Two of the manners put the patient's name or number into the path.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from curation.demo.plan import StudyPlan


def study_folder(plan: StudyPlan) -> PurePosixPath:
    """The folder of a study."""
    patient, day = plan.patient, plan.study_date.replace("-", "")
    return PurePosixPath(
        (
            f"{patient.name.replace('^', '_')}_{patient.patient_id}/{day}_{plan.number:04d}",
            f"DICOM/{0x2A00 + patient.number * 19:08X}/{0x51 + plan.number:08X}",
            f"{plan.accession_number}_{plan.number:03d}",
            f"PA{patient.number:06d}/ST{plan.number:06d}",
        )[plan.site.number]
    )


def series_folder(plan: StudyPlan, number: int, description: str) -> PurePosixPath:
    """The folder of a series."""
    words = re.sub(r"[^A-Za-z0-9.]+", "_", description).strip("_")
    return (
        study_folder(plan)
        / (f"S{number:03d}", f"{0x900 + number:08X}", f"{number}_{words}", f"SE{number:06d}")[plan.site.number]
    )


def file_name(plan: StudyPlan, n: int, instance_uid: str) -> str:
    """The name of the `n`-th file of a series."""
    return (f"IM{n:06d}", f"{n:08X}", f"{instance_uid}.dcm", f"IM{n:06d}.dcm")[plan.site.number]
