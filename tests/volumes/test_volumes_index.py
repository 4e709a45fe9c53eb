"""Headers: typed values as pydicom has them, damage and lies repaired or dropped with a reason."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import fields, replace
from pathlib import Path
from typing import ClassVar

import dicom_files as files
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_files

from volumes import index as header_index
from volumes.elements import MAX_NESTING
from volumes.headers import FIRST_READ_BYTES, read_header
from volumes.index import read_instance
from volumes.reasons import DropReason, Flag, RepairCode
from volumes.records import FileDrop, FileRef, Instance
from volumes.sources import iter_files
from volumes.values import SPECIFIC_CHARACTER_SET, Values


@pytest.fixture
def index(tmp_path):
    """Write bytes as a file and index it."""

    def run(data: bytes) -> Instance | FileDrop:
        return index_bytes(tmp_path, data)

    return run


def index_bytes(folder: Path, data: bytes) -> Instance | FileDrop:
    path = folder / "file.dcm"
    path.write_bytes(data)
    *_, last = iter_files(path)
    return read_instance(last) if isinstance(last, FileRef) else last


def codes(instance):
    assert isinstance(instance, Instance), instance
    return [repair.code for repair in instance.repairs]


def content(instance):
    """What must be the same however the file was encoded."""
    assert isinstance(instance, Instance), instance
    skipped = {"file", "transfer_syntax_uid", "repairs", "pixel_offset", "pixel_length"}
    return {field.name: getattr(instance, field.name) for field in fields(Instance) if field.name not in skipped}


def test_a_plain_slice_is_typed(index):
    instance = index(files.encode(files.ct(number=7)))
    assert (instance.kind, instance.modality, instance.transfer_syntax_uid) == ("image", "CT", files.EXPLICIT)
    assert instance.patient_key == ("", "P-4711")
    assert instance.patient_age_years == 65
    assert (instance.series_number, instance.instance_number) == (3, 7)
    assert instance.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert instance.image_position_lps == (-120.5, -80.0, 17.5)
    assert instance.image_orientation_lps == (1, 0, 0, 0, 1, 0)
    assert instance.pixel_spacing_mm == (0.7, 0.8)
    assert (instance.rescale_slope, instance.rescale_intercept, instance.kvp) == (1, -1024, 120)
    assert (instance.rows, instance.columns, instance.bits_stored, instance.has_pixels) == (12, 10, 12, True)
    assert (instance.frames, instance.repairs) == ((), ())


@pytest.mark.parametrize("syntax", files.NATIVE + files.COMPRESSED)
def test_every_syntax_gives_the_same_header(index, syntax):
    instance = index(files.encode(files.ct(), syntax))
    assert content(instance) == content(index(files.encode(files.ct())))
    assert (instance.transfer_syntax_uid, instance.repairs) == (syntax, ())


# ------------------------------------------------------------------------------------------- against pydicom

TEXTS = {
    "modality": "Modality",
    "patient_id": "PatientID",
    "accession_number": "AccessionNumber",
    "study_description": "StudyDescription",
    "series_description": "SeriesDescription",
    "manufacturer": "Manufacturer",
    "photometric_interpretation": "PhotometricInterpretation",
    "patient_sex": "PatientSex",
    "sop_class_uid": "SOPClassUID",
    "sop_instance_uid": "SOPInstanceUID",
    "series_instance_uid": "SeriesInstanceUID",
}
NUMBERS = {
    "series_number": "SeriesNumber",
    "instance_number": "InstanceNumber",
    "kvp": "KVP",
    "slice_thickness_mm": "SliceThickness",
    "rows": "Rows",
    "columns": "Columns",
    "bits_allocated": "BitsAllocated",
    "bits_stored": "BitsStored",
    "pixel_representation": "PixelRepresentation",
    "rescale_slope": "RescaleSlope",
    "rescale_intercept": "RescaleIntercept",
}
VECTORS = {
    "image_position_lps": "ImagePositionPatient",
    "image_orientation_lps": "ImageOrientationPatient",
    "pixel_spacing_mm": "PixelSpacing",
    "image_type": "ImageType",
}


def assert_like_pydicom(ref: FileRef) -> bool:
    found = read_instance(ref)
    if not isinstance(found, Instance) or found.kind != "image":
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(ref.path, force=True, stop_before_pixels=True)
        for name, keyword in TEXTS.items():
            assert getattr(found, name) == (str(ds.get(keyword) or "").strip() or None), keyword
        for name, keyword in NUMBERS.items():
            value = ds.get(keyword)
            if name == "kvp" and "SharedFunctionalGroupsSequence" in ds:
                continue  # ours looks into the functional groups
            assert getattr(found, name) == (None if value in (None, "") else float(value)), keyword
        for name, keyword in VECTORS.items():
            value = ds.get(keyword)
            values = (
                []
                if value in (None, "")
                else [value]
                if isinstance(value, str)
                else [v.strip() if isinstance(v, str) else v for v in value]
            )
            assert list(getattr(found, name) or ()) == values, keyword
    return True


def test_values_equal_pydicoms_on_its_own_test_files():
    paths = [path for path in get_testdata_files() if Path(path).is_file()]
    compared = sum(assert_like_pydicom(ref) for path in paths for ref in iter_files(Path(path)) if is_plain(ref))
    assert compared > 60


def is_plain(ref):
    return isinstance(ref, FileRef) and not ref.members


@pytest.mark.real
def test_values_equal_pydicoms_on_real_files(real):
    refs = [ref for ref in iter_files(real) if is_plain(ref)][::5]
    assert sum(map(assert_like_pydicom, refs)) > 80


@pytest.mark.real
def test_every_real_file_is_accounted_for(real):
    n_files = sum(path.is_file() for path in real.rglob("*"))
    found = [read_instance(item) if isinstance(item, FileRef) else item for item in iter_files(real)]
    assert len(found) == n_files  # nothing here is an archive but single gzip files
    reasons = {item.reason for item in found if isinstance(item, FileDrop)}
    assert reasons <= {DropReason.NOT_DICOM, DropReason.DICOMDIR, DropReason.NO_UID, DropReason.TRUNCATED_HEADER}
    assert sum(isinstance(item, Instance) for item in found) > 700


# ------------------------------------------------------------------------------------------- files that lie


@pytest.mark.parametrize("syntax", [files.IMPLICIT, files.EXPLICIT, files.BIG])
def test_a_data_set_without_meta_is_read_by_its_bytes(index, syntax):
    instance = index(files.without_meta(files.encode(files.ct(), syntax)))
    assert content(instance) == content(index(files.encode(files.ct())))
    assert (instance.transfer_syntax_uid, codes(instance)) == (syntax, [RepairCode.ASSUME_IMPLICIT_LE])


def test_a_missing_preamble_or_wrong_group_length_is_survived(index):
    data = files.encode(files.ct())
    control = content(index(data))
    assert content(index(data[128:])) == control
    wrong = data[:140] + struct.pack("<I", 9999) + data[144:]
    instance = index(wrong)
    assert (content(instance), codes(instance)) == (control, [RepairCode.META_LENGTH])


@pytest.mark.parametrize("wrong", [files.IMPLICIT, files.BIG, files.DEFLATED])
def test_a_lying_transfer_syntax_is_seen_through(index, wrong):
    data = files.encode(files.ct())
    old, new = files.EXPLICIT.encode() + b"\0", wrong.encode().ljust(20, b"\0")
    value = b"\x02\x00\x10\x00UI\x14\x00"
    lied = data.replace(value + old, b"\x02\x00\x10\x00UI" + struct.pack("<H", len(new)) + new)
    assert lied != data
    instance = index(lied)
    assert content(instance) == content(index(data))
    assert RepairCode.TS_GUESSED in codes(instance)
    assert instance.transfer_syntax_uid == files.EXPLICIT


def test_a_missing_transfer_syntax_is_found(index):
    data = files.encode(files.ct(), files.IMPLICIT)
    at = data.index(b"\x02\x00\x10\x00UI")
    length = 8 + struct.unpack_from("<H", data, at + 6)[0]
    meta_length = struct.unpack_from("<I", data, 140)[0] - length
    instance = index(data[:140] + struct.pack("<I", meta_length) + data[144:at] + data[at + length :])
    assert (instance.transfer_syntax_uid, codes(instance)) == (files.IMPLICIT, [RepairCode.TS_GUESSED])


@given(cut=st.floats(0, 1))
@settings(deadline=None, max_examples=60)
def test_a_cut_file_never_crashes_and_names_its_series_when_it_can(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("cut")
    data = files.encode(files.ct())
    pixels_at = data.index(b"\xe0\x7f\x10\x00")
    stop = 1 + int(cut * (pixels_at - 1))
    found = index_bytes(folder, data[:stop])
    if isinstance(found, Instance):  # cut between two elements: no pixels, and convert says so
        assert not found.has_pixels
        return
    has_series = stop > data.index(b"\x20\x00\x0e\x00UI") + 30
    assert found.reason in (DropReason.NOT_DICOM, DropReason.TRUNCATED_HEADER, DropReason.NO_UID)
    if has_series:
        assert (found.reason, found.series_instance_uid) == (DropReason.TRUNCATED_HEADER, "1.2.3.4.1")


@given(data=st.binary(max_size=400), at=st.integers(0, 1500), with_ct=st.booleans())
@settings(deadline=None, max_examples=200)
def test_no_bytes_raise(tmp_path_factory, data, at, with_ct):
    """Noise alone, and noise written over a valid file."""
    if with_ct:
        whole = files.encode(files.ct(), files.IMPLICIT)
        data = whole[:at] + data + whole[at + len(data) :]
    found = index_bytes(tmp_path_factory.mktemp("noise"), data or b"x")
    assert isinstance(found, Instance | FileDrop)


def test_what_is_no_dicom_is_said_by_kind(index):
    for data, words in [(b"%PDF-1.7 ...", "PDF"), (b"MZ" + bytes(300), "Windows program"), (b"hello\n", "text")]:
        found = index(data)
        assert (found.reason, found.detail) == (DropReason.NOT_DICOM, words)


def test_a_preamble_that_imitates_a_program_or_archive_changes_nothing(index):
    data = files.encode(files.ct())
    for magic in (b"MZ", b"PK\x03\x04", b"\x1f\x8b\x08"):
        assert content(index(magic + data[len(magic) :])) == content(index(data))


def test_a_header_longer_than_the_first_read(index):
    ds = files.ct()
    ds.add_new(0x00091001, "OB", bytes(5 * FIRST_READ_BYTES))
    assert content(index(files.encode(ds)))["rows"] == 12


def test_sequences_nested_too_deep_are_refused(index):
    ds = files.item(CodeValue="1")
    for _ in range(MAX_NESTING + 5):
        ds = files.item(ConceptNameCodeSequence=[ds])
        ds["ConceptNameCodeSequence"].is_undefined_length = True
    data = files.encode(files.ct(RequestAttributesSequence=[ds]))
    opened = index(data)  # of known length: the sequence stays closed, the image is kept
    assert opened.rows == 12
    outer = files.ct(RequestAttributesSequence=[ds])
    outer["RequestAttributesSequence"].is_undefined_length = True
    assert index(files.encode(outer)).reason is DropReason.HEADER_DAMAGED


def test_an_icon_image_is_not_taken_for_the_image(index):
    icon = files.item(Rows=2, Columns=2, BitsAllocated=8, PixelData=b"\1\2\3\4")
    icon["PixelData"].VR = "OB"
    instance = index(files.encode(files.ct(IconImageSequence=[icon])))
    assert (instance.rows, instance.has_pixels) == (12, True)
    alone = files.ct(IconImageSequence=[icon], PixelData=None)
    assert not index(files.encode(alone)).has_pixels


# ------------------------------------------------------------------------------------------- values


def replace_value(data: bytes, old: bytes, new: bytes) -> bytes:
    """Another value of the same length, since pydicom refuses to write wrong ones."""
    assert data.count(old) == 1
    assert len(old) == len(new)
    return data.replace(old, new)


def test_decimal_commas_are_read(index):
    data = replace_value(files.encode(files.ct(PixelSpacing=[0.715, 0.825])), b"0.715\\0.825", b"0,715\\0,825")
    instance = index(data)
    assert instance.pixel_spacing_mm == (0.715, 0.825)
    assert codes(instance) == [RepairCode.DECIMAL_COMMA]


@pytest.mark.parametrize("bad", [b"abc", b"NaN", b"inf", b"1_0", b"0x1"])
def test_a_bad_number_drops_only_where_it_is_needed(index, bad):
    data = files.encode(files.ct(RescaleSlope="2.0", KVP="133"))
    found = index(replace_value(data, b"DS\x04\x002.0 ", b"DS\x04\x00" + bad + b" "))
    assert (found.reason, found.series_instance_uid) == (DropReason.BAD_NUMBER, "1.2.3.4.1")
    assert "RescaleSlope" in found.detail
    harmless = index(replace_value(data, b"DS\x04\x00133 ", b"DS\x04\x00" + bad + b" "))
    assert harmless.kvp is None
    assert harmless.rescale_slope == 2


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PixelSpacing", [1, 1, 1]), ("ImagePositionPatient", [1, 2]), ("RescaleSlope", [1, 1]), ("Rows", [12, 12])],
)
def test_a_wrong_number_of_values_drops(index, keyword, value):
    found = index(files.encode(files.ct(**{keyword: value})))
    assert (found.reason, found.detail.split()[0]) == (DropReason.BAD_VM, keyword)


def test_unknown_vrs_are_read_by_the_dictionary(index):
    data = files.encode(files.ct())
    data = replace_value(data, b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x10\x00??\x02\x00")
    instance = index(data)
    assert instance.rows == 12
    assert codes(instance) == [RepairCode.VR_BY_DICTIONARY]


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_missing_uids_drop(index, keyword):
    found = index(files.encode(files.ct(**{keyword: ""})))
    assert (found.reason, found.detail) == (DropReason.NO_UID, keyword)


def test_illegal_uids_are_opaque_keys(index):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = files.encode(files.ct(series="01.abc/../x"))
    assert index(data).series_instance_uid == "01.abc/../x"


def test_lossy_compression_is_flagged(index):
    assert codes(index(files.encode(files.ct(LossyImageCompression="01")))) == [Flag.LOSSY]
    near_lossless = files.encode(files.ct(), files.JPEG_LS).replace(files.JPEG_LS.encode(), b"1.2.840.10008.1.2.4.81")
    assert codes(index(near_lossless)) == [Flag.LOSSY]
    assert codes(index(files.encode(files.ct(LossyImageCompression="00")))) == []


def test_values_are_stripped_of_padding_and_dates_of_points(index):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom knows that the points are wrong
        data = files.encode(files.ct(PatientID="P-4711", PatientBirthDate="1950.03.12"))
    instance = index(replace_value(data, b"P-4711", b"P-47\0\0"))
    assert (instance.patient_id, instance.patient_birth_date) == ("P-47", "19500312")


def test_padding_value_takes_the_sign_of_the_pixels(index):
    signed = files.ct(files.pixels(is_signed=True))
    signed.add_new(0x00280120, "US", 63536)
    assert index(files.encode(signed)).pixel_padding_value == -2000
    unsigned = files.ct()
    unsigned.add_new(0x00280120, "SS", -2000)
    assert index(files.encode(unsigned)).pixel_padding_value == 63536


# ------------------------------------------------------------------------------------------- kinds


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", "image"),
        ("1.2.840.10008.5.1.4.1.1.4", "image"),
        ("1.2.840.10008.5.1.4.1.1.2.2", "image"),
        ("1.2.840.10008.5.1.4.1.1.7", "image"),
        ("1.2.840.10008.5.1.4.1.1.128", "image"),
        ("1.2.840.10008.5.1.4.1.1.88.33", "report"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "report"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "other"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "other"),
        ("1.2.840.10008.5.1.4.1.1.481.2", "other"),
        ("1.2.3.4.5.6", "image"),
    ],
)
def test_the_kind_follows_the_class(index, sop_class, kind):
    assert index(files.encode(files.ct(SOPClassUID=sop_class))).kind == kind


def test_an_object_without_pixels_is_an_image_only_by_class(index):
    assert index(files.encode(files.ct(PixelData=None))).kind == "image"
    assert index(files.encode(files.ct(PixelData=None, SOPClassUID="1.2.3.4.5.6"))).kind == "other"


def test_a_dicomdir_is_known_by_its_class(index):
    found = index(files.encode(files.ct(SOPClassUID="1.2.840.10008.1.3.10", SeriesInstanceUID="")))
    assert found.reason is DropReason.DICOMDIR


# ------------------------------------------------------------------------------------------- multi-frame


def test_frames_of_an_enhanced_ct_carry_own_and_shared_values(index):
    stored = np.stack([files.pixels()] * 3)
    instance = index(files.encode(files.enhanced_ct(stored, order=[2, 0, 1])))
    assert instance.number_of_frames == 3
    assert [frame.image_position_lps[2] for frame in instance.frames] == [5.0, 0.0, 2.5]
    assert [frame.rescale_intercept for frame in instance.frames] == [-1026, -1024, -1025]
    for frame in instance.frames:
        assert (frame.image_orientation_lps, frame.pixel_spacing_mm) == ((1, 0, 0, 0, 1, 0), (0.7, 0.8))
        assert (frame.stack_id, frame.slice_thickness_mm, frame.rescale_slope) == ("1", 2.5, 1)
        assert frame.image_type == ("ORIGINAL", "PRIMARY", "VOLUME", "NONE")
    assert (instance.convolution_kernel, instance.kvp) == ("B30f", 120)


def test_an_enhanced_ct_with_too_few_groups_is_bad(index):
    ds = files.enhanced_ct(np.stack([files.pixels()] * 3), order=[0, 1])
    assert index(files.encode(ds)).reason is DropReason.ENHANCED_BAD


@pytest.mark.parametrize("number", [2**31 - 1, -1])
def test_a_lying_number_of_frames_takes_no_memory(index, number):
    found = index(files.encode(files.ct(NumberOfFrames=number)))
    assert found.reason is DropReason.ENHANCED_BAD


# ------------------------------------------------------------------------------------------- identifiers


def test_identifiers_come_from_every_depth_in_every_script(index):
    ds = files.ct(
        SpecificCharacterSet="ISO_IR 192",
        PatientName="Kim^Gwisun=金^貴順=김^귀순",
        OtherPatientIDs=["X-100", "X-200"],
        StationName="CT",
        RequestAttributesSequence=[files.item(RequestedProcedureID="RP-88", StudyDescription="CT ABDOMEN")],
        ReferencedStudySequence=[files.item(PhysiciansOfRecord="Nested^Name")],
    )
    block = ds.private_block(0x0033, "ACME 1.0", create=True)
    block.add_new(0x01, "PN", "Hidden^Person")
    found = index(files.encode(ds)).identifiers
    values = {value for _, value in found}
    assert {"Kim^Gwisun", "金^貴順", "김^귀순", "X-100", "X-200", "RP-88", "Nested^Name", "Hidden^Person"} <= values
    assert {"P-4711", "ACC0099", "St Elsewhere", "Doe^Jane", "19500312", "20150407"} <= values
    assert not values & {"CT", "CT ABDOMEN", "1.2.3.4", "M", "B30f"}
    assert ("Private00331001", "Hidden^Person") in found
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        (b"ISO_IR 100", "Müller".encode("latin-1"), "Müller"),
        (b"ISO_IR 192", "Müller".encode(), "Müller"),
        (b"", "Müller".encode(), "Müller"),  # absent, and the bytes are UTF-8
        (b"", "Müller".encode("latin-1"), "Müller"),
        (b"ISO IR 192", "김귀순".encode(), "김귀순"),  # misspelt
        (b"GB18030", "王小东".encode("gb18030"), "王小东"),
        (b"\\ISO 2022 IR 149", b"\x1b$)C\xb1\xe8\xb1\xcd\xbc\xf8", "김귀순"),
        (b"ISO_IR 999", b"\xff\xfe", "ÿþ"),
    ],
)
def test_text_is_decoded_whatever_the_character_set_says(charset, raw, text):
    from volumes.charsets import decode_text

    assert decode_text(raw, charset) == text


# ------------------------------------------------------------------------------------------------ remembered values


def test_all_that_is_typed_from_shared_elements_is_in_the_key():
    class Recorded(dict):
        asked: ClassVar[set[int]] = set()

        def get(self, tag, default=None):
            self.asked.add(tag)
            return super().get(tag, default)

    header = read_header(io.BytesIO(files.encode(files.ct())))
    header_index._type_shared(Values(Recorded(header.elements)), is_image=True)
    allowed = {*header_index.SHARED_TAGS, *header_index.BY_FRAME_TAGS, SPECIFIC_CHARACTER_SET}
    assert allowed >= Recorded.asked >= set(header_index.SHARED_TAGS)


def test_what_was_remembered_is_what_would_be_typed(tmp_path):
    """Slices that differ in one shared element, read one after the other and each with nothing remembered."""
    changes = [
        {"KVP": "100"},
        {"PixelSpacing": [0.5, 0.5]},
        {"RescaleIntercept": -1000},
        {"SeriesDescription": "Sch\xe4del"},
        {"SeriesDescription": "Sch\xe4del", "SpecificCharacterSet": "ISO_IR 192"},
        {"PatientSex": "O"},
        {"Modality": "MR"},
    ]
    paths = [files.write(tmp_path / str(k), files.ct(**change)) for k, change in enumerate(changes)]
    refs = [next(iter_files(path)) for path in paths]
    together = [read_instance(ref) for ref in refs]
    alone = []
    for ref in refs:
        header_index._remembered.clear()
        alone.append(read_instance(ref))
    assert together == alone
    # the same name in two character sets is one text
    assert len({repr(replace(item, file=refs[0], pixel_offset=None)) for item in alone}) == len(changes) - 1


def test_a_repair_of_a_remembered_value_is_said_again(index):
    comma = files.encode(files.ct()).replace(b"2.5 ", b"2,5 ")
    repairs = [index(comma).repairs for _ in range(2)]
    assert repairs[0] == repairs[1] != ()
