"""The region codes: what anatomy can be named, and what contains what.

Enters: ``lexicon/regions.toml``. Leaves: the `RegionTree`. Refuses: an unknown code, a cycle.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class RegionTree:
    """Region codes with their parents.

    Parameters
    ----------
    parent : mapping
        Code -> code of the region that contains it, "" for the root.
    masks : mapping
        Code -> names of the mask classes whose union is the region; empty where no class exists.
    """

    parent: Mapping[str, str]
    masks: Mapping[str, tuple[str, ...]]
    _ancestors: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)
    _sided: dict[tuple[str, str], str | None] = field(default_factory=dict, repr=False, compare=False)

    def __contains__(self, code: object) -> bool:
        return code in self.parent

    @property
    def codes(self) -> tuple[str, ...]:
        """Every code, containing regions before contained ones."""
        return tuple(self.parent)

    def ancestors(self, code: str) -> tuple[str, ...]:
        """The regions that contain `code`, nearest first, without `code` itself."""
        if code not in self._ancestors:
            chain: list[str] = []
            place = code
            while self.parent[place]:
                place = self.parent[place]
                chain.append(place)
            self._ancestors[code] = tuple(chain)
        return self._ancestors[code]

    def children(self, code: str) -> tuple[str, ...]:
        """The regions directly inside `code`."""
        return tuple(child for child, parent in self.parent.items() if parent == code)

    def is_within(self, code: str, container: str) -> bool:
        """Whether `code` is `container` or lies in it."""
        return code == container or container in self.ancestors(code)

    def mask_classes(self, code: str) -> tuple[str, ...]:
        """Classes whose union is `code`'s mask: its own, else those of everything inside it."""
        own = self.masks[code]
        if own:
            return own
        return tuple(name for child in self.children(code) for name in self.mask_classes(child))

    def sided(self, code: str, side: str) -> str | None:
        """`code` on one side: ``("kidneys", "left") -> "kidney_left"``; None where the tree has no such region."""
        if (code, side) not in self._sided:
            self._sided[code, side] = self._find_sided(code, side)
        return self._sided[code, side]

    def _find_sided(self, code: str, side: str) -> str | None:
        if code.endswith((f"_{side}",)):
            return code
        stems = {code, code.removesuffix("s"), code.removesuffix("es")}
        for stem in (stem.removesuffix("_left").removesuffix("_right") for stem in sorted(stems)):
            if f"{stem}_{side}" in self.parent:
                return f"{stem}_{side}"
        return None


@cache
def region_tree() -> RegionTree:
    """The built-in tree.

    Raises
    ------
    ValueError
        The data file names a parent that it does not define.
    """
    table = tomllib.loads(files("reports").joinpath("lexicon/regions.toml").read_text(encoding="utf-8"))["region"]
    parent = {code: entry.get("parent", "") for code, entry in table.items()}
    unknown = sorted({name for name in parent.values() if name and name not in parent})
    if unknown:
        raise ValueError(f"regions.toml names unknown parents {unknown}")
    return RegionTree(parent=parent, masks={code: tuple(entry.get("masks", ())) for code, entry in table.items()})
