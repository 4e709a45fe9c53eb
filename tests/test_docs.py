"""Pages that are made from code are current."""

from curation.codes import ROOMS
from docs.make import HERE, PAGES
from t3dkit.verdict import Code


def test_generated_pages_are_current():
    stale = [name for name, page in PAGES.items() if (HERE / name).read_text(encoding="utf-8") != page()]
    assert stale == [], "run `make docs`"


def test_a_code_means_one_thing_and_every_enumeration_is_listed():
    meanings: dict[str, set[str]] = {}
    for kinds in ROOMS.values():
        for code in (code for kind in kinds for code in kind):
            meanings.setdefault(str(code), set()).add(code.meaning)
    assert {code: found for code, found in meanings.items() if len(found) > 1} == {}
    listed = {kind for kinds in ROOMS.values() for kind in kinds}
    ours = [
        kind for kind in Code.__subclasses__() if kind.__module__.split(".")[0] in ("volumes", "reports", "curation")
    ]
    assert set(ours) == listed
