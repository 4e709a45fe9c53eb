"""A second language is data: Spanish files beside the English ones, and no line of code that knows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import reports
from reports.grammar import read_data, tagged_languages
from reports.parse import parse_report
from reports.regions import region_tree
from reports.vocabulary import vocabulary

PACKAGE = Path(reports.__file__).parent
REPORT = """Paciente: [NAME]
TAC DE TÓRAX Y ABDOMEN
Datos clínicos: Tos y fiebre. Antecedente de cáncer de mama.
Técnica: Se realiza estudio sin contraste intravenoso.
Hallazgos:
Consolidación en el lóbulo inferior derecho con pequeño derrame pleural asociado.
Nódulo de 8 mm en LSI, sin cambios respecto al estudio previo.
No se observan adenopatías mediastínicas ni hiliares. Corazón de tamaño normal.
Pulmón derecho bien aireado y riñón izquierdo normal.
Hígado: esteatosis. Vesícula biliar: sin alteraciones.
Quiste de 2,5 cm en el riñón izquierdo.
Ambos riñones de tamaño normal, sin hidronefrosis.
Posible litiasis en el uréter derecho. No se puede descartar apendicitis.
Fractura de costillas 4 y 5 izquierdas.
Conclusión:
1. Neumonía en el lóbulo inferior derecho.
2. Aplastamiento vertebral de L1, ya conocido.
Firmado por: Dr. [NAME]"""


def test_a_spanish_report_is_sectioned_and_tagged() -> None:
    parsed = parse_report(REPORT)
    assert (parsed.language, parsed.flags, parsed.unknown_headings) == ("es", (), ())
    assert [section.name for section in parsed.sections] == [
        *("other", "procedure", "history", "technique", "findings", "impression", "other")
    ]
    found = [(s.regions, s.laterality, s.assertion) for s in parsed.sentences]
    assert found == [
        (("abdomen", "chest"), None, "present"),
        ((), None, "present"),
        (("chest_wall",), None, "uncertain"),
        ((), None, "present"),
        (("lung_lower_lobe_right", "pleura_right"), "right", "present"),
        (("lung_upper_lobe_left",), "left", "present"),
        (("lymph_nodes_mediastinal",), None, "absent"),
        (("heart",), None, "absent"),
        (("kidney_left", "lung_right"), "bilateral", "absent"),
        (("liver",), None, "present"),
        (("gallbladder",), None, "absent"),
        (("kidney_left",), "left", "present"),
        (("kidney_left", "kidney_right"), "bilateral", "absent"),
        (("ureter_right",), "right", "uncertain"),
        (("appendix",), None, "uncertain"),
        (("rib_left_4", "rib_left_5"), "left", "present"),
        (("lung_lower_lobe_right",), "right", "present"),
        (("vertebrae_L1",), None, "present"),
    ]
    assert [s.is_prior_comparison for s in parsed.sentences][-1]
    assert [s.measurements_mm for s in parsed.sentences if s.measurements_mm] == [(8.0,), (25.0,)]


@pytest.mark.parametrize("text", ["Hígado normal.", "higado normal.", "HIGADO NORMAL.", "HÍGADO NORMAL."])
def test_accents_may_be_missing(text: str) -> None:
    (found,) = parse_report(f"HALLAZGOS: {text}", language="es").sentences
    assert (found.regions, found.is_normal) == (("liver",), True)


@pytest.mark.parametrize("text", ["Quiste en riñón derecho.", "Quiste en riñon derecho.", "Quiste en rinon derecho."])
def test_a_tilde_may_be_missing_or_kept(text: str) -> None:
    (found,) = parse_report(f"HALLAZGOS: {text}", language="es").sentences
    assert found.regions == ("kidney_right",)


@pytest.mark.parametrize(
    ("text", "assertion"),
    [
        ("No se identifican lesiones focales hepáticas.", "absent"),
        ("Sin signos de tromboembolismo pulmonar.", "absent"),
        ("Próstata aumentada de tamaño.", "present"),
        ("Probable quiste hepático.", "uncertain"),
        ("Hidronefrosis izquierda sin litiasis.", "present"),
        ("Vejiga sin alteraciones.", "absent"),
        ("Páncreas no valorable.", "uncertain"),
    ],
)
def test_assertion(text: str, assertion: str) -> None:
    (found,) = parse_report(f"Hallazgos: {text}", language="es").sentences
    assert found.assertion == assertion


@pytest.mark.parametrize(
    ("text", "series", "image"),
    [
        ("Nódulo de 8 mm en LSD (serie 3, imagen 45).", 3, 45),
        ("Lesión hepática, imagen 45 de la serie 3.", 3, 45),
        ("Quiste renal (serie 4/imagen 12).", 4, 12),
        ("Adenopatía (imagen 88).", None, 88),
        ("Nódulo (corte 31).", None, 31),
        ("Segmento 4 hepático normal.", None, None),
        ("Se observan 3 nódulos.", None, None),
    ],
)
def test_pointers(text: str, series: int | None, image: int | None) -> None:
    (found,) = parse_report(f"Hallazgos: {text}", language="es").sentences
    pointer = found.image_pointer
    assert (pointer and pointer.series, pointer and pointer.image) == (series, image)


SPANISH = """
a|No se observan adenopatías mediastínicas.
a|Sin evidencia de derrame pleural.
a|Ausencia de líquido libre.
a|Vesícula biliar sin hallazgos relevantes.
a|Riñones de tamaño y morfología normales.
a|Bazo homogéneo.
a|Vía biliar no dilatada.
a|Vena porta permeable.
a|Derrame pleural: no.
a|El derrame ha desaparecido.
p|Derrame pleural derecho sin atelectasia.
p|Colelitiasis, sin signos de colecistitis.
p|Esteatosis hepática.
p|Nódulo pulmonar de 5 mm, sin cambios.
p|Hígado normal salvo quiste en segmento 4.
p|No se observa derrame, pero hay un nódulo pulmonar.
u|Posible nódulo pulmonar.
u|No se puede descartar tromboembolismo.
u|Sospecha de apendicitis.
u|Podría corresponder a un quiste.
u|Páncreas no valorable por artefactos.
u|Descartar neumonía.
u|Ovarios no valorables.
"""


@pytest.mark.parametrize("line", SPANISH.split("\n")[1:-1])
def test_assertion_of_many_constructions(line: str) -> None:
    label, _, text = line.partition("|")
    (found,) = parse_report(f"Hallazgos: {text}", language="es").sentences
    assert found.assertion[0] == label


def shape(data: object) -> object:
    """Keys of the tables that code reads; tables keyed by regions and concepts are open."""
    return sorted(data) if isinstance(data, dict) else type(data).__name__


@pytest.mark.parametrize("name", ["grammar", "anatomy", "findings", "assertion", "headings"])
def test_every_language_has_every_table_of_every_file(name: str) -> None:
    english = read_data(name)
    optional = {"unsided", "pair"}
    for language in tagged_languages():
        other = read_data(name, language)
        assert set(english) - optional <= set(other), language
        for key in set(english) & set(other) - {
            "anatomy",
            "pair",
            "finding",
            "weak",
            "generic",
            "ignore",
            "lobes",
            "also",
            "side_abbreviations",
        }:
            assert shape(other[key]) == shape(english[key]) or key in ("nodes", "section", "sides"), (language, key)
        assert set(english.get("scope", ())) <= set(other.get("scope", ()))


def test_every_region_of_every_language_exists() -> None:
    tree = region_tree()
    for language in tagged_languages():
        lexicon = vocabulary(language)  # raises on an unknown stem
        assert lexicon.n_concepts >= 140
        assert all(region in tree for region in lexicon.unsided.values())


def test_no_code_knows_spanish() -> None:
    for path in PACKAGE.rglob("*.py"):
        if "deid" not in path.parts and path.parent.name != "sources":
            assert not re.search(r"(?<!suffix\()[\"'](?:es|ni|sin)[\"']|[áéíóúñ]", path.read_text(encoding="utf-8")), (
                path.name
            )
