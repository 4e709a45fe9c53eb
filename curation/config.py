"""The configuration of a curation: one TOML file, every key with a unit, a default and a line that explains it.

Enters: a TOML file or nothing. Leaves: a frozen `Config`, its digest, or the commented defaults. Refuses: an
unknown key (the message names the nearest known one), a value of the wrong kind or range.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from rapidfuzz import process

from reports.deid.recogniser import PEOPLE, NameModel, load_recogniser, model_record
from t3dkit.errors import ConfigError

Rule = Literal["accession", "study_uid", "accession_variant", "patient_date"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GridConfig(_Part):
    """What volumes are resampled to."""

    spacing_mm: Literal["native"] | float | tuple[float, float, float] = Field(
        default=1.5, description='mm; one number, [x, y, z], or "native" to keep each source grid'
    )
    hu_range: tuple[int, int] = Field(
        default=(-1024, 3071), description="HU; values are clipped to it; its low end is air"
    )

    @field_validator("spacing_mm")
    @classmethod
    def _plausible(cls, value: Any) -> Any:
        numbers = [] if value == "native" else value if isinstance(value, tuple) else [value]
        if any(not 0.1 <= number <= 20 for number in numbers):
            raise ValueError("spacing must lie between 0.1 and 20 mm")
        return value

    @field_validator("hu_range")
    @classmethod
    def _ordered(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not -32768 <= value[0] < value[1] <= 32767:
            raise ValueError("hu_range must be two rising numbers that int16 can hold")
        return value

    @property
    def spacing_xyz_mm(self) -> tuple[float, float, float] | None:
        """Spacing along x, y, z in mm; None for native."""
        if self.spacing_mm == "native":
            return None
        if isinstance(self.spacing_mm, tuple):
            return self.spacing_mm
        return (float(self.spacing_mm),) * 3


class VolumesConfig(_Part):
    """Which stacks become volumes."""

    format: Literal["nii", "nii.gz"] = Field(default="nii", description="file format; nii can be memory-mapped")
    min_slices: int = Field(default=10, ge=2, description="slices; a thinner stack is no volume")
    irregular: Literal["split", "resample"] = Field(
        default="split",
        description="blocks of regular spacing in an irregular stack become volumes of their own, or one, resampled",
    )
    per_study: int = Field(default=1, ge=1, description="volumes written per study, best ranked first")
    modality: Literal["CT", "MR"] = Field(default="CT", description="DICOM modality that is taken")


class SelectConfig(_Part):
    """How a study's stacks are ranked: points, added up and named in series.parquet."""

    spacing_mm: tuple[float, float] = Field(default=(0.5, 3.0), description="mm; best range of slice spacing")
    min_extent_mm: float = Field(default=40.0, ge=0, description="mm; a stack that covers less is not used")
    axial: float = Field(default=40.0, description="points for an axial stack")
    thin: float = Field(default=30.0, description="points for slice spacing in the best range, falling outside it")
    soft_kernel: float = Field(default=15.0, description="points for a soft-tissue kernel")
    sharp_kernel: float = Field(default=-10.0, description="points for a bone or lung kernel")
    original: float = Field(default=15.0, description="points for an original, not derived, series")
    lossy: float = Field(default=-15.0, description="points for lossy compression")
    tilted: float = Field(default=-5.0, description="points for a tilted gantry")
    cropped: float = Field(default=-20.0, description="points for a series with fewer slices than it announces")
    per_100_mm: float = Field(default=6.0, description="points per 100 mm covered")
    extent_cap_mm: float = Field(default=700.0, gt=0, description="mm; coverage beyond it gives no more points")


