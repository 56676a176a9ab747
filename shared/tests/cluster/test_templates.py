"""Constant text against slots."""

from __future__ import annotations

from dataclasses import replace

import pytest
from protege import Call
from protege.call import text_of
from protege.cluster import Assigner, discover
from protege.task import offered


def only_task(calls):
    [task] = discover(calls).tasks
    return task


def slots(task, call):
    """The texts of the slots under the one template that fits."""
    found = [s for t in task.templates if (s := t.slots(call.request)) is not None]
    assert len(found) == 1
    return [text_of(message) for message in found[0]]


def test_a_constant_system_text_and_a_label_are_left_out(agents):
    calls = agents.triage(30)
    task = only_task(calls)
    assert len(task.templates) == 1
    for call in calls:
        assert slots(task, call) == [text_of(call.request.messages[1]).removeprefix("Ticket: ")]


def test_a_line_that_differs_between_variants_stays(agents):
    calls = agents.tracker(60)
    task = only_task(calls)
    for call in calls:
        service, said = slots(task, call)
        assert service in text_of(call.request.messages[0]) and "(slots" in service
        assert "booking assistant" not in service and said == text_of(call.request.messages[1])[len("Customer: ") :]


def test_a_variant_that_is_new_fits_the_same_template(agents):
    task = only_task(agents.tracker(60, services=5))
    new = agents.make(
        "new",
        1,
        lambda n: [
            (role, text_of(m).replace("Parcel", "Zeppelin"))
            for role, m in zip(("system", "user"), agents.tracker(1)[0].request.messages, strict=True)
        ],
    )
    assert "Zeppelin" in slots(task, new[0])[0]


def test_values_inside_one_line_stay_whole(agents):
    def messages(n):
        service = ("flights", "flats", "films")[n % 3]
        system = (
            f"You are the {service} agent of a concierge app. Ask for what is missing, and confirm before you book."
        )
        return [("system", system), ("user", agents.text())]

    calls = agents.make("concierge", 30, messages)
    task = only_task(calls)
    assert {slots(task, call)[0].split()[0] for call in calls} == {"flights", "flats", "films"}


def test_retrieved_passages_are_slots(agents):
    calls = agents.retrieval(30)
    task = only_task(calls)
    kept = slots(task, calls[0])[0]
    assert "handbook" not in kept and "do not know" not in kept and len(kept) > 100


def test_prompts_without_system_text_lose_their_instruction(agents):
    calls = agents.summaries(30)
    task = only_task(calls)
    assert slots(task, calls[0]) == [text_of(calls[0].request.messages[0]).split("Report: ")[1]]


def test_what_a_few_texts_happen_to_share_is_no_constant(agents):
    starts = ["Ticket: my order is late", "Ticket: my order is broken", "Ticket: my order is lost"]
    calls = agents.triage(3)
    calls = [
        replace(c, request=replace(c.request, messages=(c.request.messages[0], {"role": "user", "content": start})))
        for c, start in zip(calls, starts, strict=True)
    ]
    task = only_task(calls)
    assert all(
        slots(task, call)[0].endswith(word) for call, word in zip(calls, ("late", "broken", "lost"), strict=True)
    )
    assert not any(part.suffix for template in task.templates for part in template.parts)


def test_quotation_marks_around_the_input_are_constant(agents):
    def messages(n):
        return [
            ("user", f'Is this review of a film positive or negative? Say one word.\nReview: """{agents.text()}"""')
        ]

    calls = agents.make("review", 40, messages)
    task = only_task(calls)
    assert '"' not in slots(task, calls[0])[0]


def test_a_reworded_prompt_has_a_template_of_its_own(agents):
    old = "Decide whether the customer's request is inside the scope of the shop's assistant. Answer yes or no."
    new = "Scope check: is the request of the customer in scope or out of scope for the assistant? Output yes or no."
    calls = [
        call
        for kind, system, start in (("old", old, ""), ("new", new, "Request: "))
        for call in agents.make(
            kind, 30, lambda n, s=system, t=start: [("system", s), ("user", t + agents.text())], node=["scope"]
        )
    ]
    task = only_task(calls)
    assert len(task.templates) == 2
    assert all(not slots(task, call)[0].startswith("Request") for call in calls)


def test_later_turns_hold_no_constant_text(agents):
    def messages(n):
        turns = [("assistant", "How can I help you today?"), ("user", agents.text())] * (n % 3)
        return [("system", "You take orders for a flower shop by chat."), ("user", agents.text()), *turns]

    calls = agents.make("chat", 30, messages)
    task = only_task(calls)
    assert {part.position for template in task.templates for part in template.parts} <= {0, 1}
    assert len(slots(task, calls[2])) == 5


def test_varying_tools_are_no_constant_and_other_constant_tools_do_not_fit(agents):
    [varying] = only_task(agents.tools(30)).templates
    assert not varying.constant_tools
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    calls = agents.triage(30, tools=[tool])
    [template] = only_task(calls).templates
    assert template.constant_tools and template.slots(calls[0].request) is not None
    other = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "string"}}}
    assert template.slots(replace(calls[0].request, tools=(other,))) is None
    assert template.slots(replace(calls[0].request, tools=())) is None
    without = only_task(agents.triage(30)).templates[0]
    assert without.signature != template.signature and without.slots(calls[0].request) is None


def test_another_response_format_is_another_wording(agents):
    calls = agents.triage(30, response_format={"type": "json_object"})
    [template] = only_task(calls).templates
    assert template.slots(replace(calls[0].request, response_format=None)) is None


