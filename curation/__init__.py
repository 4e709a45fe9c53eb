"""Joins images and reports into a data set of report–volume pairs.

Import `curation.contract` to read a data set; it needs neither Dask nor pydicom nor spaCy.
"""
