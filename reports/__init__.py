"""Report text in, anatomical sentences out. Useful alone: ``python -m reports parse SRC --out OUT.parquet``."""
