"""De-identification of report text: the public door.

Enters: a text, the identifiers known for its patient, the patient's date shift. Leaves: the text with typed
placeholders (``[NAME]``, ``[ID]``, ``[PHONE]``, ``[EMAIL]``, ``[URL]``, ``[ADDRESS]``, ``[PLACE]``, ``[AGE]``,
``[TIME]``; ``[DATE]`` for a birth date) and shifted dates. Refuses: nothing; `leaks` is the judge that makes a caller
refuse.

Layers, each over the folded text (`reports.deid.fold`): known identifiers in all written variants, structured rules
and names by context (``lexicon/deid_rules.toml``), dates, and the people of a spaCy model where one is given.
Placeholders say what stood there and nothing else; anatomy, measurements, levels and eponyms survive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.deid.dates import find_dates
from reports.deid.findings import replace, resolve
from reports.deid.fold import fold
from reports.deid.known import KnownIdentifiers
from reports.deid.numbers import find_dictated
from reports.deid.people import find_beside, find_foreign, find_joined, find_people, find_repeats
from reports.deid.phones import find_phones
from reports.deid.recogniser import NameModel, find_modelled
from reports.deid.rules import apply_rules
from reports.deid.strangers import find_strangers
from reports.deid.tokens import tokenize
from reports.deid.verify import leaks

__all__ = ["DeidentifiedText", "Deidentifier", "NameModel", "leaks"]


@dataclass(frozen=True)
class DeidentifiedText:
    """A text without identifiers.

    Parameters
    ----------
    n_replaced : int
        Places that were replaced or shifted.
    kinds : mapping
        Kind -> how many.
    """

    text: str
    n_replaced: int
    kinds: Mapping[str, int]


class Deidentifier:
    """De-identifies the texts of one patient, all in the same way.

    Parameters
    ----------
    known : sequence of (str, str)
        (field, value) of everything known: from the report table, the message, the DICOM header.
    shift_days : int
        Added to every date; the same as for the patient's images. Backwards, so that no shifted date meets a
        known one.
    seed : bytes
        Key of the draws for surrogates. Placeholders need no draw, so the text does not depend on it today.
    model : NameModel or None
        A spaCy pipeline whose people are hidden besides what the rules find.
    """

    def __init__(
        self, known: Sequence[tuple[str, str]], *, shift_days: int, seed: bytes, model: NameModel | None = None
    ) -> None:
        self._known = KnownIdentifiers(known)
        self._shift_days = shift_days
        self._seed = seed
        self._model = model

    def apply(self, text: str) -> DeidentifiedText:
        """`text` de-identified; the same text gives the same result.

        Raises
        ------
        ConfigError
            The model cannot be loaded.
        """
        folded = fold(text)
        tokens = tokenize(folded.text)
        known = self._known
        findings = list(known.find(tokens))
        findings += find_dates(tokens, shift_days=self._shift_days, known=known.dates, births=known.births)
        unknown = [*apply_rules(tokens), *find_people(tokens), *find_strangers(tokens), *find_foreign(tokens)]
        unknown += [*find_phones(tokens), *find_dictated(tokens)]
        findings += unknown
        if self._model:
            people = find_modelled(tokens, self._model, findings)
            findings += people
            unknown += people
        beside = list(find_beside(tokens, unknown))
        findings += [*beside, *find_repeats(tokens, [*unknown, *beside]), *find_joined(tokens, unknown)]
        spans = [(*folded.original(one.start, one.end), one) for one in resolve(findings, folded.text)]
        edited, counts = replace(text, spans)
        return DeidentifiedText(edited, sum(counts.values()), dict(sorted(counts.items())))
