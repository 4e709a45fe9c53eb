"""The tables that ``reports parse`` writes.

Enters: nothing. Leaves: schemas. `SENTENCES` has the columns of a curated data set's ``sentences.parquet``, so that
what reads one reads the other; a test holds the two together, since `reports` may not import `curation`.
"""

from __future__ import annotations

import pyarrow as pa

_TEXTS = pa.list_(pa.string())
_SPAN = pa.struct([("name", pa.string()), ("char_start", pa.int64()), ("char_end", pa.int64())])

SENTENCES = pa.schema(
    [
        ("sentence_id", pa.string()),
        ("report_id", pa.string()),
        ("pair_id", pa.string()),  # null: a report alone is no pair
        ("section", pa.string()),
        ("index", pa.int64()),
        ("char_start", pa.int64()),  # in the text column of the reports table
        ("char_end", pa.int64()),
        ("text", pa.string()),
        ("regions", _TEXTS),
        ("laterality", pa.string()),  # left, right, bilateral, or null
        ("assertion", pa.string()),  # present, absent, uncertain
        ("is_normal", pa.bool_()),
        ("is_prior_comparison", pa.bool_()),
        ("image_pointer", pa.struct([("series", pa.int64()), ("image", pa.int64())])),
        ("measurements_mm", pa.list_(pa.float64())),
    ]
)
REPORTS = pa.schema(
    [
        ("report_id", pa.string()),
        ("pair_id", pa.string()),
        ("language", pa.string()),
        ("status", pa.string()),
        ("text", pa.string()),  # de-identified
        ("sections", pa.list_(_SPAN)),
        ("flags", _TEXTS),
        ("n_versions", pa.int64()),
        ("n_sentences", pa.int64()),
        ("n_replaced", pa.int64()),  # identifiers taken out or shifted
    ]
)
DROPPED = pa.schema(
    [
        ("stage", pa.string()),
        ("kind", pa.string()),
        ("item_id", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
ENTITIES = pa.schema(
    [
        ("report_id", pa.string()),
        ("char_start", pa.int64()),  # in the text column of the reports table
        ("char_end", pa.int64()),
        ("text", pa.string()),
        ("label", pa.string()),
        ("concepts", pa.list_(pa.struct([("concept", pa.string()), ("score", pa.float64())]))),
    ]
)
