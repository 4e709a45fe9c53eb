"""Where text meets image: the readout of TCL and the fusion of TIR.

Enters: text tokens (b, s, d), visual tokens. Leaves: a vector per (text, image) pair, or visual tokens that have
read the text. Refuses: nothing; a sentence without tokens reads a learned null token.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class Readout(nn.Module):
    """R(t, F): the tokens of a sentence attend to the tokens of a crop and pool to one vector.

    With `keeps_text` the text stays in the result through the residual connection, as in any cross-attention block.
    That is what lets the obvious loss be solved from the text alone, and it is harmless in ours (docs/t3d.md).

    Parameters
    ----------
    width : int
        d, of both kinds of tokens.
    out : int
        Of the pooled vector.
    """

    def __init__(self, width: int, out: int, *, keeps_text: bool = True, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.keeps_text = heads, keeps_text
        self.norm_text, self.norm_visual = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.mix = nn.Linear(width, width)
        self.norm_out = nn.LayerNorm(width)
        self.project = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, out))

    def forward(self, text: torch.Tensor, held: torch.Tensor, visual: torch.Tensor) -> torch.Tensor:
        """Every sentence against every crop.

        Parameters
        ----------
        text : (b, s, d)
        held : (b, s) bool
            Which tokens exist.
        visual : (m, n, d)

        Returns
        -------
        (b, m, out)
        """
        weights, value = self._attention(text, visual, "bshe,mnhe->bmhsn")
        read = torch.einsum("bmhsn,mnhe->bmshe", weights, value).flatten(3)  # (b, m, s, d)
        return self._pool(text[:, None], held[:, None], read)

    def paired(self, text: torch.Tensor, held: torch.Tensor, visual: torch.Tensor) -> torch.Tensor:
        """Each sentence against its own crop: (b, s, d), (b, s), (b, n, d) -> (b, out)."""
        weights, value = self._attention(text, visual, "bshe,bnhe->bhsn")
        read = torch.einsum("bhsn,bnhe->bshe", weights, value).flatten(2)  # (b, s, d)
        return self._pool(text, held, read)

    def attention(self, text: torch.Tensor, held: torch.Tensor, visual: torch.Tensor) -> torch.Tensor:
        """Where each sentence looks in its own crop: (b, n), mean over heads and tokens."""
        weights, _ = self._attention(text, visual, "bshe,bnhe->bhsn")
        per_token = weights.mean(dim=1)  # (b, s, n)
        held = held.unsqueeze(-1).float()
        return (per_token * held).sum(dim=1) / held.sum(dim=1).clamp(min=1)

    def _attention(self, text: torch.Tensor, visual: torch.Tensor, pattern: str) -> tuple[torch.Tensor, torch.Tensor]:
        query = self._split(self.query(self.norm_text(text)))
        seen = self.norm_visual(visual)
        key, value = self._split(self.key(seen)), self._split(self.value(seen))
        scores = torch.einsum(pattern, query, key) * query.shape[-1] ** -0.5
        return scores.softmax(dim=-1), value

    def _split(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.unflatten(-1, (self.heads, -1))

    def _pool(self, text: torch.Tensor, held: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        weight = held.unsqueeze(-1).to(read.dtype)
        mixed = text + self.mix(read) if self.keeps_text else self.mix(read)
        pooled = (mixed * weight).sum(dim=-2) / weight.sum(dim=-2).clamp(min=1)
        return self.project(self.norm_out(pooled))


class Fusion(nn.Module):
    """The bottleneck reads the sentences: visual tokens attend to text tokens, with a residual.

    Nothing starts at zero: the text should be able to act from the first step of a short run.

    Parameters
    ----------
    channels : int
        Of the bottleneck.
    text_width : int
        d of the text tokens.
    """

    def __init__(self, channels: int, text_width: int, heads: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.norm_text = nn.LayerNorm(text_width)
        self.null = nn.Parameter(torch.zeros(1, 1, text_width))
        self.attend = nn.MultiheadAttention(channels, heads, kdim=text_width, vdim=text_width, batch_first=True)
        self.norm_mix = nn.LayerNorm(channels)
        self.mix = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, bottleneck: torch.Tensor, text: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
        """(b, channels, n, n, n), (b, s, d), (b, s) bool -> (b, channels, n, n, n)."""
        shape = bottleneck.shape
        visual = bottleneck.flatten(2).transpose(1, 2)  # (b, n^3, channels)
        query = self.norm(visual) + positions(shape[2], shape[1], visual)
        text = torch.cat([self.null.expand(len(text), -1, -1).to(text.dtype), self.norm_text(text)], dim=1)
        absent = F.pad(~held, (1, 0), value=False)
        read, _ = self.attend(query, text, text, key_padding_mask=absent, need_weights=False)
        visual = visual + read
        visual = visual + self.mix(self.norm_mix(visual))
        return visual.transpose(1, 2).reshape(shape)


def positions(n: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """Fixed sine positions of an n^3 grid, (n^3, width): a third of the channels for each axis."""
    per_axis = max(2, width // 3 // 2 * 2)
    rates = torch.exp(torch.arange(0, per_axis, 2, device=like.device) * (-4.0 / per_axis))
    angles = torch.arange(n, device=like.device)[:, None] * rates  # (n, per_axis / 2)
    line = torch.cat([angles.sin(), angles.cos()], dim=1)  # (n, per_axis)
    i, j, k = (axis.flatten() for axis in torch.meshgrid(*[torch.arange(n, device=like.device)] * 3, indexing="ij"))
    grid = torch.cat([line[i], line[j], line[k]], dim=1)[:, :width]
    return F.pad(grid, (0, width - grid.shape[1])).to(like.dtype)
