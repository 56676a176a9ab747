"""Personal data found, beside plain presidio where it is installed (presidio-analyzer, and a spaCy model's folder):

    python tests/bench/redaction.py SPANS.jsonl[.gz] [SECRETS.jsonl[.gz]] [--spacy FOLDER]

A row holds `text` and `spans` ({start, end, type}). A span counts as found where anything that was found overlaps it,
whatever its type; what was found counts as right where it overlaps any labelled span. SECRETS holds keys and passwords
as well, which masking finds when a call is recorded: there both stages are judged together. Prints recall and precision
(also by type), texts a second, and what masking takes at capture.
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
from protege.masking.masking import mask, mask_text
from protege.redact import TYPES, RedactionPolicy, find

JUDGED = frozenset(TYPES) | {"US_SSN", "US_DRIVER_LICENSE", "DOMAIN_NAME", "ZIP_CODE"}
"""Labels that recall is asked of: not titles, organisations, ages and nationalities, which the policy does not know."""

Found = list[tuple[int, int, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spans", type=Path)
    parser.add_argument("secrets", type=Path, nargs="?")
    parser.add_argument("--spacy", help="folder of a spaCy model, for presidio")
    options = parser.parse_args()
    rows = read(options.spans)
    finders: dict[str, Callable[[str], Found]] = {"protege": protege(RedactionPolicy(types=frozenset(TYPES)))}
    if options.spacy:
        finders["presidio"] = presidio(options.spacy)
    for name, finder in finders.items():
        judge(name, rows, finder, JUDGED)
    if options.secrets:
        labelled = read(options.secrets)
        known = frozenset(span["type"] for row in labelled for span in row["spans"])
        policy = RedactionPolicy(types=frozenset(TYPES) - {"URL", "DATE_TIME"})  # these the file does not label
        judge("masking, then protege", labelled, both(protege(policy)), known)
        judge(
            "masking, then patterns", labelled, both(protege(RedactionPolicy(types=policy.types, model=False))), known
        )
        if options.spacy:
            judge("presidio", labelled, finders["presidio"], known)
    masking_speed()


def read(path: Path) -> list[dict[str, Any]]:
    body = path.read_bytes()
    return [orjson.loads(line) for line in (gzip.decompress(body) if path.suffix == ".gz" else body).splitlines()]


def protege(policy: RedactionPolicy) -> Callable[[str], Found]:
    return lambda text: [tuple(span) for span in find(text, policy)]  # pyright: ignore[reportReturnType]


def both(finder: Callable[[str], Found]) -> Callable[[str], Found]:
    """What masking finds at capture, and what is found in the rest of the text."""

    def found(text: str) -> Found:
        masked = mask_text(text)
        spans, at = [], 0
        pieces = re.split(r"\[masked:\w+\]", masked)
        for piece in pieces:
            start = text.index(piece, at) if piece else at
            if start > at:
                spans.append((at, start, "secret"))
            at = start + len(piece)
        if at < len(text):
            spans.append((at, len(text), "secret"))
        rest = "".join(" " if any(a <= i < b for a, b, _ in spans) else c for i, c in enumerate(text))
        return [*spans, *finder(rest)]

    return found


def presidio(folder: str) -> Callable[[str], Found]:
    from presidio_analyzer import AnalyzerEngine  # type: ignore[import-not-found]
    from presidio_analyzer.nlp_engine import NlpEngineProvider  # type: ignore[import-not-found]

    models = [{"lang_code": "en", "model_name": folder}]
    provider: Any = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
    engine: Any = AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=["en"])
    return lambda text: [(r.start, r.end, r.entity_type) for r in engine.analyze(text, language="en")]


def judge(name: str, rows: Sequence[dict[str, Any]], finder: Callable[[str], Found], judged: frozenset[str]) -> None:
    finder("Anna")  # models load before the clock runs
    started = time.perf_counter()
    given = [finder(row["text"]) for row in rows]
    speed = len(rows) / (time.perf_counter() - started)
    wanted: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    right: Counter[str] = Counter()
    made: Counter[str] = Counter()
    for row, spans in zip(rows, given, strict=True):
        for span in row["spans"]:
            if span["type"] in judged:
                wanted[span["type"]] += 1
                hit[span["type"]] += any(a < span["end"] and span["start"] < b for a, b, _ in spans)
        for a, b, type_ in spans:
            made[type_] += 1
            right[type_] += any(a < span["end"] and span["start"] < b for span in row["spans"])
    recall, precision = hit.total() / wanted.total(), right.total() / max(1, made.total())
    figures = f"recall {recall:.3f} of {wanted.total()}, precision {precision:.3f} of {made.total()}"
    print(f"\n{name}: {figures}, {speed:.0f} texts/s")
    print("  found of each label: " + ", ".join(f"{t} {hit[t] / n:.2f}" for t, n in wanted.most_common()))
    print("  right of each type:  " + ", ".join(f"{t} {right[t] / n:.2f}" for t, n in made.most_common()))


def masking_speed() -> None:
    words = [
        "the",
        "customer",
        "asks",
        "about",
        "a",
        "transfer",
        "that",
        "has",
        "not",
        "arrived",
        "yet",
        "and",
        "wants",
    ]
    print("\nmasking at capture, no secret inside, fresh text each time (median µs):")
    for size in (1_000, 8_000):
        taken: list[float] = []
        for _ in range(2_000):
            text = " ".join(random.choices(words, k=size // 6)) + f" {random.random()}"
            payload = orjson.dumps({"messages": [{"role": "user", "content": text[:size]}]})
            started = time.perf_counter()
            mask(payload)
            taken.append((time.perf_counter() - started) * 1e6)
        print(f"  {size} bytes: {statistics.median(taken):.1f}")


if __name__ == "__main__":
    main()
