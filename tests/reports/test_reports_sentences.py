from __future__ import annotations

import pytest

from reports.parse import parse_report


def split(text: str) -> list[str]:
    return [sentence.text for sentence in parse_report(f"FINDINGS:\n{text}", language="en").sentences]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A mass of 3.2 x 1.4 cm. It is new.", ["A mass of 3.2 x 1.4 cm.", "It is new."]),
        ("Mass measures 3.2 cm. in the liver.", ["Mass measures 3.2 cm. in the liver."]),
        ("Discussed with Dr. Smith. He agreed.", ["Discussed with Dr. Smith.", "He agreed."]),
        ("Discussed with Dr. J. Smith today. Done.", ["Discussed with Dr. J. Smith today.", "Done."]),
        ("Disc bulge at L1-L2. No stenosis.", ["Disc bulge at L1-L2.", "No stenosis."]),
        ("Chronic disease, e.g. COPD, is seen. Stable.", ["Chronic disease, e.g. COPD, is seen.", "Stable."]),
        ("Signs of hepatitis C. The liver is small.", ["Signs of hepatitis C.", "The liver is small."]),
        ("1. Clear lungs.\n2. No effusion.", ["Clear lungs.", "No effusion."]),
        ("1. Clear lungs. 2. No effusion. 3. Normal heart.", ["Clear lungs.", "No effusion.", "Normal heart."]),
        ("1) Clear lungs\n2) No effusion", ["Clear lungs", "No effusion"]),
        ("- Clear lungs\n- No effusion", ["Clear lungs", "No effusion"]),
        ("1.Normal appendix.\n2.Small hernia.", ["Normal appendix.", "Small hernia."]),
        ("The liver is normal The spleen is normal", ["The liver is normal", "The spleen is normal"]),
        ("The liver is normal\nThe spleen is normal", ["The liver is normal", "The spleen is normal"]),
        ("lungs clear. no effusion. heart normal.", ["lungs clear.", "no effusion.", "heart normal."]),
        ("Lungs are clear.The heart is normal.", ["Lungs are clear.", "The heart is normal."]),
        ("Is it new? Yes! Seen (se 3, im. 45). Stable.", ["Is it new?", "Yes!", "Seen (se 3, im. 45).", "Stable."]),
        ("See fig. 3 and no. 4 of 12. Normal.", ["See fig. 3 and no. 4 of 12.", "Normal."]),
        ("Seen by [NAME]. [NAME] agrees.", ["Seen by [NAME].", "[NAME] agrees."]),
        ("Approx. 3 cm cyst vs. abscess. Follow up.", ["Approx. 3 cm cyst vs. abscess.", "Follow up."]),
        ("Seen by Dr. X. The liver is normal.", ["Seen by Dr. X.", "The liver is normal."]),
        ("Takes 5 mg p.o. b.i.d. with food.", ["Takes 5 mg p.o. b.i.d. with food."]),
        ("1) Gastric ulcer, 2) Gout, 3) a cyst", ["Gastric ulcer", "Gout", "a cyst"]),
        ("Segment 4) is normal, as is (2) here", ["Segment 4) is normal, as is (2) here"]),
        ("I. Renal stone.\nII. No mass.", ["Renal stone.", "No mass."]),
        ("Lesion in seg. IVa. Stable.", ["Lesion in seg. IVa.", "Stable."]),
        ("A 54 y.o. M with a cyst.", ["A 54 y.o. M with a cyst."]),
        ("Nodule measuring 8 mm. 9 mm nodule on the left.", ["Nodule measuring 8 mm.", "9 mm nodule on the left."]),
        ("The aorta is 3 cm. 2nd aneurysm below.", ["The aorta is 3 cm.", "2nd aneurysm below."]),
        ("Measures 3 cm. x 4 cm. in size.", ["Measures 3 cm. x 4 cm. in size."]),
        ("Compared with the CT of Jan. 5. Stable.", ["Compared with the CT of Jan. 5.", "Stable."]),
        ("1.\nClear lungs.\n2.\nNo effusion.", ["Clear lungs.", "No effusion."]),
        ("...\n---\n.", []),
    ],
)
def test_boundaries(text: str, expected: list[str]) -> None:
    assert split(text) == expected


def test_a_wrapped_sentence_is_one() -> None:
    text = "There is a nodule in the right upper lobe which measures about 8 mm in\ngreatest dimension. It is new."
    assert split(text) == [text.partition(" It")[0], "It is new."]


def test_a_sentence_never_grows_without_bound() -> None:
    assert all(len(sentence) <= 1000 for sentence in split("nodule and cyst or stone, " * 500))
