"""Fixtures of the tests of train."""

from __future__ import annotations

from pathlib import Path

import pytest
from train_data import write_tiny_dataset


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve patients: eight train, two validation, two test."""
    return write_tiny_dataset(tmp_path_factory.mktemp("tiny") / "dataset")
