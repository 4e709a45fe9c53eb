"""The configuration of a run: one record per concern, read from TOML.

Enters: names of presets, a TOML file, ``key=value`` words. Leaves: a frozen `Config`. Refuses: a key it does not
know, a value of the wrong type, a combination that cannot train.

A configuration is a *scale* (``cpu`` or ``gpu``: network, crop, batch, steps) under a *method* (``t3d``, ``clip``,
``restore``, ...: which losses, which crops). Both are TOML files in ``presets/``; a user's file names the ones it
starts from and overrides single keys.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import field
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from t3dkit.errors import ConfigError

SCALES = ("cpu", "gpu")
METHODS_WITHOUT_STEPS = ("scratch",)

STRICT = ConfigDict(extra="forbid", strict=True)
Count = Annotated[int, Field(ge=1)]
Some = Field(min_length=1)
CorruptionKind = Literal["mask", "shuffle", "inpaint", "outpaint"]


@dataclass(frozen=True, config=STRICT)
class CropConfig:
    """Which crops are drawn, and which sentences belong to one."""

    size_vox: int = 32  # edge of a cubic crop, voxels of the data set's grid
    # aligned: on the sentence's region; random: anywhere; whole: down-sampled volume
    policy: Literal["aligned", "random", "whole"] = "aligned"
    # those that state what is seen
    sections: Annotated[tuple[str, ...], Some] = ("findings", "impression", "addendum", "other")
    coverage_threshold: float = 0.5  # a sentence belongs to a crop that covers this much of what it could of its box
    max_sentences: Count = 4  # of a view, best covered first
    part_fraction: float = 0.75  # a box larger than this share of the crop's edge: both views cover one part of it
    abnormal_weight: float = 4.0  # of a sentence that states a finding, against 1 for a normal one
    rare_region_power: float = 0.5  # weight ~ (sentences on the region) ** -power; 0: as frequent as they are
    same_region_share: float = 0.5  # of a batch, drawn on one region from different patients
    shuffled_reports: bool = False  # ablation: each pair gets another patient's sentences


@dataclass(frozen=True, config=STRICT)
class IntensityConfig:
    """From HU to what the network sees, and how views differ."""

    hu_range: tuple[float, float] = (-1000.0, 500.0)  # clipped, then mapped to -1 .. 1
    gain: float = 0.05  # a view is multiplied by 1 +- gain ...
    shift: float = 0.02  # ... and shifted by +- shift, normalised units
    noise: float = 0.02  # standard deviation of the noise added to a view, normalised units


@dataclass(frozen=True, config=STRICT)
class CorruptionConfig:
    """What TIR hides."""

    kinds: Annotated[tuple[CorruptionKind, ...], Some] = ("mask",)  # one is drawn per crop
    ratio: tuple[float, float] = (0.6, 0.95)  # share of the crop that is hidden, drawn uniformly
    block_vox: int = 8  # edge of a hidden block
    cover_region: bool = True  # the sentence's region is hidden whole, so that the text has something to say
    fill: float = 0.0  # normalised units


@dataclass(frozen=True, config=STRICT)
class TclConfig:
    """Text-informed contrastive learning."""

    weight: float = 1.0  # of the term in the loss; 0: none
    # conditioned: both sides read under one sentence; obvious: each under its own; no_text: plain contrast of views
    form: Literal["conditioned", "obvious", "no_text"] = "conditioned"
    temperature: float = 0.07  # similarities are divided by it
    soft_positive: float = 0.5  # target weight of an equal or likewise normal sentence, against 1 for its own
    width: int = 64  # of the vectors compared


@dataclass(frozen=True, config=STRICT)
class TirConfig:
    """Text-informed image restoration."""

    weight: float = 3.0  # its L1 is a sixth of a contrastive loss; at 1 the text is hardly read
    text: bool = True  # False: plain restoration


@dataclass(frozen=True, config=STRICT)
class AlignConfig:
    """Sentence-crop alignment (SigLIP)."""

    weight: float = 0.0  # of the term in the loss; 0: none
    attend: bool = True  # the sentence attends to the crop's places; False: the crop is their mean
    width: int = 64  # of the vectors compared
    whole_report: bool = False  # the text is the whole report, not the sentence (preset clip)


@dataclass(frozen=True, config=STRICT)
class ImageConfig:
    """The image encoder: a MONAI network and its arguments."""

    network: Literal["unet", "segresnet", "swinunetr", "resnet50"] = "unet"
    channels: Annotated[tuple[Count, ...], Some] = (16, 32, 64, 128)  # unet
    res_units: int = 1  # unet
    features: int = 8  # unet, segresnet: channels at full resolution; swinunetr: feature size


@dataclass(frozen=True, config=STRICT)
class TextConfig:
    """The text encoder: embedded (encoder = ""), or a Hugging Face name or folder."""

    encoder: str = ""  # name or folder; what follows but trainable, rate, max_tokens is of the embedded one
    trainable: bool = True  # False: frozen
    rate: float = 0.2  # of the learning rate: it was warmed up, the image encoder was not
    max_tokens: int = 32  # of a sentence; longer ones are cut
    vocabulary: int = 2000  # pieces of words, at most
    width: int = 128
    layers: int = 2
    heads: int = 4
    warmup_steps: int = 600  # masked-language steps on the train split's sentences, before step 0


@dataclass(frozen=True, config=STRICT)
class LoopConfig:
    """How long, how fast, how often."""

    steps: Annotated[int, Field(ge=0)] = 800
    batch: Count = 8  # of each process and micro-step
    accumulate: Count = 1  # micro-steps of a step; all of its slots are compared
    learning_rate: float = 1e-3  # highest; half a cosine down to a hundredth
    warmup_steps: int = 20  # of a rising learning rate
    weight_decay: float = 0.01
    clip_norm: float = 1.0  # longest gradient
    seed: int = 0
    precision: Literal["auto", "float32", "bf16"] = "auto"  # auto: bf16 on a GPU, float32 on a CPU
    activation_checkpointing: bool = False  # less memory, more time
    checkpoint_every: int = 200  # steps
    sample_every: int = 200  # steps between pictures
    log_every: int = 5  # steps
    trackers: tuple[Literal["mlflow", "wandb"], ...] = ()  # beside TensorBoard; offline unless their own variables say
    threads: int = 0  # of torch on a CPU; 0: torch's own choice


@dataclass(frozen=True, config=STRICT)
class EvaluateConfig:
    """How much `evaluate` does."""

    batch: int = 8  # crops at a time, and slots of the text-only probe
    probe_batches: int = 24  # of the text-only probe
    obvious_steps: int = 120  # training of the obvious readout that is shown beside ours
    gap_draws: int = 160  # sentences whose restoration is compared under right and wrong text
    pool: int = 256  # largest retrieval pool
    bootstrap: int = 1000  # resamples of an interval
    volume_crops: int = 216  # crops per volume for the finding probes
    segment_organs: Annotated[tuple[str, ...], Some] = (
        "liver",
        "spleen",
        "kidney_left",
        "kidney_right",
        "aorta",
        "heart",
    )  # of the label maps "organs"; where none of them is there, all classes
    segment_steps: int = 150  # of fine-tuning
    segment_fractions: Annotated[tuple[float, ...], Some] = (1.0,)  # of the train volumes whose labels are used
    segment_seeds: Annotated[tuple[int, ...], Some] = (0,)  # of fine-tuning; Dice is their mean
    segment_batch: int = 4  # crops of a fine-tuning step
    segment_compare: bool = True  # beside the run's weights, the same from scratch
    segment_volumes: Count = 3  # held-out volumes that Dice is measured on
    seed: int = 1


@dataclass(frozen=True, config=STRICT)
class Config:
    """Everything a run is made from; written to ``RUN/config.json``."""

    method: str = "t3d"
    scale: Literal["cpu", "gpu"] = "cpu"
    crop: CropConfig = field(default_factory=CropConfig)
    intensity: IntensityConfig = field(default_factory=IntensityConfig)
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    tcl: TclConfig = field(default_factory=TclConfig)
    tir: TirConfig = field(default_factory=TirConfig)
    align: AlignConfig = field(default_factory=AlignConfig)
    image: ImageConfig = field(default_factory=ImageConfig)
    text: TextConfig = field(default_factory=TextConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    @model_validator(mode="after")
    def _is_sound(self) -> Config:
        low, high = self.corruption.ratio
        size, block, factor = self.crop.size_vox, self.corruption.block_vox, shrink_factor(self.image)
        checks = (
            (0 < low <= high <= 1, "corruption.ratio must be 0 < low <= high <= 1"),
            (not size % block and not size % factor, f"crop.size_vox must be a multiple of {block} and {factor}"),
            (size >= 2 * factor, f"crop.size_vox must be at least {2 * factor} for {self.image.network}"),
            (
                not self.tcl.weight or self.loop.batch * self.loop.accumulate > 1,
                "loop.batch or loop.accumulate must be at least 2 for a contrastive loss",
            ),
        )
        for holds, says in checks:
            if not holds:
                raise ValueError(says)
        return self


def preset_names() -> tuple[str, ...]:
    """Every preset: the scales and the methods."""
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in files("train").joinpath("presets").iterdir()))


def load_config(name: str | None = None, words: Sequence[str] = (), *, scale: str | None = None) -> Config:
    """The configuration of a run.

    Parameters
    ----------
    name : str or None
        A preset (``t3d-align``, ``gpu``, ...), or a TOML file that may name ``method`` and ``scale``; None: ``t3d``.
    words : sequence of str
        Overrides such as ``loop.steps=10``; the value is TOML, a bare word is a string.
    scale : str or None
        Used where `name` does not say; None: ``gpu`` where torch finds one, else ``cpu``.

    Raises
    ------
    ConfigError
        No such preset or file, no TOML, an unknown key, a wrong type or value.
    """
    own = _own_table(name)
    for word in words:
        _merge(own, word_table(word))
    scale = str(own.get("scale", scale or _device_scale()))
    method = str(own.get("method", "t3d"))
    if scale not in SCALES:
        raise ConfigError(f"scale {scale!r}: expected one of {', '.join(SCALES)}")
    table: dict[str, Any] = {}
    for layer in (_preset(scale), _preset(method), own, {"scale": scale, "method": method}):
        _merge(table, layer)
    return build(Config, table)


def overridden(config: Config, words: Sequence[str]) -> Config:
    """`config` with single keys set anew, each word such as ``evaluate.pool=64``."""
    table = as_table(config)
    for word in words:
        _merge(table, word_table(word))
    return build(Config, table)


def build(kind: type[Any], table: Mapping[str, Any]) -> Any:
    """`table` as the frozen record `kind`, strictly: unknown keys and wrong types are errors.

    Raises
    ------
    ConfigError
        Names the key, what was expected and what was found.
    """
    try:
        # As JSON, where a list may fill a tuple and a table a record, and all else stays strict.
        return TypeAdapter(kind).validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        says = first["msg"]
        if first["type"] == "unexpected_keyword_argument":
            near = get_close_matches(key, flat(as_table(Config())), n=1)
            says = "there is no such key" + (f" (perhaps {near[0]})" if near else "")
        raise ConfigError(f"configuration key {key!r}: {says}, found {first['input']!r}" if key else says) from None


def as_table(config: Any) -> dict[str, Any]:
    """A record as plain dictionaries and lists, as `build` reads it back."""
    return TypeAdapter(type(config)).dump_python(config, mode="json")


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested table as one of dotted keys."""
    rows: dict[str, Any] = {}
    for key, value in table.items():
        rows |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return rows