class IdentityConfig(_Part):
    """Who may be told apart from whom."""

    placeholder_ids: tuple[str, ...] = Field(
        default=("", "0", "unknown", "anonymous", "anonymized", "anonymised", "none", "null", "n/a"),
        description="patient ids that name nobody (case ignored); such files are never pooled into one patient",
    )
    test_patterns: tuple[str, ...] = Field(
        default=(r"\btest\b", r"\bphantom\b", r"^zz+", r"\bqa\b", r"\bdummy\b", r"\bcatphan\b", r"\bacr\b"),
        description="regular expressions on patient name and id (case ignored) that mark test scans",
    )
    allow_deidentified: bool = Field(
        default=True, description="take files that say that their identity was removed (public data); they are flagged"
    )

    @field_validator("test_patterns")
    @classmethod
    def _compile(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression ({error})") from None
        return value


class LinkConfig(_Part):
    """How a report finds its study."""

    rules: tuple[Rule, ...] = Field(
        default=("accession", "study_uid", "accession_variant", "patient_date"), description="rules, in this order"
    )
    accession_days: int = Field(
        default=1, ge=0, description="days a study date in the report may differ under the same accession"
    )
    report_days: int = Field(
        default=30, ge=0, description="days a report may be dated after its study, where the report has no study date"
    )
    window_days: int = Field(default=3, ge=0, description="days between study and report for the rule patient_date")
    other_patient: Literal["drop", "flag"] = Field(
        default="drop",
        description="what to do with a pair whose text holds a number or full name of another patient of the export "
        "and none of its own: drop it, or keep it with the flag TEXT_OTHER_PATIENT",
    )


class SplitConfig(_Part):
    """Train, validation, test: by a salted hash of the patient, so that a growing data set keeps its splits."""

    train: float = Field(default=0.8, ge=0, le=1, description="fraction of patients")
    validation: float = Field(default=0.1, ge=0, le=1, description="fraction of patients")
    test: float = Field(default=0.1, ge=0, le=1, description="fraction of patients")
    salt: str = Field(default="t3dkit", description="another salt deals the patients anew")

    @model_validator(mode="after")
    def _sum(self) -> SplitConfig:
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            raise ValueError("the fractions train, validation and test must sum to 1")
        return self


class DeidConfig(_Part):
    """How texts and faces are de-identified."""

    min_identifier_chars: int = Field(
        default=4, ge=2, description="characters; shorter identifiers are too common to search the whole data set for"
    )
    faces: Literal["remove", "withhold", "keep"] = Field(
        default="remove",
        description="what to do with a CT that shows a face: replace its front by air (withheld where the place is "
        "doubtful), withhold it, or keep it as it is",
    )
    name_model: str = Field(
        default="",
        description="spaCy model whose people are hidden besides those whom the rules show: an installed package, or a "
        'folder relative to this file; "" for none',
    )
    name_labels: tuple[str, ...] = Field(default=PEOPLE, min_length=1, description="labels of people in that model")

    @property
    def people(self) -> NameModel | None:
        """The model of names, if there is one."""
        return NameModel(self.name_model, self.name_labels) if self.name_model else None


class ReportsConfig(_Part):
    """How reports are read."""

    columns: dict[str, str] = Field(
        default_factory=dict, description="field = column, for tables whose headings are not recognised"
    )
    language: str = Field(default="", description='language code of every report; "" to detect it')
    profile: str = Field(
        default="",
        description="file of `python -m reports profile` with the institution's headings, boilerplate and signatures, "
        "relative to this file",
    )


class WorkersConfig(_Part):
    """How the work is spread; changes no byte of the data set."""

    memory_gb: float = Field(default=1.5, gt=0, description="GB; a worker beyond it is restarted")
    window: int = Field(default=4, ge=1, description="outstanding tasks per worker")


class Config(_Part):
    """Everything that can be configured; see ``python -m curation config --print``."""

    name: str = Field(default="t3d-dataset", description="name of the data set, shown in its card")
    grid: GridConfig = GridConfig()
    volumes: VolumesConfig = VolumesConfig()
    select: SelectConfig = SelectConfig()
    identity: IdentityConfig = IdentityConfig()
    link: LinkConfig = LinkConfig()
    split: SplitConfig = SplitConfig()
    deid: DeidConfig = DeidConfig()
    reports: ReportsConfig = ReportsConfig()
    workers: WorkersConfig = WorkersConfig()

    def recorded(self) -> dict[str, Any]:
        """What dataset.json records: everything that decides bytes (so not `workers`), a file by its content."""
        table = self.model_dump(mode="json", exclude={"workers"})
        if self.reports.profile and not self.reports.profile.startswith("sha256:"):  # a recorded one stays as it is
            content = Path(self.reports.profile).read_bytes()
            table["reports"]["profile"] = f"sha256:{hashlib.sha256(content).hexdigest()[:16]}"
        if self.deid.people and not self.deid.name_model.startswith("sha256:"):
            table["deid"]["name_model"] = model_record(self.deid.people)
        return table

    def digest(self, *parts: str) -> str:
        """SHA-256 (16 hex) of the named tables, or of everything recorded."""
        recorded = self.recorded()
        chosen = {part: recorded[part] for part in parts} if parts else recorded
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:16]


