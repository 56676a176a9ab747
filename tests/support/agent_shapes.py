"""Requests in the shapes that MetaGPT, Open Operator and Cradle send, with words of our own: paths, fields, messages
and what tells their call sites apart."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

IMAGE = base64.b64encode(b"\x89PNG" + bytes(9000)).decode()
"""A part as long as a small screenshot."""


class Sent(NamedTuple):
    """A request."""

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = {}


def metagpt() -> Iterator[Sent]:
    """One for each of 17 call sites: ten that ask for nodes in tags, and seven by roles in the prompt; streamed."""
    staff = {"Product Manager, named Ann": 4, "Architect, named Ben": 2, "Project Manager, named Cy": 3}
    for role, count in staff.items():
        for number in range(count):
            yield _metagpt(role, _nodes(f"{role.split(',')[0]} plan {number}", "Open questions"))
    yield _metagpt("senior engineer, whose work is to plan changes", _nodes("Steps", "Draft"))
    engineer, tester = "Engineer, named Dee", "Tester, named Eli"
    for role, task, order in (
        (engineer, "main goal is to write plain code", "Based on the context, write it."),
        (engineer, "main goal is to extend old code by a plan", "Based on the context, write it."),
        ("senior engineer, whose work is to plan changes", "main goal is to extend old code by a plan", ""),
        (engineer, "main task is to look the code over", "Based on the code, follow the example."),
        (engineer, "main task is to look the code over", "redo the `main.py` by the list"),
        (tester, "main goal is to design tests", ""),
        (tester, "role is to say what a run showed", ""),
    ):
        ordered = f"# Instruction: {order}\n" if order else ""
        yield _metagpt(
            role, f"\nNOTICE\n1. Role: You are a developer; your {task}, in English.\n\n# Context\n{ordered}"
        )


def _nodes(*keys: str) -> str:
    example = json.dumps(dict.fromkeys(keys, "…"), indent=4)
    asked = "\n".join(f"- {key}: <class 'str'>  # say it" for key in keys)
    form = f"## format example\n[CONTENT]\n{example}\n[/CONTENT]\n\n## nodes: \n{asked}\n\n"
    return f"\n## context\nA tool\n\n-----\n\n{form}"


def _metagpt(role: str, prompt: str) -> Sent:
    said = [
        {"role": "system", "content": f"You are a {role}, your goal is plain work."},
        {"role": "user", "content": prompt},
    ]
    body = {"messages": said, "model": "gpt-4-turbo", "max_tokens": 4096, "stream": True, "temperature": 0.0}
    return Sent("/v1/chat/completions", body, {"authorization": "Bearer k"})


def open_operator() -> Iterator[Sent]:
    """One for each of its five call sites: two forced tools of one name, one with a screenshot, and three schemas."""
    headers = {"anthropic-version": "2023-06-01", "x-api-key": "k"}
    yield Sent("/v1/messages", _forced("Where to begin?", "url", "reasoning"), headers)
    step = _forced("What next?", "text", "reasoning", "tool", "instruction")
    shown = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}
    step["messages"][0]["content"].append(shown)
    yield Sent("/v1/messages", step, headers)
    for about, keys in (
        ("finding", ["elements"]),
        ("extracting", ["extraction"]),
        ("judging", ["progress", "completed"]),
    ):
        schema = {"type": "object", "required": keys, "properties": {key: {"type": "string"} for key in keys}}
        wanted = {"temperature": 0, "responseMimeType": "application/json", "responseSchema": schema}
        said = {"parts": [{"text": f"You are {about} things on a page. Be exact."}]}
        contents = [{"role": "user", "parts": [{"text": "[3] textbox: Search\n[4] link: A lamp"}]}]
        body = {"generationConfig": wanted, "contents": contents, "systemInstruction": said}
        yield Sent("/v1beta/models/gemini-2.0-flash:generateContent", body, {"x-goog-api-key": "k"})


def _forced(prompt: str, *keys: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {key: {"type": "string"} for key in keys}, "required": list(keys)}
    tool = {"name": "json", "description": "Answer as JSON.", "input_schema": schema}
    said = [{"role": "user", "content": [{"type": "text", "text": prompt}]}]
    choice = {"type": "tool", "name": "json"}
    return {"model": "claude", "max_tokens": 4096, "messages": said, "tools": [tool], "tool_choice": choice}


def cradle() -> Iterator[Sent]:
    """One for each of its four prompts: several messages before the first answer, with a screenshot among them."""
    for titles in (
        ("Seen", "Target_name"),
        ("Looked_back", "Has_ended"),
        ("Summary", "Next_task"),
        ("Thoughts", "Actions"),
    ):
        asked = "".join(f"{title}: say it\n" for title in titles)
        form = "".join(f"{title}:\n1. ...\n\n" for title in titles)
        shown = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{IMAGE}"}}
        said = [
            _part("system", "Assume you are a helpful clerk at a screen. You see what it shows."),
            _part("user", "Task:\nBuy a lamp"),
            {"role": "user", "content": [{"type": "text", "text": "The screen now"}, shown]},
            _part("user", f"{asked}\nYou should only respond in the format described below.\n{form}"),
        ]
        body = {"model": "gpt-4o", "messages": said, "temperature": 0.0, "seed": 42, "max_tokens": 1024}
        path = "//openai/deployments/gpt-4o/chat/completions?api-version=2024-02-15-preview"
        yield Sent(path, body, {"api-key": "k"})


def _part(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}
