"""The floor the four packages stand on: verdicts, errors, atomic files, tables, the command line.

Nothing here knows DICOM, text, Dask or torch. It exists so that `volumes` and `reports`, which must not know
each other, do not each carry a copy of the same plumbing.
"""