def _own_table(name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    if name in preset_names():
        return {"scale": name} if name in SCALES else {"method": name}
    path = Path(name)
    if not path.is_file():
        raise ConfigError(f"{name!r} is neither a file nor a preset; presets: {', '.join(preset_names())}")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from None


def word_table(word: str) -> dict[str, Any]:
    """``loop.steps=10`` as nested tables.

    Raises
    ------
    ConfigError
        It is no KEY=VALUE.
    """
    key, sign, text = word.partition("=")
    if not sign or not key:
        raise ConfigError(f"--set {word!r}: expected KEY=VALUE, such as loop.steps=100")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _preset(name: str) -> dict[str, Any]:
    if name not in preset_names():
        raise ConfigError(f"no preset {name!r}; there are {', '.join(preset_names())}")
    return tomllib.loads(files("train").joinpath("presets", f"{name}.toml").read_text(encoding="utf-8"))


def _merge(table: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(table.get(key), dict):
            _merge(table[key], value)
        else:
            table[key] = dict(value) if isinstance(value, Mapping) else value


def _device_scale() -> str:
    import torch

    return "gpu" if torch.cuda.is_available() else "cpu"


def shrink_factor(image: ImageConfig) -> int:
    """By how much the encoder's bottleneck is smaller than its input, per axis."""
    return {"unet": 2 ** (len(image.channels) - 1), "segresnet": 8, "swinunetr": 32, "resnet50": 16}[image.network]
