"""The data dictionary of DICOM PS3.6, as pydicom ships it.

Enters: a tag or a keyword. Leaves: VR, keyword, tag. Refuses: to import pydicom for it. Its dictionary is one file; the
package around it takes a quarter of a second to import, in every worker.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path

Entry = tuple[str, str, str, str, str]
"""VR, multiplicity, name, retired, keyword."""


def _load() -> dict[int, Entry]:
    package = find_spec("pydicom")
    path = Path(package.origin).with_name("_dicom_dict.py") if package and package.origin else None
    if path is None or not path.is_file():  # a pydicom of another make
        from pydicom.datadict import DicomDictionary

        return DicomDictionary
    loader = SourceFileLoader("volumes._pydicom_dictionary", str(path))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    entries: dict[int, Entry] = module.DicomDictionary
    return entries


DICTIONARY = _load()
_TAGS = {entry[4]: tag for tag, entry in DICTIONARY.items() if entry[4]}


def tag_of(keyword: str) -> int:
    """The tag of a DICOM keyword; KeyError for one that is none."""
    return _TAGS[keyword]


@lru_cache(maxsize=4096)
def dictionary_vr(tag: int) -> str:
    """The VR that PS3.6 gives `tag`; the first where it gives a choice, ``UN`` for private and unknown tags."""
    if not tag & 0xFFFF:
        return "UL"  # group length
    if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF:
        return "LO"  # private creator
    entry = DICTIONARY.get(tag)
    return entry[0][:2] if entry else "UN"
