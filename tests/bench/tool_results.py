"""Personal data in tool results in JSON, as agents get them: recall, precision, and texts a second.

    python tests/bench/tool_results.py [ROWS] [--show]

The rows are made up (tests/support/tool_results.py): flights, orders, tickets, calendars, customers, search results, …
A label counts as found where anything found overlaps it; what was found counts as right where it overlaps a label. All
types are looked for, dates too. --show prints what was missed and what was wrong.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

from protege.redact import TYPES, RedactionPolicy, find

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import tool_results


def main() -> None:
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    rows = tool_results.rows(numbers[0] if numbers else 330)
    policy = RedactionPolicy(types=frozenset(TYPES))
    find("Anna", policy)  # the model loads before the clock runs
    wall, cpu = time.perf_counter(), time.process_time()
    found = [find(row.text, policy) for row in rows]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    wanted, hit, made, right = (Counter[str]() for _ in range(4))
    for row, spans in zip(rows, found, strict=True):
        for start, end, type_ in row.spans:
            reached = any(span.start < end and start < span.end for span in spans)
            wanted[type_] += 1
            hit[type_] += reached
            if "--show" in sys.argv and not reached:
                print("missed", row.shape, type_, row.text[max(0, start - 30) : end])
        for span in spans:
            labelled = any(span.start < end and start < span.end for start, end, _ in row.spans)
            made[row.shape] += 1
            right[row.shape] += labelled
            if "--show" in sys.argv and not labelled:
                print("wrong", row.shape, span.type, row.text[max(0, span.start - 30) : span.end])
    size = sum(len(row.text) for row in rows) / len(rows)
    print(f"{len(rows)} tool results of {size:.0f} characters on average, {wanted.total()} labels")
    print(f"recall {hit.total() / wanted.total():.3f}, precision {right.total() / max(1, made.total()):.3f}")
    print(f"{len(rows) / wall:.0f} texts/s, {len(rows) / cpu:.0f} texts/s of processor time")
    print("  found of each label: " + ", ".join(f"{t} {hit[t] / n:.2f}" for t, n in wanted.most_common()))
    print("  right in each shape: " + ", ".join(f"{t} {right[t] / n:.2f}" for t, n in made.most_common()))


if __name__ == "__main__":
    main()
