"""Invented people and every way their identifiers are written; drawn by `benchmarks.reports_identifiers`.

The author had read the rules that these are to test.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FAMILY = _words(
    "Adeyemi Aguirre Akhtar Albrecht Andersson Asante Ashdown Baptiste Barzani Bellweather Benedetti Bhattacharya "
    "Bianchi Birkenhead Blaszczyk Boateng Bogdanov Bouchard Brandvold Cavanaugh Chatterjee Chukwu Cisneros "
    "Colquhoun Dabrowski Delacroix Demirci Dhaliwal Dimitrov Dlamini Echeverria Eriksen Espinoza Fairweather "
    "Farrokhzad Featherstone Fernando Fujimoto Gallagher Georgiou Ghorbani Giordano Gunawardena Gutierrez Haugen "
    "Hernandez Holloway Hrvatska Iglesias Ishikawa Jankowski Jayasuriya Kariuki Kaczmarek Khalilov Kipchoge "
    "Kobayashi Kuznetsova Lindqvist Llewellyn Lombardi Machado MacGillivray Mbeki McAllister McCullough Mehrotra "
    "Mendoza Mkhize Mohammadi Moreau Mukherjee Nakamura Ndiaye Novakova O'Callaghan O'Sullivan Oyelaran "
    "Papandreou Pettersson Popescu Quintanilla Rasmussen Ravichandran Rosenthal Saldanha Sapkota Scarborough "
    "Schwarzenberger Shevchenko Sithole Smithwick St.Clair Szczepanski Takahashi Tembo Thibodeaux Tkachenko Udoka "
    "Vasilenko Villanueva Vukovic Wainwright Weatherby Wojciechowska Xiong Yilmaz Zamora Zielinski Müllner Böhmer "
    "Jäger Nuñez Peña Ibáñez Åkesson Ørsted Çelik Şahin Dvořák Hašek Kovačević "
)
DOUBLE = (
    "Ruiz-Tagle",
    "Garcia-Lopez",
    "De La Fuente",
    "Van den Berg",
    "Von Humboldt",
    "El Sayed",
    "Mac Giolla",
    "Dos Santos",
)
ORDINARY = ("Stone", "Young", "Long", "White", "May", "Field", "Bone", "Hand", "Rose", "Small", "Grove", "Lesion")
"""Family names that are also words of a report: they must go where a person is meant, and only there."""
GIVEN = _words(
    "Aaliyah Abigail Ahmed Aleksander Amara Anneliese Antonio Arjun Beatriz Bronwyn Camille Cedric Chidi "
    "Clementine Darius Deborah Dimitri Eleanor Emmanuel Esperanza Evangeline Farouk Francesca Frederick Gabriella "
    "Gerald Guinevere Harriet Hassan Henrietta Ibrahim Ignacio Ingrid Isabella Jacqueline Jeremiah Joaquin Kenji "
    "Konstantin Lakshmi Leopold Lucinda Magdalena Malcolm Marguerite Mateusz Mercedes Mohammed Natasha Nathaniel "
    "Octavia Oluwaseun Patricia Percival Priyanka Quentin Rafael Rosalind Sebastian Sergei Siobhan Solomon "
    "Svetlana Tatiana Tobias Ulrich Vanessa Vincent Wilhelm Winifred Xavier Yolanda Yusuf Zachary René Zoë Jürgen "
    "Chloé Günther "
)
MIDDLE = ("", "", "A", "B.", "Jean", "Lee", "R")
SUFFIX = ("", "", "", " Jr.", " III")


@dataclass(frozen=True)
class Planted:
    """One identifier in a text: its kind, what is written, and the pieces that must be gone, without marks and case."""

    kind: str
    written: str
    pieces: tuple[str, ...]


@dataclass
class Person:
    """An invented patient and what is known of them."""

    family: str
    given: str
    middle: str
    suffix: str
    birth: date
    study: date
    number: str
    accession: str
    phone: str
    doctor: tuple[str, str]
    known: tuple[tuple[str, str], ...] = field(init=False)

    def __post_init__(self) -> None:
        middle = self.middle.strip(".")
        self.known = (
            ("PatientName", f"{self.family}^{self.given}^{middle}".rstrip("^")),
            ("PatientID", self.number),
            ("PatientBirthDate", f"{self.birth:%Y%m%d}"),
            ("AccessionNumber", self.accession),
            ("StudyDate", f"{self.study:%Y%m%d}"),
            ("PatientTelephoneNumbers", self.phone),
            ("ReferringPhysicianName", "^".join(self.doctor)),
        )


def draw_person(draw: random.Random, families: Sequence[str]) -> Person:
    """A person; `families` are the family names to draw from."""
    year = draw.choice(("19", "20", "21", "22"))
    accession = draw.choice(("A{}", "CT{}", "{}", f"20{year}-{{}}", "RAD-{}", "E{}X")).format(
        draw.randrange(10**6, 10**8)
    )
    number = draw.choice(("{:07d}", "{:010d}", "H{:06d}", "{:08d}", "P-{:06d}")).format(
        draw.randrange(10**5, 10**7 - 1)
    )
    return Person(
        draw.choice(families),
        draw.choice(GIVEN),
        draw.choice(MIDDLE),
        draw.choice(SUFFIX),
        date(1931, 1, 1) + timedelta(days=draw.randrange(28_000)),
        date(2018, 1, 1) + timedelta(days=draw.randrange(2_200)),
        number,
        accession,
        f"({draw.randrange(201, 989)}) {draw.randrange(200, 999)}-{draw.randrange(1000, 9999)}",
        (draw.choice(FAMILY), draw.choice(GIVEN)),
    )


def bare(text: str) -> str:
    """Letters and digits of `text`, without accents and case."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in plain.lower() if letter.isalnum())


