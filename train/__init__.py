"""T3D pre-training on a curated data set: ``python -m train pretrain DATASET --out RUN``."""
