"""From a key to crops: the draw of a slot and the voxels of both its views.

Enters: a catalogue, the volumes, (seed, step, slot). Leaves: a `Draw` and two int16 HU crops. Refuses: crops of
padding only; they are drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from t3dkit.errors import DataError
from train.catalogue import Catalogue
from train.crops import Draw, draw
from train.reader import AIR_HU, VolumeStore

MAX_ATTEMPTS = 12


class Sampler:
    """Draws of a catalogue with their voxels; stateless but for open volumes."""

    def __init__(self, catalogue: Catalogue, store: VolumeStore) -> None:
        self.catalogue, self.store = catalogue, store

    def room(self) -> np.ndarray:
        """Room for the two crops of a draw: (2, c, c, c) int16, each in the memory order of a file."""
        size_vox = self.catalogue.crop.size_vox
        return np.empty((size_vox, size_vox, size_vox, 2), dtype=np.int16, order="F").transpose(3, 0, 1, 2)

    def samples(self, room: np.ndarray, *, seed: int, step: int, slots: Sequence[int], n_slots: int) -> Iterator[Draw]:
        """The draws of a batch, each given when its two crops lie in `room`.

        All slots are drawn before the first is read: between two reads, which empty the processor's caches, a draw
        takes twice as long.

        Parameters
        ----------
        room : (2, c, c, c) int16
            Where the voxels of one draw after the other go, HU. New room for each would cost as much as reading.
        seed, step, slots, n_slots : int
            As of `train.crops.draw`.

        Raises
        ------
        DataError
            A slot's crops hold nothing but padding, however often they are drawn again.
        UnreadableVolume
            A volume is not what its row says.
        """
        key = {"seed": seed, "step": step, "n_slots": n_slots}
        for slot, drawn in [(slot, draw(self.catalogue, slot=slot, **key)) for slot in slots]:
            attempt = 0
            while not self._read(drawn, room):
                attempt += 1
                if attempt == MAX_ATTEMPTS:
                    raise DataError(
                        f"pair {drawn.pair_id}: {MAX_ATTEMPTS} crops in a row hold nothing but padding; its boxes or "
                        "its volume are wrong. Run `python -m curation verify` on the data set"
                    )
                drawn = draw(self.catalogue, slot=slot, attempt=attempt, **key)
            yield drawn

    def _read(self, drawn: Draw, room: np.ndarray) -> bool:
        """Fill `room`; whether both crops hold more than padding."""
        for view, crop in zip(drawn.views, room, strict=True):
            self.store.crop(drawn.volume_id, view.start_ijk, drawn.size_vox, out=crop)
            if is_padding(crop):
                return False
        return True


def is_padding(crop_hu: np.ndarray) -> bool:
    """Whether a crop holds nothing but padding; searched whole only where its middle is padding."""
    middle = tuple(edge // 2 for edge in crop_hu.shape)
    return bool(crop_hu[middle] <= AIR_HU and crop_hu.max() <= AIR_HU)
