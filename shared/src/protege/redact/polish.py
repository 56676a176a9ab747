"""Names in Polish sentences, which change with their case: the model, taught English, knows the first one only.

Polish writes nouns small, so words with capitals within a sentence name something. Several in a row are taken for a
person: a brand that is replaced costs less than a name that is taught. One alone is, where it is a first name in any of
its cases, has a surname's ending, or stands behind "pan" and its like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .span import Span


def _words(text: str) -> list[str]:
    return text.split()


_LETTERS = re.compile("[ąęłńśźżĄĘŁŃŚŹŻ]")
_STRONG = re.compile(
    r"(?i)(?<!\w)(?:się|że|żeby|jest|nie|proszę|prosze|prosi|oraz|który|która|które|czy|dziękuję|mój|moja|moje|jestem|mam"
    r"|dla|przez|nazywam|pani|panu|pana|panie|szanown[ay]|pozdrawiam|będzie|był|była|bardzo|umowa|został|została|z|w)(?!\w)"
)
_WEAK = re.compile(r"(?i)(?<!\w)(?:ma|do|na|za|od|po|jak|pan)(?!\w)")
_READ = 2_000
"""Characters from which the language is told."""
_STEMS = _words(
    """
    adam adri agat agnieszk agniesz aleks alicj alicji ameli andrzej anet ani ann antoni artur barbar bartłomiej
    bartos bartosz beat bogdan bogusław bożen cezar dagmar damian daniel dari dariusz dawid dominik dorot
    dorocie edyt elżbiet elżbieci emil ew ewelin filip franciszek franciszk gabriel grażyn grzegorz halin hann
    hanni henryk hubert ig ilon iren irmin iwon izabel jac jacek jack jadwi jadwig jakub jan janin janusz
    jarosław jerz joann joannie jolant jolanci julia julit julian julii justyn kacper kaj kamil karol karolin
    katarzyn kazimierz kinga kingi kindze klaudi konrad krystian krystyn krzysztof lech leszek leszk lidi lucyn
    ludwik łukasz maciej maćk magd magdalen maj małgorzat małgorzaci marcin marek mari mariusz mark mart marci
    martyn mateusz michał mieczysław mikołaj milen mirosław monik monic natali nikodem nikol norbert olg oliwi
    oskar patryk patrycj paulin paweł pawł piotr przemysław radosław rafał renat renaci robert roman ryszard
    sandr sebastian sławomir stanisław stefan sylwi szymon tadeusz teres tomasz tymoteusz urszul wacław wand
    wandzi waldemar weronik wiesław wiktor witold władysław włodzimierz wojciech zbigniew zdzisław zofi zuzann
    zygmunt
    """
)
_ENDINGS = "(?:a|y|i|u|o|e|ę|ą|ie|owi|em|iem|om|ami|ach|ów|ii|ia|ią|ię|io|ji|ja|ją|ję|jo|ego|emu|im|ym|ce|ek)?"
_FIRST = re.compile(rf"(?:{'|'.join(sorted(_STEMS, key=len, reverse=True))}){_ENDINGS}")
_SURNAME = re.compile(
    r".{2,}(?:[sc]k|dzk)(?:i|a|iego|iej|iemu|im|ą|ich|imi)|.{2,}(?:wicz|czyk|owiak|iński|rczyk)(?:a|owi|em|iem|u|ów)?"
    r"|.{3,}(?:czak|szak|siak|niak|wiak|lak|dziak)(?:a|owi|iem|u|ów)?"
)
_WORD = r"[A-ZĄĆĘŁŃÓŚŹŻ][a-ząćęłńóśźż]+(?:-[A-ZĄĆĘŁŃÓŚŹŻ][a-ząćęłńóśźż]+)?"
_RUN = re.compile(rf"(?<![\w@./-]){_WORD}(?: {_WORD}){{0,3}}(?![\w@])")
_HONORIFIC = re.compile(
    r"(?i)(?:pan(?:a|u|em|ie|i|ią)?|p\.|dr\.?|mgr\.?|inż\.?|prof\.?|doktor[a-z]*|nazywam się|jestem|imię|nazwisko:?) $"
)
_ENDS = (".", "!", "?", ":", "…")
_BULLETS = ("- ", "• ", "* ")
_NOBODYS = frozenset(
    _words(
        """
        pan pani panu pana panie panią państwo państwa szanowna szanowny szanowni polska polski polskie polsce
        polskiej dzień dobry witam proszę dziękuję zamówienie faktura paczka ulica poczta
        """
    )
)


def spans(text: str) -> Iterator[Span]:
    """The names of persons in a text, if it is Polish."""
    if not is_polish(text):
        return
    for run in _RUN.finditer(text):
        words = [*re.finditer(_WORD, run[0])]
        while words and words[0][0].casefold() in _NOBODYS:
            words.pop(0)
        if not words:
            continue
        start, end = run.start() + words[0].start(), run.start() + words[-1].end()
        if _is_person([word[0] for word in words], text[max(0, start - 20) : start]):
            yield Span(start, end, "PERSON")


def is_polish(text: str) -> bool:
    """Whether a text is Polish, as far as a glance tells."""
    head = text[:_READ]
    strong, letter = len({word.casefold() for word in _STRONG.findall(head)}), _LETTERS.search(head) is not None
    return strong > 0 and strong + letter + (_WEAK.search(head) is not None) >= 2


def _is_person(words: list[str], before: str) -> bool:
    if len(words) > 1 or _HONORIFIC.search(before):
        return True
    if _FIRST.fullmatch(words[0].casefold()):
        return True
    return not _begins(before) and _SURNAME.fullmatch(words[0].casefold()) is not None


def _begins(before: str) -> bool:
    """Whether a sentence or a line begins after this text: a word there has its capital from that."""
    said = before.rstrip()
    return not said or said.endswith(_ENDS) or "\n" in before[len(said) :] or before.endswith(_BULLETS)
