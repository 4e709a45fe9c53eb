"""What a header says an image is of."""

from __future__ import annotations

import pytest
from phantom import Series, setter

from volumes.classify import named_parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("CHEST", {"chest"}),
        ("UPPER EXTREMITY", set()),
        ("CHESTABDPELV", {"chest", "abdomen", "pelvis"}),
        ("NECKCHESTABDOMEN", {"neck", "chest", "abdomen"}),
        ("THORAX_ABDO", {"chest", "abdomen"}),
        ("ABDOMEN PELVIS", {"abdomen", "pelvis"}),
        ("FEMORAL HEAD", set()),
        ("CSPINE", set()),
        ("", set()),
    ],
)
def test_parts_that_a_header_names(instances_of, text, parts):
    (first, *_) = instances_of(Series(n=2, edit=setter(BodyPartExamined=text)))
    assert named_parts(first) == parts
