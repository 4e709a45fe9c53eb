"""DICOM in, NIfTI out, nothing silently wrong. Useful alone: ``python -m volumes convert SRC --out OUT``."""
