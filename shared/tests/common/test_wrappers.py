"""What stands around an answer is taken off in one place, and put back for the agent; reasoning is not put back."""

from __future__ import annotations

import pytest
from protege import Task
from protege.call import Call, Request
from protege.chat.answer import answer_text, message_from
from protege.cluster.tally import Tally
from protege.common.wrappers import bare, unwrapped, without_reasoning
from protege.evaluate.graders import grader_for

ANSWER = '{"a": 1, "b": 2}'


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{ANSWER}\n```",
        f"```\n{ANSWER}\n```\n",
        f"~~~json\n{ANSWER}\n~~~",
        f"Here is the JSON:\n\n```json\n{ANSWER}\n```\nDone.",
        f"[CONTENT]\n{ANSWER}\n[/CONTENT]",
        f"<answer>{ANSWER}</answer>",
        f"<output>\n```json\n{ANSWER}\n```\n</output>",
        f"<think>Is it?\nYes.</think>\n\n```json\n{ANSWER}\n```",
        f"Sure.\n[CONTENT]\n{ANSWER}\n[/CONTENT]\nDone.",
        f"[CONTENT]\n```json\n{ANSWER}\n```\n[/CONTENT]",
        f"Here you are:\n<json>{ANSWER}</json>",
        f"The invoice says:\n\n- Payee: Ann\n- City: Bonn\n\nAs JSON:\n{ANSWER}",
        f"{ANSWER}\n\nI hope that this helps.",
        f"By [1] this is:\n{ANSWER}\nSay if more is wanted.",
    ],
)
def test_what_stands_around_json_is_taken_off_and_can_be_put_back(text: str) -> None:
    found = unwrapped(text)
    assert found.text == bare(text) == ANSWER
    assert found.wrapper.around(ANSWER) == without_reasoning(text).strip()
    assert answer_text({"role": "assistant", "content": text}) == ANSWER
    other = text.replace(ANSWER, '{"b": 2, "a": 1}')
    assert grader_for(Task("t", "t", "json")).agree(text, other)


@pytest.mark.parametrize("fence", ["```", "~~~", "````", "~~~~~"])
@pytest.mark.parametrize("tag", ["", "JSON", " json", "json5", "js", "yaml", "output", "application/json", "json a=b"])
def test_json_in_a_fence_is_json_whatever_the_fence_calls_it(fence: str, tag: str) -> None:
    for end in ("\n", "\r\n"):
        assert bare(f"{fence}{tag}{end}{ANSWER}{end}{fence}") == ANSWER
    assert bare(f"Here:\n{fence}{tag}\n{ANSWER}\n{fence}\nDone.") == ANSWER


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{ANSWER}",
        f"{ANSWER}\n```",
        f"\ufeff{ANSWER}",
        f"\ufeff```json\n{ANSWER}\n```\u200b",
        f"````markdown\n```json\n{ANSWER}\n```\n````",
        f'<answer type="json">{ANSWER}</answer>',
        f"<Final-Answer>{ANSWER}</Final-Answer>",
        f"<ANSWER>{ANSWER}</answer>",
    ],
)
def test_fences_within_fences_halves_of_them_and_marks_that_nobody_sees_are_taken_off(text: str) -> None:
    assert bare(text) == ANSWER


def test_a_fence_of_json_may_hold_a_fence() -> None:
    answer = '{"code": "```py\\nprint(1)\\n```"}'
    assert bare(f"```json\n{answer}\n```") == answer
    assert bare("```js\nlet a = {}\n```") == "```js\nlet a = {}\n```"
    assert bare("```python\n[1, 2]\n```") == "```python\n[1, 2]\n```"


@pytest.mark.parametrize(
    "text",
    [
        "<Think>is {\n</Think>\n\nshipping",
        "<THINKING>\n</THINKING>shipping",
        '<think kind="long">hm</think>shipping',
        "<think>a <think>b</think> c</think>\nshipping",
        "<think>they say <think> here</think>shipping",
        "<mm:think>hm</mm:think>shipping",
        "<|think|>hm<|/think|>shipping",
        "<analysis>hm</analysis>\n<scratchpad>hm</scratchpad>\nshipping",
        "<|channel>thought\nhm<channel|>shipping",
        "<|begin_of_thought|>hm<|end_of_thought|>\n<|begin_of_solution|>shipping<|end_of_solution|>",
        "<|channel|>analysis<|message|>hm<|end|><|channel|>final <|constrain|>text<|message|>shipping<|return|>",
        '<details type="reasoning" done="true">\n<summary>Thought</summary>\n> hm\n</details>\nshipping',
        "shipping\n<think>hm</think>",
    ],
)
def test_reasoning_is_left_out_however_it_is_marked(text: str) -> None:
    assert bare(text) == "shipping"