def _name_pieces(family: str, given: str) -> tuple[str, ...]:
    """The family name, and the given one, as wholes."""
    return tuple(piece for piece in (bare(family), bare(given)) if len(piece) > 2)


def name_variants(family: str, given: str, middle: str, suffix: str) -> list[str]:
    """A name as forms, signatures and dictations write it."""
    initial, short = given[0], f"{middle[0]}." if middle else ""
    forms = [
        f"{given} {family}", f"{family}, {given}", f"{family},{given}", f"{family} {given}", f"{family}^{given}",
        f"{given} {middle} {family}", f"{family}, {given} {middle}", f"{given} {short} {family}{suffix}",
        f"{family}{suffix}, {given} {short}", f"{initial}. {family}", f"{initial} {family}", f"{family}, {initial}",
        f"{family}, {initial}.", f"{initial}.{family}", f"Mr. {family}", f"Mrs. {given} {family}", f"Ms {family}",
        f"Miss {family}", f"Dr. {family}", f"{family}'s", f"{given}\n{family}", f"{given}  {family}",
        f"{given}-{family}", f"{given}_{family}", f"{given}.{family}", f"{given}/{family}", f"({given} {family})",
        f'"{given}" {family}', f"{given}{family}", f"{family};{given}", f"{family} {given} {short}",
        f"{given} {family}-", f"*{family}*",
    ]  # fmt: skip
    tidy = [" ".join(form.split(" ")).replace("  ", " ") if "\n" not in form else form for form in forms]
    return list(dict.fromkeys([*tidy, *(form.upper() for form in tidy), *(form.lower() for form in tidy)]))


def spelled_variants(family: str) -> list[str]:
    """A family name with its accents and marks written otherwise, or broken."""
    folded = "".join(c for c in unicodedata.normalize("NFKD", family) if not unicodedata.combining(c))
    german = family.translate(str.maketrans({"ü": "ue", "ö": "oe", "ä": "ae", "ß": "ss", "Ö": "Oe", "Ä": "Ae"}))
    forms = [
        folded,
        german,
        folded.upper(),
        family.replace("'", ""),
        family.replace("'", " "),
        family.replace("'", "’"),
    ]
    forms += [family.replace("-", " "), family.replace("-", ""), family.replace(" ", ""), family.replace(" ", "-")]
    forms += [f"{family[:3]}\u00ad{family[3:]}", f"{family[:2]}\u200b{family[2:]}", f"{family[:4]}-\n{family[4:]}"]
    forms += [family.replace("o", "0"), family.replace("O", "0"), family.replace(" ", "\u00a0")]
    forms += [" ".join(folded.replace("'", "").replace("-", "").replace(" ", "").replace(".", "").upper())]
    return list(dict.fromkeys(form for form in forms if len(bare(form)) > 3))


