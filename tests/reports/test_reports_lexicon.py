from __future__ import annotations

from pathlib import Path

import pytest

import reports
from reports.grammar import read_data
from reports.parse import parse_report
from reports.regions import region_tree
from reports.vocabulary import Trie, split_words, vocabulary

FILES = ("anatomy", "findings", "headings", "layout", "assertion", "languages", "regions", "survey")


def test_at_least_400_concepts_with_a_region() -> None:
    assert vocabulary().n_concepts >= 450


@pytest.mark.parametrize(
    ("term", "region"),
    [
        *(("hepatic", "liver"), ("renal", "kidneys"), ("cranial", "skull"), ("SVC", "superior_vena_cava")),
        *(("IVC", "inferior_vena_cava"), ("RPA", "pulmonary_arteries"), ("RUL", "lung_upper_lobe_right")),
        *(
            ("CBD", "bile_ducts"),
            ("ureteral", "ureters"),
            ("IAC", "skull"),
            ("PICC", "chest"),
            ("TIPS", "portal_vein_and_splenic_vein"),
        ),
        *(("cavernous sinus", "brain"), ("Gerota fascia", "retroperitoneum"), ("epididymis", "inguinal_region")),
        *(("uncinate process", "pancreas"), ("ligamentum flavum", "spine"), ("hyoid bone", "larynx")),
        *(("levator ani", "muscles"), ("subcarinal nodes", "lymph_nodes_mediastinal"), ("GGO", "lungs")),
    ],
)
def test_adjectives_and_abbreviations_find_their_region(term: str, region: str) -> None:
    (found,) = parse_report(f"FINDINGS: {term}.", language="en").sentences
    assert found.regions == (region,)


@pytest.mark.parametrize("name", FILES)
def test_every_file_names_its_source_and_licence(name: str) -> None:
    data = read_data(name)
    assert data["source"]
    assert data["license"] == "Apache-2.0"


def test_stems_without_code_have_a_stand_in_and_sides() -> None:
    tree = region_tree()
    for stem, region in vocabulary().unsided.items():
        assert region in tree
        assert tree.sided(stem, "left") or tree.sided(stem, "right"), stem


def test_a_heading_means_one_section() -> None:
    names = [alias for aliases in read_data("headings")["section"].values() for alias in aliases]
    twice = {name for name in names if names.count(name) > 1}
    assert twice <= {"dictated by", "signed by", "transcribed by"}


def test_every_lung_lobe_and_every_organ_with_a_mask_can_be_named() -> None:
    tree = region_tree()
    named = {stem for kind in ("anatomy", "pair") for stem in read_data("anatomy")[kind]}
    numbered = ("vertebrae_", "rib_", "liver_segment_")
    for code in tree.codes:
        if tree.masks[code] and not code.startswith(numbered):
            stem = code.removesuffix("_left").removesuffix("_right")
            assert {code, stem, f"{stem}s"} & named, code


def test_the_longest_term_wins_and_capitals_are_kept() -> None:
    trie: Trie[str] = Trie()
    for term in ("lobe", "right upper lobe", "GB"):
        trie.add(term, term)
    words = split_words("right-upper lobe, right lobe, GB gb")
    assert [(hit.start, hit.end, hit.value) for hit in trie.find(words)] == [
        (0, 3, "right upper lobe"),
        (5, 6, "lobe"),
        (7, 8, "GB"),
    ]


def test_the_package_imports_without_spacy() -> None:
    source = Path(reports.__file__).read_text()
    assert "import" not in source
