"""The documentation; `python -m docs.make` rewrites the pages that are made from code."""
