"""Kinds are found whatever white space, dates, ids, passages and examples stand in their prompts."""

from __future__ import annotations

import random

from protege.cluster import Assigner, discover


def kinds_of(calls, found):
    kinds: dict[str, set[str | None]] = {}
    for call in calls:
        kinds.setdefault(call.id.rsplit("-", 1)[0], set()).add(found.assignment[call.id])
    return kinds


def test_dates_ids_examples_and_white_space_do_not_tell_kinds_apart(agents):
    made = random.Random(2)
    prompts = {
        "refund": (
            "Decide whether the customer below may have a refund under our terms. Reply with yes or no.",
            "parcel late broken order invoice lamp coupon wrong blue shoes box return",
        ),
        "tone": (
            "Rate how polite the letter of the customer is, from one to five. Reply with the figure alone.",
            "dear sir madam sincerely thank awful stupid kind please regards idiot lovely",
        ),
    }

    def messages(text, words):
        def of(n):
            spaced = "".join(made.choice((" ", " ", "  ", "\n")) + word for word in text.split())
            date = f"Today is {made.choice(('Monday', 'Friday'))}, {n % 28 + 1} May 20{n % 30 + 10}."
            examples = "".join(f"\nExample: {agents.text()}" for _ in range(n % 3))
            return [
                ("system", f"{date}\nSession {made.getrandbits(64):x}\n{spaced}{examples}"),
                ("user", " ".join(made.choices(words.split(), k=8))),
            ]

        return of

    calls = [c for kind, text in prompts.items() for c in agents.make(kind, 60, messages(*text), lambda n: str(n % 2))]
    found = discover(calls)
    kinds = kinds_of(calls, found)
    assert len(kinds["refund"]) == len(kinds["tone"]) == 1
    assert kinds["refund"] != kinds["tone"] and {None}.isdisjoint(kinds["refund"] | kinds["tone"])
    assigner = Assigner(found.tasks)
    for kind, (text, words) in prompts.items():
        new = agents.make("new", 20, messages(f"{text} Be quick.", words))
        assert {task.id for c in new if (task := assigner.assign(c.request))} == kinds[kind]


def test_a_reworded_prompt_is_the_same_task_where_the_answers_are_the_same(agents):
    old = "Decide whether the customer's request is inside the scope of the shop's assistant. Answer yes or no."
    new = "Scope check: is the request of the customer in scope or out of scope for the assistant? Output yes or no."
    calls = [
        call
        for kind, system in (("old", old), ("new", new))
        for call in agents.make(
            kind, 30, lambda n, s=system: [("system", s), ("user", agents.text())], lambda n: ("yes", "no")[n % 2]
        )
    ]
    assert len(discover(calls).tasks) == 1


def test_a_label_at_the_beginning_tells_prompts_without_instruction(agents):
    calls = [
        call
        for kind, start in (("guest", "Guest: "), ("post", "Post: "), ("table", "Columns of t: a, b\nQuestion: "))
        for call in agents.make(kind, 60, lambda n, s=start: [("user", s + agents.text())])
    ]
    found = discover(calls)
    kinds = kinds_of(calls, found)
    assert len(set.union(*kinds.values())) == 3 and all(len(tasks) == 1 for tasks in kinds.values())
    fresh = type(agents)(seed=8).make("new", 5, lambda n: [("user", f"Guest:  {agents.text()}")])
    assert {t.id for c in fresh if (t := Assigner(found.tasks).assign(c.request))} == kinds["guest"]


def test_values_that_come_again_do_not_tear_a_prompt_with_labels_apart(agents):
    schemas = [f"{agents.text(14)}({agents.text(12)})" for _ in range(5)]

    def messages(n):
        return [("user", f"Schema: {schemas[n % 5]}\nJoins: none\nQuestion: {agents.text()}")]

    calls = agents.make("sql", 100, messages, lambda n: '{"query": "SELECT 1", "why": "so"}')
    assert len(discover(calls).tasks) == 1


def test_bare_user_texts_are_told_apart_where_answers_and_words_show_it(agents):
    sums = random.Random(6)

    def letters(n):
        return [("user", f"My {agents.text(8)} did not come.")]

    def maths(n):
        words = ("add", "subtract", "twice", "half", "apples", "pears", "each", "left")
        return [("user", f"{' '.join(sums.choices(words, k=9))}?")]

    calls = agents.make("mail", 80, letters, lambda n: '{"name": "x", "order": 1}')
    calls += agents.make("maths", 80, maths, lambda n: f"She has {n} left, since {agents.text(6)}.")
    found = discover(calls)
    kinds = kinds_of(calls, found)
    assert kinds["mail"] != kinds["maths"] and all(len(tasks) == 1 for tasks in kinds.values())


def test_bare_user_texts_that_only_answers_tell_apart_are_one(agents):
    calls = agents.make("json", 80, lambda n: [("user", agents.text())], lambda n: '{"name": "x", "order": 1}')
    calls += agents.make("sql", 80, lambda n: [("user", agents.text())], "SELECT a FROM t")
    assert len(discover(calls).tasks) == 1


def test_one_prompt_that_serves_several_purposes_is_split_by_what_the_request_shows(agents):
    system = ("system", "You are the assistant of a museum. Follow the instruction of the curator to the letter.")
    purposes = {
        "translate": "Translate the note below into formal German for the catalogue.",
        "date": "Estimate in which century the object below was made, as a figure.",
        "label": "Write the label that hangs next to the object below in the hall.",
    }
    calls = [
        call
        for kind, text in purposes.items()
        for call in agents.make(kind, 40, lambda n, t=text: [system, ("user", f"{t}\n\n{agents.text(12)}")])
    ]
    kinds = kinds_of(calls, discover(calls))
    assert len(set.union(*kinds.values())) == 3


def test_many_agents_that_share_one_prompt_are_one_task(agents):
    calls = [call for n in range(6) for call in agents.triage(10, kind=f"agent{n}", node=[f"agent_{n}", "triage"])]
    [task] = discover(calls).tasks
    assert task.calls == 60 and len(task.nodes) == 6
