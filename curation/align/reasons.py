"""The closed list of `curation.align`: what deserves a flag when regions are located.

Enters: nothing. Leaves: `AlignFlag`. Refuses: free text. The flag about mirrored volumes is `volumes.reasons.Flag`.
"""

from __future__ import annotations

from t3dkit.verdict import Code


class AlignFlag(Code):
    """What somebody may want to know about the boxes of a volume."""

    NOT_LOCATED = "NOT_LOCATED", "no anatomy that the localizer knows was found: blank, tiny, cut out or not a body"
    MODALITY_NOT_LOCATED = "MODALITY_NOT_LOCATED", "the landmark localizer reads HU; other modalities need masks"
    FACE_REMOVED = "FACE_REMOVED", "the front of the face was replaced by air (`deid.faces`)"
    MASK_CLASS_UNKNOWN = "MASK_CLASS_UNKNOWN", "a class of the label map is no mask class of the region tree"
    MASK_GRID_MISMATCH = "MASK_GRID_MISMATCH", "the label map does not overlap the volume"
    MASK_EMPTY = "MASK_EMPTY", "the label map holds no labelled voxel on the volume's grid"
