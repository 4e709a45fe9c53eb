"""The dictionary is pydicom's, and reading a header needs no more of pydicom than that."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydicom.datadict import DicomDictionary, tag_for_keyword

from volumes.dictionary import DICTIONARY, dictionary_vr, tag_of


def test_it_is_pydicoms_dictionary():
    assert DicomDictionary == DICTIONARY
    for keyword in ("PatientID", "PixelSpacing", "SharedFunctionalGroupsSequence", "EncapsulatedDocument"):
        assert tag_of(keyword) == tag_for_keyword(keyword)
    with pytest.raises(KeyError):
        tag_of("NoSuchKeyword")


@pytest.mark.parametrize(
    ("tag", "vr"), [(0x00100020, "LO"), (0x00280106, "US"), (0x00290010, "LO"), (0x00291010, "UN"), (0x00080000, "UL")]
)
def test_vrs(tag, vr):
    assert dictionary_vr(tag) == vr


def test_a_header_is_read_without_importing_pydicom():
    code = "import sys, volumes.index, volumes.stacks, volumes.convert; print('pydicom' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
