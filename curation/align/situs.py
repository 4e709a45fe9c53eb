"""Whether the organs lie on the usual sides: a mirrored volume, or a mirrored patient.

Enters: the landmarks. Leaves: a score, positive for the usual sides. Refuses: to decide from one weak sign.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curation.align.coarse import STEP_MM
from curation.align.frame import LEVEL_DOME_RIGHT
from curation.align.landmarks import Landmarks
from curation.align.organs import BAND_HU, MAX_TEXTURE_HU, box_mask

SUSPECT_SCORE = -0.5
"""Sum of signs, each within -1 to 1, at or below which a volume is suspected to be mirrored."""


@dataclass(frozen=True)
class Situs:
    """The three signs, each -1 to 1, positive for the usual side, 0 where it cannot be seen."""

    liver: float
    heart: float
    aorta: float

    @property
    def score(self) -> float:
        """Sum of the signs."""
        return self.liver + self.heart + self.aorta

    @property
    def is_suspect(self) -> bool:
        """Whether the organs lie on the wrong sides; the aorta's sign alone, faked by any effusion, does not say so."""
        return self.score <= SUSPECT_SCORE and min(self.liver, self.heart) < -0.2


def find_situs(landmarks: Landmarks) -> Situs:
    """The signs of one volume."""
    return Situs(liver_sign(landmarks), heart_sign(landmarks), aorta_sign(landmarks))


def _below_frame(landmarks: Landmarks) -> float:
    """Coarse z by which levels lie lower when they hang on the lower dome.

    The frame hangs on the right dome. In a mirrored volume that is the patient's left one, on which the heart may stand
    as high as it likes: what must not depend on the side is read from the lower dome.
    """
    domes = [dome for dome in (landmarks.thorax.dome_left, landmarks.thorax.dome_right) if dome is not None]
    return min(0.0, min(domes) - landmarks.frame.organs.to_z(LEVEL_DOME_RIGHT)) if domes else 0.0


def liver_sign(landmarks: Landmarks) -> float:
    """Where the bulk of homogeneous parenchyma in the upper abdomen lies: right is positive."""
    field, frame = landmarks.field, landmarks.frame
    edges = frame.box((-1.05, 1.05), (-0.9, 1.1), (17.6, 20.6))
    edges[2] += _below_frame(landmarks)
    zone = box_mask(field.smooth.shape, edges)
    calm = zone & field.free & (field.texture < MAX_TEXTURE_HU) & (field.smooth > 15) & (field.smooth < 240)
    values = field.smooth[calm]
    if values.size < 3000:  # 0.2 l
        return 0.0
    counts, edges = np.histogram(values, bins=np.arange(15, 241, 5.0))
    mode = float(edges[int(counts.argmax())] + 2.5)
    x = np.nonzero(calm & (np.abs(field.smooth - mode) < BAND_HU))
    side = x[0] - frame.middle[x[2]]
    n_right, n_left = np.count_nonzero(side > 5), np.count_nonzero(side < -5)
    if n_right + n_left < 1500:
        return 0.0
    return float(np.clip(2.5 * ((n_right - n_left) / (n_right + n_left)), -1, 1))


def heart_sign(landmarks: Landmarks) -> float:
    """To which side of the spine the heart's middle lies: left is positive."""
    heart = landmarks.organs.get("heart")
    if heart is None:
        return 0.0
    x, _, z = np.nonzero(heart.mask)
    off_mm = float((x - landmarks.frame.middle[z]).mean()) * STEP_MM
    return float(np.clip(-off_mm / 15.0, -1, 1))


def aorta_sign(landmarks: Landmarks) -> float:
    """On which side of the lower thoracic spine more soft tissue lies: left, by the aorta, is positive."""
    thorax, frame = landmarks.thorax, landmarks.frame
    if thorax.base is None or landmarks.skeleton.spine is None:
        return 0.0
    off_mm = (np.arange(landmarks.coarse.hu.shape[0])[:, None] - frame.middle[None, :]) * STEP_MM  # (x, z)
    ahead_mm = (np.arange(landmarks.coarse.hu.shape[1])[:, None] + 0.5 - frame.front[None, :]) * STEP_MM  # (y, z)
    z = np.arange(len(frame.middle)) - _below_frame(landmarks)
    rows = (z >= frame.organs.to_z(17.5)) & (z < frame.organs.to_z(13.5))
    window = ((ahead_mm > -20) & (ahead_mm < 12) & rows[None, :])[None] & (landmarks.coarse.hu > -100)
    left, right = (
        int(np.count_nonzero(window & (np.abs(side * off_mm - 24) < 16)[:, None, :])) for side in (-1.0, 1.0)
    )
    if left + right < 200:
        return 0.0
    return float(np.clip(3.0 * (left - right) / (left + right), -1, 1))
