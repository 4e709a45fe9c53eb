"""MONAI networks, seen as an encoder, a bottleneck and a decoder.

Enters: an `ImageConfig`. Leaves: a `Backbone` whose `network` is a plain MONAI module, so that its weights load in
plain MONAI. Refuses: networks of its own; the one exception is the decoder of ResNet-50, which MONAI has not.

    crop (b, 1, c, c, c) -> encode -> bottleneck (b, width, n, n, n), skips -> decode -> (b, features, c, c, c)
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from train.config import ImageConfig

Skips = list[torch.Tensor]
GROUPS = 4
"""Groups of the U-Net's normalisation. Instance normalisation, MONAI's default, would remove a crop's mean HU."""
DECODER_FEATURES = 8
"""Channels of the full-resolution features where the network does not set them."""


class Backbone(nn.Module):
    """A MONAI network with its bottleneck in reach.

    Attributes
    ----------
    network : nn.Module
        The plain MONAI network; exported under its own names.
    width, features : int
        Channels of the bottleneck, and of what `decode` gives.
    """

    network: Any

    def __init__(self, config: ImageConfig, *, activation_checkpointing: bool = False) -> None:
        super().__init__()
        self.activation_checkpointing = activation_checkpointing
        self.network = build_network(config, activation_checkpointing=activation_checkpointing)
        self.width, self.features = {
            "unet": (config.channels[-1], config.features),
            "segresnet": (8 * config.features, config.features),
            "swinunetr": (16 * config.features, DECODER_FEATURES),
            "resnet50": (2048, DECODER_FEATURES),
        }[config.network]

    def encode(self, crop: torch.Tensor) -> tuple[torch.Tensor, Skips]:
        """Bottleneck (b, width, n, n, n) and what the decoder needs besides."""
        raise NotImplementedError

    def decode(self, bottleneck: torch.Tensor, skips: Skips) -> torch.Tensor:
        """(b, features, c, c, c)."""
        raise NotImplementedError

    def _run(self, stage: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> torch.Tensor:
        # Trades time for memory: a checkpointed stage keeps its inputs and computes the rest again.
        if self.activation_checkpointing and torch.is_grad_enabled():
            return cast(torch.Tensor, checkpoint(stage, *inputs, use_reentrant=False))
        return stage(*inputs)


class UNetBackbone(Backbone):
    """`monai.networks.nets.UNet`: residual, recursive; walked here level by level."""

    def _levels(self) -> tuple[list[nn.Module], nn.Module, list[nn.Module]]:
        # MONAI nests each level as Sequential(down, SkipConnection(inner), up); the innermost is the bottleneck.
        downs, ups, block = [], [], self.network.model
        while isinstance(block, nn.Sequential) and len(block) == 3 and hasattr(block[1], "submodule"):
            downs.append(block[0])
            ups.append(block[2])
            block = cast(nn.Module, block[1].submodule)
        return downs, block, ups[::-1]

    def encode(self, crop: torch.Tensor) -> tuple[torch.Tensor, Skips]:
        """See `Backbone`."""
        downs, bottom, _ = self._levels()
        skips, level = [], crop
        for down in downs:
            level = self._run(down, level)
            skips.append(level)
        return self._run(bottom, level), skips

    def decode(self, bottleneck: torch.Tensor, skips: Skips) -> torch.Tensor:
        """See `Backbone`."""
        level = bottleneck
        for up, skip in zip(self._levels()[2], reversed(skips), strict=True):
            level = self._run(up, torch.cat([skip, level], dim=1))
        return level


class SegResNetBackbone(Backbone):
    """`monai.networks.nets.SegResNet`, which has `encode` and `decode` of its own."""

    def encode(self, crop: torch.Tensor) -> tuple[torch.Tensor, Skips]:
        """See `Backbone`."""
        level, skips = self.network.convInit(crop), []
        for down in self.network.down_layers:
            level = self._run(down, level)
            skips.append(level)
        return level, skips

    def decode(self, bottleneck: torch.Tensor, skips: Skips) -> torch.Tensor:
        """See `Backbone`."""
        return cast(torch.Tensor, self.network.decode(bottleneck, skips[::-1]))


class SwinUnetrBackbone(Backbone):
    """`monai.networks.nets.SwinUNETR`; the steps are those of its `forward`."""

    def encode(self, crop: torch.Tensor) -> tuple[torch.Tensor, Skips]:
        """See `Backbone`."""
        hidden = self.network.swinViT(crop, self.network.normalize)
        return self.network.encoder10(hidden[4]), [crop, *hidden[:4]]

    def decode(self, bottleneck: torch.Tensor, skips: Skips) -> torch.Tensor:
        """See `Backbone`."""
        net, (crop, *hidden) = self.network, skips
        level = net.decoder5(bottleneck, hidden[3])
        level = net.decoder4(level, net.encoder4(hidden[2]))
        level = self._run(net.decoder3, level, net.encoder3(hidden[1]))
        level = self._run(net.decoder2, level, net.encoder2(hidden[0]))
        level = self._run(net.decoder1, level, self._run(net.encoder1, crop))
        return cast(torch.Tensor, net.out(level))


class ResNetBackbone(Backbone):
    """`monai.networks.nets.resnet50` without its classifier, and a small decoder of ours for restoration."""

    def __init__(self, config: ImageConfig, *, activation_checkpointing: bool = False) -> None:
        super().__init__(config, activation_checkpointing=activation_checkpointing)
        self.decoder = nn.Sequential(*[_up(a, b) for a, b in pairwise([2048, 128, 64, 32, DECODER_FEATURES])])

    def encode(self, crop: torch.Tensor) -> tuple[torch.Tensor, Skips]:
        """See `Backbone`."""
        net = self.network
        level = net.maxpool(net.act(net.bn1(net.conv1(crop))))
        for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
            level = self._run(layer, level)
        return level, []

    def decode(self, bottleneck: torch.Tensor, skips: Skips) -> torch.Tensor:
        """See `Backbone`; there are no skips."""
        return cast(torch.Tensor, self.decoder(bottleneck))


def _up(n_in: int, n_out: int) -> nn.Module:
    return nn.Sequential(
        nn.ConvTranspose3d(n_in, n_out, kernel_size=2, stride=2), nn.GroupNorm(GROUPS, n_out), nn.PReLU()
    )


def network_arguments(config: ImageConfig) -> tuple[str, dict[str, Any]]:
    """Name in ``monai.networks.nets`` and arguments of the network, JSON-able: what an export writes down."""
    full = {"in_channels": 1, "out_channels": config.features, "spatial_dims": 3}
    unet = {"channels": list(config.channels), "strides": [2] * (len(config.channels) - 1)}
    norms = {n: ["group", {"num_groups": n}] for n in (GROUPS, min(8, config.features))}
    table: dict[str, tuple[str, dict[str, Any]]] = {
        "unet": ("UNet", {**full, **unet, "num_res_units": config.res_units, "norm": norms[GROUPS]}),
        "segresnet": ("SegResNet", {**full, "init_filters": config.features, "norm": norms[min(8, config.features)]}),
        "swinunetr": ("SwinUNETR", {**full, "out_channels": DECODER_FEATURES, "feature_size": config.features}),
        "resnet50": ("resnet50", {"spatial_dims": 3, "n_input_channels": 1, "feed_forward": False}),
    }
    return table[config.network]


def build_network(config: ImageConfig, *, activation_checkpointing: bool = False) -> nn.Module:
    """The plain MONAI network, fresh weights."""
    from monai.networks import nets

    name, arguments = network_arguments(config)
    if name == "SwinUNETR":
        arguments = {**arguments, "use_checkpoint": activation_checkpointing}
    return cast(nn.Module, getattr(nets, name)(**arguments))


def build_backbone(config: ImageConfig, *, activation_checkpointing: bool = False) -> Backbone:
    """The backbone that `config` names."""
    kinds: dict[str, type[Backbone]] = {
        "unet": UNetBackbone,
        "segresnet": SegResNetBackbone,
        "swinunetr": SwinUnetrBackbone,
        "resnet50": ResNetBackbone,
    }
    return kinds[config.network](config, activation_checkpointing=activation_checkpointing)
