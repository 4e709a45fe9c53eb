"""Configuration: presets build, unknown keys and wrong values are refused by name."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from t3dkit.command import Command, _parser
from t3dkit.errors import ConfigError
from train.__main__ import PROGRAM
from train.config import SCALES, Config, as_table, build, load_config, preset_names

METHODS = [name for name in preset_names() if name not in SCALES]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("method", METHODS)
def test_every_preset_builds_and_survives_its_own_table(method: str, scale: str) -> None:
    config = load_config(method, scale=scale)
    assert (config.method, config.scale) == (method, scale)
    assert build(Config, as_table(config)) == config


def test_the_presets_of_the_issue_are_there() -> None:
    wanted = {"scratch", "restore", "simclr", "clip", "t3d", "t3d-align"}
    wanted |= {"tcl-only", "tir-only", "random-crops", "obvious-tcl"}
    assert wanted <= set(METHODS)


def test_a_file_overrides_its_method_and_words_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('method = "restore"\nscale = "cpu"\n[loop]\nsteps = 7\nbatch = 3\n')
    config = load_config(str(path), ["loop.batch=5", "image.network=segresnet"])
    assert (config.method, config.tcl.weight, config.loop.steps, config.loop.batch) == ("restore", 0.0, 7, 5)
    assert config.image.network == "segresnet"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("loop.stepz=1", "loop.stepz.*no such key .perhaps loop.steps"),
        ("loop.steps=many", "loop.steps"),
        ("loop.steps=1.5", "loop.steps"),
        ("corruption.ratio=[0.5]", "corruption.ratio"),
        ("corruption.ratio=[0.9, 0.1]", "ratio"),
        ("tcl.form=best", "tcl.form"),
        ("image.network=vgg", "image.network"),
        ("crop.size_vox=50", "multiple"),
        ("loop=3", "'loop'.*object"),
        ("loop.steps=true", "loop.steps"),
        ("corruption.kinds=[]", "corruption.kinds"),
        ("nonsense", "KEY=VALUE"),
        ("method=best", "best"),
        ("scale=tpu", "tpu"),
        ("loop.batch=1", "at least 2"),
    ],
)
def test_bad_words_are_refused_by_name(word: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_config(None, [word], scale=None if word.startswith("scale") else "cpu")


def test_a_missing_file_and_a_broken_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a file nor a preset"):
        load_config(str(tmp_path / "none.toml"))
    (tmp_path / "broken.toml").write_text("loop = [")
    with pytest.raises(ConfigError, match="no TOML"):
        load_config(str(tmp_path / "broken.toml"))


@pytest.mark.parametrize("command", PROGRAM.commands, ids=lambda command: command.name)
def test_the_help_of_every_command_shows_examples_that_parse(command: Command) -> None:
    said = [line.strip() for line in command.description.splitlines()]
    examples = [line for line in said if line.startswith("python -m train ")]
    assert any(line.startswith(f"python -m train {command.name} ") for line in examples)
    for line in examples:
        assert _parser(PROGRAM).parse_args(shlex.split(line, comments=True)[3:])
