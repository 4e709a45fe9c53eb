"""The configuration of a run: one record per concern, read from TOML.

Enters: names of presets, a TOML file, ``key=value`` words. Leaves: a frozen `Config`. Refuses: a key it does not
know, a value of the wrong type, a combination that cannot train.

A configuration is a *scale* (``cpu`` or ``gpu``: network, crop, batch, steps) under a *method* (``t3d``, ``clip``,
``restore``, ...: which losses, which crops). Both are TOML files in ``presets/``; a user's file names the ones it
starts from and overrides single keys.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from t3dkit.errors import ConfigError

SCALES = ("cpu", "gpu")
NETWORKS = ("unet", "segresnet", "swinunetr", "resnet50")
METHODS_WITHOUT_STEPS = ("scratch",)
TCL_FORMS = ("conditioned", "obvious", "no_text")
CROP_POLICIES = ("aligned", "random", "whole")
CORRUPTIONS = ("mask", "shuffle", "inpaint", "outpaint")

T = TypeVar("T")


@dataclass(frozen=True)
class CropConfig:
    """Which crops are drawn, and which sentences belong to one."""

    size_vox: int = 32  # edge of a cubic crop, voxels of the data set's grid
    policy: str = "aligned"  # aligned: on the sentence's region; random: anywhere; whole: down-sampled volume
    sections: tuple[str, ...] = ("findings", "impression", "addendum", "other")  # those that state what is seen
    coverage_threshold: float = 0.5  # a sentence belongs to a crop that covers this much of what it could of its box
    max_sentences: int = 4  # of a view, best covered first
    part_fraction: float = 0.75  # a box larger than this share of the crop's edge: both views cover one part of it
    abnormal_weight: float = 4.0  # of a sentence that states a finding, against 1 for a normal one
    rare_region_power: float = 0.5  # weight ~ (sentences on the region) ** -power; 0: as frequent as they are
    same_region_share: float = 0.5  # of a batch, drawn on one region from different patients
    shuffled_reports: bool = False  # ablation: each pair gets another patient's sentences


@dataclass(frozen=True)
class IntensityConfig:
    """From HU to what the network sees, and how views differ."""

    hu_range: tuple[float, float] = (-1000.0, 500.0)  # clipped, then mapped to -1 .. 1
    gain: float = 0.05  # a view is multiplied by 1 +- gain ...
    shift: float = 0.02  # ... and shifted by +- shift, normalised units
    noise: float = 0.02  # standard deviation of the noise added to a view, normalised units


@dataclass(frozen=True)
class CorruptionConfig:
    """What TIR hides."""

    kinds: tuple[str, ...] = ("mask",)  # one is drawn per crop
    ratio: tuple[float, float] = (0.5, 0.9)  # share of the crop that is hidden, drawn uniformly
    block_vox: int = 8
    cover_region: bool = True  # the sentence's region is hidden whole, so that the text has something to say
    fill: float = 0.0  # normalised units


@dataclass(frozen=True)
class TclConfig:
    """Text-informed contrastive learning."""

    weight: float = 1.0
    form: str = "conditioned"
    temperature: float = 0.07
    soft_positive: float = 0.5  # target weight of an equal or likewise normal sentence, against 1 for its own
    width: int = 64  # of the vectors compared


@dataclass(frozen=True)
class TirConfig:
    """Text-informed image restoration."""

    weight: float = 1.0
    text: bool = True  # False: plain restoration


@dataclass(frozen=True)
class AlignConfig:
    """Sentence-crop alignment (SigLIP)."""

    weight: float = 0.0
    width: int = 64
    whole_report: bool = False  # text is the whole report, not the sentence (preset clip)


@dataclass(frozen=True)
class ImageConfig:
    """The image encoder: a MONAI network and its arguments."""

    network: str = "unet"
    channels: tuple[int, ...] = (16, 32, 64, 128)  # unet
    res_units: int = 1  # unet
    features: int = 8  # unet, segresnet: channels at full resolution; swinunetr: feature size


@dataclass(frozen=True)
class TextConfig:
    """The text encoder: embedded (encoder = ""), or a Hugging Face name or folder."""

    encoder: str = ""
    trainable: bool = True
    rate: float = 0.2  # of the learning rate: it was warmed up, the image encoder was not
    max_tokens: int = 32
    vocabulary: int = 2000
    width: int = 128
    layers: int = 2
    heads: int = 4
    warmup_steps: int = 600  # masked-language steps on the train split's sentences, before step 0


@dataclass(frozen=True)
class LoopConfig:
    """How long, how fast, how often."""

    steps: int = 800
    batch: int = 8  # of each process and micro-step
    accumulate: int = 1
    learning_rate: float = 1e-3
    warmup_steps: int = 20
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    precision: str = "auto"  # auto: bf16 on a GPU, float32 on a CPU
    activation_checkpointing: bool = False
    checkpoint_every: int = 200
    sample_every: int = 200
    log_every: int = 5
    threads: int = 0  # of torch on a CPU; 0: torch's own choice


@dataclass(frozen=True)
class EvaluateConfig:
    """How much `evaluate` does."""

    batch: int = 8
    probe_batches: int = 24  # of the text-only probe
    obvious_steps: int = 120  # training of the obvious readout that is shown beside ours
    gap_draws: int = 160  # sentences whose restoration is compared under right and wrong text
    pool: int = 256  # largest retrieval pool
    bootstrap: int = 1000
    volume_crops: int = 64  # crops per volume for the finding probes
    segment_organs: tuple[str, ...] = (
        "liver",
        "spleen",
        "kidney_left",
        "kidney_right",
        "aorta",
        "heart",
    )  # of the label maps "organs"; where none of them is there, all classes
    segment_steps: int = 150
    segment_fractions: tuple[float, ...] = (1.0,)
    segment_seeds: tuple[int, ...] = (0,)
    segment_batch: int = 4
    segment_validation: int = 48  # held-out crops that Dice is measured on
    seed: int = 1


@dataclass(frozen=True)
class Config:
    """Everything a run is made from; written to ``RUN/config.json``."""

    method: str = "t3d"
    scale: str = "cpu"
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
    config = build(Config, table, "")
    _require_sound(config)
    return config


def build(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """`table` as the frozen dataclass `kind`, strictly: unknown keys and wrong types are errors.

    Raises
    ------
    ConfigError
        Names the key, what was expected and what was found.
    """
    hints = get_type_hints(kind)
    unknown = sorted(set(table) - set(hints))
    if unknown:
        raise ConfigError(f"unknown configuration key {where}{unknown[0]!r}; known here: {', '.join(sorted(hints))}")
    return kind(**{key: _typed(value, hints[key], where + key) for key, value in table.items()})


def as_table(config: Config) -> dict[str, Any]:
    """`config` as plain dictionaries and lists, as `build` reads it back."""
    return _plain(dataclasses.asdict(config))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _typed(value: Any, hint: Any, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"configuration key {key!r}: expected a table, found {value!r}")
        return build(hint, value, key + ".")  # type: ignore[arg-type]
    origin = getattr(hint, "__origin__", None)
    if origin is tuple:
        parts = hint.__args__
        fixed = None if len(parts) == 2 and parts[1] is Ellipsis else len(parts)
        if not isinstance(value, (list, tuple)) or (fixed is not None and len(value) != fixed) or not value:
            raise ConfigError(
                f"configuration key {key!r}: expected a list{f' of {fixed}' if fixed else ''}, found {value!r}"
            )
        return tuple(_typed(item, parts[0], key) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"configuration key {key!r}: expected {hint.__name__}, found {value!r}")
    return value


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


def _require_sound(config: Config) -> None:
    checks = [
        (config.image.network in NETWORKS, "image.network", NETWORKS),
        (config.tcl.form in TCL_FORMS, "tcl.form", TCL_FORMS),
        (config.crop.policy in CROP_POLICIES, "crop.policy", CROP_POLICIES),
        (set(config.corruption.kinds) <= set(CORRUPTIONS), "corruption.kinds", CORRUPTIONS),
        (config.loop.precision in ("auto", "float32", "bf16"), "loop.precision", ("auto", "float32", "bf16")),
    ]
    for holds, key, known in checks:
        if not holds:
            raise ConfigError(f"configuration key {key!r}: expected one of {', '.join(known)}")
    low, high = config.corruption.ratio
    if not 0 < low <= high <= 1:
        raise ConfigError("configuration key 'corruption.ratio': expected 0 < low <= high <= 1")
    if config.crop.size_vox % config.corruption.block_vox or config.crop.size_vox % shrink_factor(config.image):
        raise ConfigError(
            f"crop.size_vox {config.crop.size_vox} must be a multiple of corruption.block_vox "
            f"{config.corruption.block_vox} and of the encoder's {shrink_factor(config.image)}"
        )
    if config.crop.size_vox < 2 * shrink_factor(config.image):
        raise ConfigError(
            f"crop.size_vox must be at least {2 * shrink_factor(config.image)} for {config.image.network}"
        )
    if min(config.loop.batch, config.loop.accumulate, config.crop.max_sentences) < 1:
        raise ConfigError("loop.batch, loop.accumulate and crop.max_sentences must be at least 1")
    if config.tcl.weight and config.loop.batch < 2 and config.loop.accumulate < 2:
        raise ConfigError("loop.batch must be at least 2 for a contrastive loss")


def shrink_factor(image: ImageConfig) -> int:
    """By how much the encoder's bottleneck is smaller than its input, per axis."""
    return {"unet": 2 ** (len(image.channels) - 1), "segresnet": 8, "swinunetr": 32, "resnet50": 16}[image.network]
