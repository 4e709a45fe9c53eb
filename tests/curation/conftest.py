"""The small export and the data set made of it, once per session."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hospital import configured, curate, write_export


@pytest.fixture(scope="session")
def small_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six studies: four link, one has no report, one's report names another patient."""
    return configured(write_export(tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="session")
def made_dataset(small_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small export, curated once; tests that change it must copy it."""
    dataset = tmp_path_factory.mktemp("made") / "set"
    assert curate(small_export, dataset) == 0
    return dataset


@pytest.fixture
def own_dataset(made_dataset: Path, tmp_path: Path) -> Path:
    """A copy of the curated small export, private folder included."""
    shutil.copytree(made_dataset, tmp_path / "set")
    shutil.copytree(made_dataset.with_name("set.private"), tmp_path / "set.private")
    return tmp_path / "set"
