"""Pages that are made from code are current."""

from docs.make import HERE, PAGES


def test_generated_pages_are_current():
    stale = [name for name, page in PAGES.items() if (HERE / name).read_text(encoding="utf-8") != page()]
    assert stale == [], "run `make docs`"