def test_a_tag_that_may_be_the_answer_is_reasoning_only_where_an_answer_follows() -> None:
    assert bare("<analysis>shipping</analysis>") == "<analysis>shipping</analysis>"
    assert bare("<scratchpad>shipping") == "<scratchpad>shipping"
    assert bare("<analysis></analysis>" * 20_000 + "x") == "x"


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```sql\nSELECT 1\nFROM t\n```", "SELECT 1\nFROM t"),
        ("```\nshipping\n```", "shipping"),
        ("<label>shipping</label>", "shipping"),
        ("[ANSWER] shipping [/ANSWER]", "shipping"),
    ],
)
def test_labels_and_sql_too(text: str, inside: str) -> None:
    assert bare(text) == inside


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(1)\n```",
        "```\nfirst line\nsecond line\n```",
        "<p>a page</p>",
        "```json\n```",
        "a ```word``` in a sentence",
        "First:\n```json\n{}\n```\nSecond:\n```json\n{}\n```",
        "<answer>half",
        "",
        'Thought: look it up\nAction: search\nAction Input:\n{"q": "lamp"}',
        'Action: search\n```json\n{"q": "lamp"}\n```',
        '{"q": 1}\nStatus: done',
        'First:\n{"q": 1}\nThen:\n{"q": 2}',
        "See\n[1]\nfor more.",
        "Nothing is known:\n{}",
        "It is\n{not: json}",
        'The value {"q": 1} stands in a sentence.',
        "<article><content>{}</content></article>",
        f"{'word ' * 80}\n{ANSWER}",
    ],
)
def test_what_is_itself_the_answer_stays(text: str) -> None:
    assert bare(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nIt is about a parcel.\n</think>\n\nshipping",
        "<thinking>hm</thinking><think>hm</think>shipping",
        "The server cut off the beginning.\n</think>\nshipping",
        "[THINK]hm[/THINK]shipping",
        "◁think▷hm◁/think▷ shipping",
        "<reasoning>hm</reasoning>\nshipping",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>shipping<|return|>",
    ],
)
def test_reasoning_in_the_text_is_left_out(text: str) -> None:
    assert bare(text) == "shipping"
    assert grader_for(Task("t", "t", "label")).agree(text, "shipping")


def test_reasoning_that_never_ended_leaves_no_answer() -> None:
    assert bare("<think>hm, hm, hm") == ""


def test_an_agent_gets_the_wrapper_that_its_teacher_used() -> None:
    task = Task("t", "t", "json", wrapper=("```json\n", "\n```"))
    request = Request(({"role": "user", "content": "x"},))
    for said in (ANSWER, f"```json\n{ANSWER}\n```", f"<think>hm</think>{ANSWER}"):
        assert message_from(said, task, request)["content"] == f"```json\n{ANSWER}\n```"


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("Here is {n}:\n```json\n{a}\n```\nMore?", "```json\n{a}\n```"),
        ("Here is {n}:\n[CONTENT]\n{a}\n[/CONTENT]", "[CONTENT]\n{a}\n[/CONTENT]"),
        ("No. {n}\n<output>\n```json\n{a}\n```\n</output> so", "<output>\n```json\n{a}\n```\n</output>"),
        ("Number {n} is:\n{a}", "{a}"),
    ],
)
def test_of_words_that_vary_an_agent_gets_none_but_the_marks_around_the_answer(text: str, marks: str) -> None:
    tally = Tally()
    for number in range(10):
        content = text.replace("{n}", str(number)).replace("{a}", f'{{"team": {number}}}')
        record = {"messages": [{"role": "user", "content": "x"}], "response": {"role": "assistant", "content": content}}
        tally.add(Call.from_record(record))
    assert tally.kind == "json"
    assert tally.wrapper.around("{}") == marks.replace("{a}", "{}")


@pytest.mark.parametrize(
    "text",
    [
        "Run this on the replica, never on the primary:\n```sql\nSELECT 1\n```\nIt takes a minute.",
        "First:\n```\npip install x\n```\nThen restart.",
    ],
)
def test_words_around_a_query_or_a_step_are_part_of_the_answer(text: str) -> None:
    assert bare(text) == text