def number_variants(number: str) -> list[str]:
    """A patient number with and without zeros, marks and words around it."""
    digits = re.sub(r"\D", "", number)
    low = number.lstrip("0")
    forms = [
        number,
        number.lower(),
        low,
        f"MRN {number}",
        f"MRN:{low}",
        f"MRN#{number}",
        f"MR # {number}",
        f"[{number}]",
    ]
    forms += [
        f"({number})",
        f"{number}/1",
        f"{number}.",
        f"{number},",
        f"ID {low}",
        f"Pt ID={number}",
        f"{number}\n",
        f"000{low}",
    ]
    forms += [
        f"{number[:3]} {number[3:]}",
        f"{number[:4]}-{number[4:]}",
        f"{number[:2]}.{number[2:5]}.{number[5:]}",
        f"_{number}_",
    ]
    return list(dict.fromkeys(form for form in forms if len(digits) >= 5))


def accession_variants(accession: str) -> list[str]:
    """An accession number likewise."""
    joined = accession.replace("-", "")
    forms = [
        accession,
        accession.lower(),
        joined,
        f"Acc {accession}",
        f"ACC#{joined}",
        f"accession number: {accession}",
    ]
    return list(
        dict.fromkeys(
            [*forms, f"<{accession}>", accession.replace("-", " "), accession.replace("-", "/"), f"{accession};"]
        )
    )


def date_variants(day: date) -> list[str]:
    """A date as the world writes it."""
    forms = [
        "%m/%d/%Y",
        "%Y-%m-%d",
        "%Y%m%d",
        "%d.%m.%Y",
        "%d-%b-%Y",
        "%B %d, %Y",
        "%b %d %Y",
        "%d %B %Y",
        "%d%b%Y",
        "%Y/%m/%d",
    ]
    forms += [
        "%m-%d-%Y",
        "%d/%m/%Y",
        "%A, %B %d, %Y",
        "%b. %d, %Y",
        "%m/%d/%y",
        "%Y.%m.%d",
        "%d %b %Y",
        "%B %d %Y",
        "%d. %m. %Y",
    ]
    written = [day.strftime(form) for form in forms] + [
        f"{day.month}/{day.day}/{day.year}",
        f"{day.month}-{day.day}-{day.year}",
    ]
    return list(
        dict.fromkeys(
            [
                *written,
                day.strftime("%d-%b-%Y").upper(),
                day.strftime("%B %d, %Y").upper(),
                f"{day:%b} {day.day}, {day.year}",
            ]
        )
    )


def phone_variants(phone: str) -> list[str]:
    """A telephone number likewise."""
    area, middle, last = re.findall(r"\d+", phone)
    forms = [
        phone,
        f"{area}-{middle}-{last}",
        f"{area}.{middle}.{last}",
        f"{area} {middle} {last}",
        f"{area}{middle}{last}",
    ]
    return [
        *forms,
        f"+1 {area} {middle} {last}",
        f"1-{area}-{middle}-{last}",
        f"tel {area}/{middle}-{last}",
        f"({area}){middle}-{last}",
    ]


