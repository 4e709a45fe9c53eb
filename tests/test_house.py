"""The house: who may import whom, what lies at the top level, and that documented commands exist."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("t3dkit", "volumes", "reports", "curation", "train")
ALLOWED = {
    "t3dkit": set(),
    "volumes": {"t3dkit"},
    "reports": {"t3dkit"},
    "curation": {"t3dkit", "volumes", "reports"},
    "train": {"t3dkit", "curation.contract"},
}
FORBIDDEN_THIRD_PARTY = {
    "t3dkit": {"torch", "pydicom", "spacy", "dask", "distributed"},
    "volumes": {"dask", "distributed", "torch", "monai", "spacy", "scispacy", "transformers"},
    "reports": {"dask", "distributed", "torch", "monai", "transformers"},
    "curation": {"torch", "monai", "transformers"},
    "train": {"pydicom", "spacy", "scispacy", "dask", "distributed"},
}


def imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            pytest.fail(f"{path} imports relatively: write the whole name")
    return names


def allowed(name: str, package: str) -> bool:
    return any(name == door or name.startswith(door + ".") for door in ALLOWED[package] | {package})


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package):
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in sorted(imported_names(path))
        if name.split(".")[0] in PACKAGES and not allowed(name, package)
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_third_parties_stay_in_their_rooms(package):
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in sorted(imported_names(path))
        if name.split(".")[0] in FORBIDDEN_THIRD_PARTY[package]
    ]
    assert wrong == []


def test_dask_has_one_importer():
    importers = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if any(name.split(".")[0] in {"dask", "distributed"} for name in imported_names(path))
    }
    assert importers == {"curation/executor.py"}


@pytest.mark.parametrize("package", ["t3dkit.command", "volumes", "reports", "curation.contract", "train"])
def test_light_imports_stay_light(package):
    heavy = "torch,spacy,dask,distributed,monai,transformers,numba"
    code = f"import sys, {package}; print([name for name in '{heavy}'.split(',') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


def test_top_level_holds_what_the_design_names():
    for name in (*PACKAGES, "tests", "benchmarks", "docs"):
        assert (ROOT / name).is_dir(), name
    for name in ("Makefile", "setup.cfg", "pyproject.toml", "constraints.txt", "README.md", "CHANGELOG.md", "LICENSE"):
        assert (ROOT / name).is_file(), name
    for package in PACKAGES:
        if package != "t3dkit":
            assert (ROOT / package / "README.md").is_file(), package


def documents() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / p / "README.md" for p in PACKAGES[1:])]


def test_documented_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        target
        for path in documents()
        if path.is_file()
        for words in re.findall(r"`make ([a-z][a-z ]*)", path.read_text(encoding="utf-8"))
        for target in words.split()
    }
    assert named, "the documents name no target at all"
    assert named <= targets


def test_documented_commands_exist():
    named = {
        match
        for path in documents()
        if path.is_file()
        for match in re.findall(
            r"python -m (volumes|reports|curation|train) ([a-z]+)", path.read_text(encoding="utf-8")
        )
    }
    assert len(named) >= 8
    for package, command in sorted(named):
        shown = subprocess.run(
            [sys.executable, "-m", package, command, "--help"], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert shown.returncode == 0, f"python -m {package} {command} --help exits {shown.returncode}: {shown.stderr}"


def test_every_requirement_is_pinned():
    import configparser

    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"].split() + setup["options.extras_require"]["dev"].split()
    pins = {
        line.split("==")[0].strip().lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line and not line.startswith("#")
    }
    missing = [name for name in wanted if name.lower().replace("_", "-") not in pins]
    assert missing == []


def test_no_module_of_the_tests_hides_a_package_of_the_environment():
    # Their folders are on the import path of one process: a helper named like a dependency breaks whoever needs it.
    from importlib.metadata import packages_distributions

    installed = set(packages_distributions()) | set(sys.stdlib_module_names)
    helpers = {path.stem for path in (ROOT / "tests").rglob("*.py")} - {"conftest"}
    assert helpers & installed == set()
