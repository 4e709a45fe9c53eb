"""Where each anatomical region lies in a volume: by a mask, by an image pointer, or by landmarks in the CT itself.

Enters: a volume (HU, RAS+ closest axes) and its affine, a label map or a pointer where there is one. Leaves: boxes on
the volume's own grid, each with its source and confidence, the body regions the scan holds, and flags. Refuses: to
place a region outside the scanned range, and to raise on an odd volume.
"""