def known_variants(person: Person) -> Iterator[Planted]:
    """Every variant of what is known of a person."""
    pieces = _name_pieces(person.family, person.given)
    is_ordinary = person.family in ORDINARY
    for form in name_variants(person.family, person.given, person.middle, person.suffix):
        names_one = is_ordinary and bare(person.given) not in bare(form)
        if names_one and not form.startswith(("Mr", "Ms", "Dr", "Miss")):
            continue  # "Stone" alone may be a stone
        yield Planted("name", form, pieces)
    for form in [] if is_ordinary else spelled_variants(person.family):
        yield Planted("name, spelled otherwise", form, (bare(form), bare(person.family)))
    doctor = person.doctor
    for form in (
        f"Dr. {doctor[0]}",
        f"{doctor[1]} {doctor[0]}, MD",
        f"{doctor[0]}, {doctor[1]}",
        f"{doctor[1][0]}. {doctor[0]}",
    ):
        yield Planted("physician", form, _name_pieces(*doctor))
    for kind, forms, secret in (
        ("number", number_variants(person.number), person.number.lstrip("0")),
        ("accession number", accession_variants(person.accession), person.accession),
        ("telephone", phone_variants(person.phone), person.phone),
    ):
        for form in forms:
            yield Planted(kind, form, (bare(secret),))
    for kind, day in (("birth date", person.birth), ("study date", person.study)):
        for form in date_variants(day):
            yield Planted(kind, form, (bare(form),))


def unknown_plants(draw: random.Random) -> Iterator[tuple[Planted, str]]:
    """Identifiers nobody told, each with a sentence as reports hold it."""
    person = draw_person(draw, [*FAMILY, *DOUBLE])
    family, given = person.family, person.given
    pieces = _name_pieces(family, given)
    full, last = f"{given} {family}", f"{family}, {given}"
    for form in (
        f"Dictated by: {full}, MD", f"Electronically signed by {full} on file.",
        f"Results were discussed with Dr. {full}.", f"Findings were called to Dr. {family}.", f"Attending: {last}",
        f"Referring physician: {full}", f"Patient: {last}", f"Patient Name: {full.upper()}",
        f"Interpreted by {full}, M.D.", f"Mrs. {family} tolerated the procedure well.",
        f"Mr. {full} was scanned supine.", f"The nurse, {full} RN, was notified.", f"Discussed with nurse {full}.",
        f"Transcribed by: {full}", f"Report verified by {full}, MD.", f"Ordering provider: {last}", f"cc: Dr. {full}",
        f"Dr {family} was paged.", f"Prof. {family} agrees.", f"Signed: {full}, MD", f"Technologist: {full}",
        f"Name: {last}",
    ):  # fmt: skip
        wanted = pieces if given in form or given.upper() in form else (bare(family),)
        yield Planted("name", form, wanted), form
    digits = re.sub(r"\D", "", person.number)
    for form in (
        f"MRN: {person.number}", f"Medical record number {person.number}", f"Accession #: {person.accession}",
        f"SSN 412-55-{digits[:4]}", f"Account no. {digits}", f"Patient ID {person.number}", f"Encounter: {digits}",
        f"Accession number {person.accession}.", f"Order #{digits}",
    ):  # fmt: skip
        secret = bare(form.split()[-1].rstrip(".")) if ":" not in form else bare(form.rpartition(":")[2])
        yield Planted("id", form, (re.sub(r"^[a-z]+(?=\d)", "", secret) or secret,)), form
    for form in phone_variants(person.phone):
        is_bare = re.fullmatch(r"\d{10}", form)
        yield (
            Planted("phone", form, (bare(person.phone),)),
            f"Call {form} with questions." if not is_bare else f"Phone: {form}",
        )
    for form in date_variants(person.study):
        yield Planted("date", form, (bare(form),)), f"Compared with the study of {form}."
    for form in date_variants(person.birth):
        yield Planted("birth date", form, (str(person.birth.year),)), f"DOB: {form}"
    mail = f"{bare(given)}.{bare(family)}@hospital-{draw.randrange(99)}.org"
    yield Planted("mail", mail, (bare(mail),)), f"Write to {mail} for images."
    yield Planted("url", "pacs", ("pacsviewer",)), f"See https://pacsviewer.example.org/s?id={digits} for images."
    house = draw.randrange(1, 9999)
    street = f"{house} {draw.choice(FAMILY[:40])} {draw.choice(('Street', 'Avenue', 'Road', 'Drive', 'Lane'))}"
    yield Planted("address", street, (bare(street),)), f"Lives at {street}, seen today."
    age = draw.randrange(90, 104)
    yield Planted("age over 89", str(age), (f"{age}year",)), f"This is a {age}-year-old patient with pain."