def test_the_hash_of_tools_does_not_hang_on_the_order_of_keys():
    assert offered({"a": 1, "b": 2}, [{"x": 1, "y": 2}]) == offered({"b": 2, "a": 1}, [{"y": 2, "x": 1}])
    assert offered(None, ()) == "" != offered(None, [{"x": "\ud800"}])


def test_pictures_are_never_in_a_slot(agents):
    parts = [{"type": "text", "text": "What is in this picture?"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    calls = agents.make(
        "picture", 10, lambda n: [("system", "Describe pictures for the blind in a sentence."), ("user", parts)]
    )
    task = only_task(calls)
    [template] = task.templates
    assert {part.position for part in template.parts} == {0}


def test_what_fits_a_template_is_assigned_to_its_task(agents):
    found = discover(agents.triage(20) + agents.tracker(20) + agents.summaries(20))
    assigner = Assigner(found.tasks)
    fresh = type(agents)(seed=9)
    for calls in (fresh.triage(5), fresh.tracker(5), fresh.summaries(5)):
        given = [assigner.assign(call.request) for call in calls]
        assert all(task and task == given[0] for task in given)
        assert given[0] and given[0].templates[0].slots(calls[0].request) is not None
    assert [task.calls for task in found.tasks] == [20, 20, 20]


def test_another_kind_with_another_wording_is_not_given_to_a_task(agents):
    assigner = Assigner(discover(agents.triage(20) + agents.tracker(20)).tasks)
    other = "Translate the sentence of the customer into Japanese, and give the reading in Latin letters."
    call = agents.make("other", 1, [("system", other), ("user", "Ticket: my parcel is late")])[0]
    assert assigner.assign(call.request) is None


def test_a_changed_wording_is_near_its_task_and_fits_none_of_its_templates(agents):
    [task] = discover(agents.triage(20)).tasks
    system = "Triage a support ticket of our web shop.\nAnswer with one of: refund, delivery, account, other."
    call = agents.make("new", 1, [("system", system), ("user", "Ticket: late")])[0]
    assert Assigner([task]).assign(call.request) == task
    assert task.templates[0].slots(call.request) is None


def test_the_wording_that_says_most_wins(agents):
    system = ("system", "You are a helpful assistant.")

    def translate(n):
        return [system, ("user", f"Translate the following sentence into formal German.\n\n{agents.text()}")]

    chat = agents.make("chat", 40, lambda n: [system, ("user", agents.text())])
    found = discover(chat + agents.make("translate", 40, translate))
    given = {found.assignment[call_id] for call_id in found.assignment if call_id.startswith("translate")}
    assert len(given) == 1


@pytest.mark.parametrize("tasks", [[], None])
def test_an_assigner_without_tasks_gives_none(tasks):
    call = Call.from_record({"id": "a", "messages": [{"role": "user", "content": "Hello"}]})
    assert Assigner(tasks or []).assign(call.request) is None


# Recorded calls


@pytest.mark.data
def test_slots_leave_little_of_a_prompt_with_one_wording_and_cover_nearly_all_calls(recorded):
    calls, kinds = recorded("mixed_train", 6)
    found = discover(calls)
    tasks = {task.id: task for task in found.tasks}
    covered: dict[str, list[bool]] = {}
    for call in calls:
        task_id = found.assignment[call.id]
        if task_id and kinds[call.id] != "open_function_calling":
            fits = any(t.slots(call.request) is not None for t in tasks[task_id].templates)
            covered.setdefault(kinds[call.id], []).append(fits)
    assert all(sum(fits) >= 0.97 * len(fits) for fits in covered.values())
    tickets = [call for call in calls if kinds[call.id] == "support_ticket_triage_json"]
    task = tasks[found.assignment[tickets[0].id] or ""]
    assert all(slots(task, c) == [text_of(c.request.messages[1]).removeprefix("Ticket: ")] for c in tickets)


def test_a_tool_is_the_same_whichever_framework_offers_it():
    def offers(description: str, properties: dict, **more: object) -> str:
        parameters = {"type": "object", "properties": properties, **more.pop("schema", {})}  # pyright: ignore[reportGeneralTypeIssues]
        function = {"name": "add", "description": description, "parameters": parameters, **more}
        return offered(None, [{"type": "function", "function": function}])

    number = {"type": "integer"}
    plain = offers("Adds.", {"a": number, "b": number}, schema={"required": ["a", "b"]})
    llamaindex = offers(
        "add(a: int, b: int) -> int\nAdds.",
        {"b": {**number, "title": "B"}, "a": {**number, "title": "A"}},
        schema={"required": ["b", "a"], "additionalProperties": False},
    )
    autogen = offers(
        "Adds.",
        {name: {**number, "title": name.upper(), "description": name} for name in "ab"},
        schema={"required": ["a", "b"], "additionalProperties": False},
        strict=False,
    )
    assert plain == llamaindex == autogen
    assert plain != offers("Subtracts.", {"a": number, "b": number}, schema={"required": ["a", "b"]})
    assert plain != offers("Adds.", {"a": number, "b": {"type": "string"}}, schema={"required": ["a", "b"]})
    assert plain != offers("Adds.", {"a": number, "b": number}, schema={"required": ["a"]})


def test_a_parameter_named_as_a_schemas_word_counts():
    schema = {"type": "object", "properties": {"title": {"type": "string"}, "strict": {"type": "boolean"}}}
    less = {"type": "object", "properties": {"title": {"type": "string"}}}
    wrapped = [{"type": "json_schema", "json_schema": {"name": "x", "schema": s}} for s in (schema, less)]
    assert offered(wrapped[0], ()) != offered(wrapped[1], ())
