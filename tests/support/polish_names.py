"""Polish sentences with names in each of their cases, and without: made for the redactor, labelled."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

CASES = ("nom", "gen", "dat", "ins")
FIRST = {
    "m": (
        ("Krzysztof", "Krzysztofa", "Krzysztofowi", "Krzysztofem"),
        ("Paweł", "Pawła", "Pawłowi", "Pawłem"),
        ("Marek", "Marka", "Markowi", "Markiem"),
        ("Ksawery", "Ksawerego", "Ksaweremu", "Ksawerym"),
        ("Gniewomir", "Gniewomira", "Gniewomirowi", "Gniewomirem"),
        ("Bolesław", "Bolesława", "Bolesławowi", "Bolesławem"),
    ),
    "f": (
        ("Małgorzata", "Małgorzaty", "Małgorzacie", "Małgorzatą"),
        ("Agnieszka", "Agnieszki", "Agnieszce", "Agnieszką"),
        ("Zofia", "Zofii", "Zofii", "Zofią"),
        ("Bronisława", "Bronisławy", "Bronisławie", "Bronisławą"),
        ("Nadia", "Nadii", "Nadii", "Nadią"),
        ("Róża", "Róży", "Róży", "Różą"),
    ),
}
LAST = {
    "m": (
        ("Zieliński", "Zielińskiego", "Zielińskiemu", "Zielińskim"),
        ("Nowicki", "Nowickiego", "Nowickiemu", "Nowickim"),
        ("Kowalczyk", "Kowalczyka", "Kowalczykowi", "Kowalczykiem"),
        ("Mazur", "Mazura", "Mazurowi", "Mazurem"),
        ("Gołąb", "Gołębia", "Gołębiowi", "Gołębiem"),
        ("Sikora", "Sikory", "Sikorze", "Sikorą"),
    ),
    "f": (
        ("Szymańska", "Szymańskiej", "Szymańskiej", "Szymańską"),
        ("Sawicka", "Sawickiej", "Sawickiej", "Sawicką"),
        ("Pawlak", "Pawlak", "Pawlak", "Pawlak"),
        ("Mazur", "Mazur", "Mazur", "Mazur"),
        ("Wrona", "Wrony", "Wronie", "Wroną"),
        ("Bąk", "Bąk", "Bąk", "Bąk"),
    ),
}
SENTENCES = {
    "nom": ("Nazywam się {} i proszę o zwrot.", "{} prosi, żeby przesyłka była jutro.", "Czy {} jest w biurze?"),
    "gen": ("Paczka dla {} nie dotarła.", "Proszę o fakturę na {}, dziękuję.", "Nie mam adresu {}, proszę go podać."),
    "dat": ("Proszę przekazać {}, że zamówienie jest gotowe.", "Dziękuję {} za pomoc, była szybka."),
    "ins": ("Rozmawiałem z {} o reklamacji, nie pomogło.", "Umowa z {} została podpisana."),
}
WITHOUT = (
    "Zamówienie nie dotarło, proszę o pomoc.", "Proszę o fakturę za Samsung Galaxy kupiony w sklepie.",
    "Nie działa logowanie w aplikacji Orlen Vitay.", "Czy promocja w Biedronce jest jeszcze ważna?",
    "Dzień dobry, proszę o zmianę hasła.", "Kurs Język Polski jest bardzo dobry.", "Proszę o zwrot za bilet Intercity.",
    "Wszystkie produkty są uszkodzone, dziękuję.", "Aplikacja Allegro się nie otwiera.", "Kiedy będzie dostawa InPost?",
    "Moje konto w mBanku zostało zablokowane.", "Polska Poczta nie doręczyła paczki.", "Czekolada Wedel była otwarta.",
)  # fmt: skip


def labelled(seed: int = 0) -> Iterator[tuple[str, str]]:
    """Sentences with the name that stands in each, "" in those without one."""
    r = random.Random(seed)
    for sex, place, case in itertools.product("mf", range(6), range(4)):
        for last in LAST[sex]:
            name = f"{FIRST[sex][place][case]} {last[case]}"
            yield r.choice(SENTENCES[CASES[case]]).format(name), name
    yield from ((text, "") for text in WITHOUT)