def read_config(path: Path | None) -> Config:
    """The configuration in a TOML file, or the defaults.

    Raises
    ------
    ConfigError
        The file cannot be read, a key is unknown, a value does not fit.
    """
    if path is None:
        return Config()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the configuration {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration {path} is no TOML: {error}") from None
    try:
        config = Config.model_validate(table)
    except ValidationError as error:
        raise ConfigError(f"the configuration {path}: " + "; ".join(_explain(error))) from None
    return _with_name_model(_with_profile(config, path), path)


def _with_profile(config: Config, path: Path) -> Config:
    """The configuration with its profile, if any, read once and named by its full path."""
    if not config.reports.profile:
        return config
    from reports.profiles import read_profile

    profile = (path.parent / config.reports.profile).resolve()
    read_profile(profile)
    return config.model_copy(update={"reports": config.reports.model_copy(update={"profile": str(profile)})})


def _with_name_model(config: Config, path: Path) -> Config:
    """The configuration with its model of names, if any, loaded once and, if a folder, named by its full path."""
    if not config.deid.name_model:
        return config
    folder = (path.parent / config.deid.name_model).resolve()
    where = str(folder) if folder.is_dir() else config.deid.name_model
    config = config.model_copy(update={"deid": config.deid.model_copy(update={"name_model": where})})
    load_recogniser(NameModel(where, config.deid.name_labels))
    return config


def default_toml() -> str:
    """Every key with its default, explained in a comment; reading it back gives the defaults."""
    lines = ["# The configuration of `python -m curation run`: every key, its default, what it means."]
    for name, field in Config.model_fields.items():
        if isinstance(field.default, BaseModel):
            part = type(field.default)
            lines += ["", f"# {(part.__doc__ or '').strip()}", f"[{name}]"]
            for key, inner in part.model_fields.items():
                lines += [f"# {inner.description}", f"{key} = {_toml(getattr(field.default, key))}"]
        else:
            lines += ["", f"# {field.description}", f"{name} = {_toml(field.default)}"]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{}" if not value else "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value)  # booleans, numbers and basic strings are spelled alike in JSON and TOML


def _explain(error: ValidationError) -> Iterator[str]:
    said: set[str] = set()
    for fault in error.errors(include_url=False, include_input=False):
        where = ".".join(str(step) for step in fault["loc"] if not _is_union_tag(step))
        if fault["type"] == "extra_forbidden":
            *table, key = [str(step) for step in fault["loc"]]
            message = f"unknown key {where!r}{_nearest(key, _known_keys(table))}"
        else:
            message = f"{where or 'value'}: {fault['msg'].removeprefix('Value error, ')}"
        if message not in said:
            said.add(message)
            yield message


def _is_union_tag(step: Any) -> bool:
    return isinstance(step, str) and (step == "float" or "[" in step)


def _known_keys(table: Sequence[str]) -> list[str]:
    model: type[BaseModel] = Config
    for step in table:
        default = model.model_fields[step].default if step in model.model_fields else None
        if not isinstance(default, BaseModel):
            return []
        model = type(default)
    return list(model.model_fields)


def _nearest(key: str, known: list[str]) -> str:
    found = process.extractOne(key, known, score_cutoff=50)
    return f", did you mean {found[0]!r}?" if found else f"; known keys are {', '.join(known)}" if known else ""
