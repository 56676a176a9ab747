"""Tasks are found and their slots are right in other languages too, with and without blanks between words."""

from __future__ import annotations

import random

import pytest
from protege.call import Call
from protege.cluster.discovery import discover

LATIN = "bcdfghjklmnprstvwz", "aeiouáéíóúäöüąęłñç"
HAN = "".join(map(chr, range(0x4E00, 0x5200)))
SORTS = {
    "de": ("Du ordnest Anfragen. Antworte mit einem Wort: Versand, Rechnung oder Konto.", "Versand Rechnung Konto"),
    "fr": ("Tu classes les demandes. Réponds par un mot : livraison, facture ou compte.", "livraison facture compte"),
    "es": ("Clasificas solicitudes. Responde con una palabra: envío, factura o cuenta.", "envío factura cuenta"),
    "pl": ("Przydzielasz zgłoszenia. Odpowiedz jednym słowem: wysyłka, faktura albo konto.", "wysyłka faktura konto"),
    "zh": ("你负责分类请求。用一个词回答：物流、账单或账户。", "物流 账单 账户"),
    "ja": ("問い合わせを分類します。配送、請求、アカウントのどれか一語で答えてください。", "配送 請求 アカウント"),
}
OTHER = {
    "de": "Du fasst die Nachricht des Kunden in einem Satz zusammen.",
    "fr": "Tu résumes le message du client en une phrase.",
    "es": "Resumes el mensaje del cliente en una frase.",
    "pl": "Streszczasz wiadomość klienta w jednym zdaniu.",
    "zh": "你用一句话总结客户的留言。",
    "ja": "お客様のメッセージを一文で要約してください。",
}


def said(language: str, r: random.Random) -> str:
    if language in ("zh", "ja"):
        return "".join(r.choice(HAN) for _ in range(20))
    return " ".join("".join(r.choice(LATIN[i % 2]) for i in range(6)) for _ in range(7))


def call(language: str, number: int) -> Call:
    r = random.Random(number)
    sort, labels = SORTS[language]
    sorts = number % 2 == 0
    answer = labels.split()[number // 2 % 3] if sorts else said(language, r)
    messages = [
        {"role": "system", "content": sort if sorts else OTHER[language]},
        {"role": "user", "content": said(language, r)},
    ]
    response = {"role": "assistant", "content": answer}
    return Call.from_record({"id": f"c{number}", "messages": messages, "response": response})


@pytest.mark.parametrize("language", SORTS)
def test_tasks_and_slots_are_found(language: str) -> None:
    calls = [call(language, number) for number in range(60)]
    tasks = sorted(discover(calls).tasks, key=lambda task: task.kind)
    assert [(task.kind, task.calls) for task in tasks] == [("label", 30), ("text", 30)]
    assert set(tasks[0].labels) == set(SORTS[language][1].split())
    for task, own in zip(tasks, (calls[::2], calls[1::2]), strict=True):
        for one in own:
            (slot,) = task.templates[0].slots(one.request) or ({},)
            assert slot["content"] == one.request.messages[1]["content"]


INLINE = {
    "zh": ("请把下面的客户留言分类为物流、账单或账户：{}", "把这段话翻译成英文：{}只输出译文。"),
    "zh without marks": ("请判断这条留言属于物流还是账单还是账户{}", "请用一句话总结下面这位客户的留言内容{}"),
    "ja": ("次の問い合わせを分類してください：「{}」", "お客様の声を英語に翻訳します。\u3000{}"),
    "de": ("Ordne die Anfrage ein, mit einem Wort: {}", "Fasse diese Nachricht in einem Satz zusammen: {}"),
}


@pytest.mark.parametrize("kind", INLINE)
def test_a_prompt_that_goes_over_into_its_slot_is_told_from_it(kind: str) -> None:
    """Without blanks between words, and without a line of its own."""
    language, (first, second) = kind[:2], INLINE[kind]
    labels = SORTS[language][1].split()
    calls: list[Call] = []
    for number in range(60):
        r = random.Random(number)
        slot = said(language, r)
        text = (first, second)[number % 2].format(slot)
        answer = labels[number // 2 % 3] if number % 2 == 0 else said(language, r)
        record = {"messages": [{"role": "user", "content": text}], "response": {"role": "assistant", "content": answer}}
        calls.append(Call.from_record({"id": f"c{number}", **record}))
    tasks = sorted(discover(calls).tasks, key=lambda task: task.kind)
    assert [(task.kind, task.calls, len(task.templates)) for task in tasks] == [("label", 30, 1), ("text", 30, 1)]
    for number, one in enumerate(calls):
        (slot,) = tasks[number % 2].templates[0].slots(one.request) or ({},)
        assert slot["content"].strip("」") == said(language, random.Random(number))
    assert language == "de" or not any("_" in task.name for task in tasks)
