"""The configuration: documented defaults, refusals that help, a digest of what decides bytes."""

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from curation.__main__ import main
from curation.config import Config, default_toml, read_config
from t3dkit.errors import ConfigError


def test_printed_defaults_read_back_as_the_defaults(capsys):
    assert main(["config", "--print"]) == 0
    assert Config.model_validate(tomllib.loads(capsys.readouterr().out)) == Config()


def test_every_key_is_explained():
    lines = default_toml().splitlines()
    for before, line in pairwise(lines):
        if "=" in line and not line.startswith("#"):
            assert before.startswith("# "), line
            assert len(before) > 8, line


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[grid]\nspacing = 3\n", "unknown key 'grid.spacing', did you mean 'spacing_mm'"),
        ('nmae = "x"\n', "did you mean 'name'"),
        ("[grdi]\nspacing_mm = 3\n", "did you mean 'grid'"),
        ("[split]\ntrain = 0.5\n", "must sum to 1"),
        ("[grid]\nspacing_mm = 0.0\n", "between 0.1 and 20"),
        ("[grid]\nhu_range = [10, -10]\n", "rising"),
        ('[volumes]\nformat = "mgz"\n', "volumes.format"),
        ('[identity]\ntest_patterns = ["("]\n', "no regular expression"),
        ('[link]\nrules = ["guess"]\n', "link.rules"),
        ("[grid\n", "no TOML"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, text: str, part: str):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=part.replace("(", r"\(")):
        read_config(path)


@pytest.mark.parametrize(
    ("text", "spacing"),
    [("3", (3.0, 3.0, 3.0)), ("[1, 2, 3.5]", (1.0, 2.0, 3.5)), ('"native"', None)],
)
def test_spacing_has_three_spellings(tmp_path: Path, text: str, spacing: object):
    path = tmp_path / "c.toml"
    path.write_text(f"[grid]\nspacing_mm = {text}\n")
    assert read_config(path).grid.spacing_xyz_mm == spacing


def test_workers_change_no_digest_and_the_grid_does():
    base = Config()
    busy = Config.model_validate({"workers": {"memory_gb": 9}})
    coarse = Config.model_validate({"grid": {"spacing_mm": 3}})
    assert base.digest() == busy.digest() != coarse.digest()
    assert base.digest("link") == coarse.digest("link")
    assert "workers" not in base.recorded()


def test_config_command_needs_something_to_do(capsys):
    assert main(["config", "--quiet"]) == 2
    assert "--print" in capsys.readouterr().err


def test_a_profile_is_found_beside_the_file_and_recorded_by_its_content(tmp_path: Path):
    (tmp_path / "site").mkdir()
    path = tmp_path / "site" / "c.toml"
    path.write_text('[reports]\nprofile = "words.toml"\n')
    with pytest.raises(ConfigError, match=r"words\.toml"):
        read_config(path)
    words = tmp_path / "site" / "words.toml"
    words.write_text('[headings]\nfindings = ["read-out"]\n')
    config = read_config(path)
    assert config.reports.profile == str(words)
    recorded = config.recorded()
    assert recorded["reports"]["profile"].startswith("sha256:")
    assert str(tmp_path) not in str(recorded)
    assert Config.model_validate(recorded).recorded() == recorded
    words.write_text('[headings]\nfindings = ["read out"]\n')
    assert config.recorded() != recorded
