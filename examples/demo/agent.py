"""A LangGraph agent that cleans up a contact list.

    sort ──► place      an address: city, state and ZIP code as JSON
      │ └──► name       a person: given name and surname as JSON
      └────► (end)      a company
    assist              a free-form request: chooses one of the tools that come with it

It knows nothing of Protégé: `build(model)` takes any chat model, and the demo hands it one wrapped by `ChatProtege`.
"""

from __future__ import annotations

import json
from typing import Any, Required, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

SORT = """You sort the entries of a contact list that was typed in by many hands.
Say what the entry is. Answer with one word and nothing else:
- person: the name of a human being, whole or in part
- company: a firm, a public body, a school, a church, an association
- address: a postal address in the United States, whole or in part"""

PLACE = """You take the place out of a postal address in the United States.
Answer with a JSON object and nothing else: {"city": ..., "state": ..., "zip": ...}
Copy each value as it stands in the address, without the comma behind it.
Use null for what the address does not give."""

NAME = """Split the name of a human being.
Reply in JSON with the keys given and surname, as written. A key is null when that part is missing.
Titles, initials, middle names and suffixes belong to neither."""

ASSIST = "You help with the contact list and whatever else is asked. Call the one tool that answers the request."

PROMPTS = {"sort": SORT, "place": PLACE, "name": NAME, "assist": ASSIST}
"""The system text of each node."""


class State(TypedDict, total=False):
    text: Required[str]
    tools: list[dict[str, Any]]
    kind: str
    fields: dict[str, Any]
    call: dict[str, Any]


def build(model: BaseChatModel) -> CompiledStateGraph:
    """The agent over any chat model."""

    def ask(system: str, user: str) -> str:
        return str(model.invoke([SystemMessage(system), HumanMessage(user)]).content)

    def sort(state: State) -> dict[str, Any]:
        return {"kind": ask(SORT, f"Entry: {state['text']}")}

    def place(state: State) -> dict[str, Any]:
        return {"fields": json.loads(ask(PLACE, f"Address: {state['text']}"))}

    def name(state: State) -> dict[str, Any]:
        return {"fields": json.loads(ask(NAME, f"Entry: {state['text']}"))}

    def assist(state: State) -> dict[str, Any]:
        answer = model.bind_tools(state.get("tools", [])).invoke([SystemMessage(ASSIST), HumanMessage(state["text"])])
        call = answer.tool_calls[0] if answer.tool_calls else {}
        return {"call": {"name": call.get("name"), "args": call.get("args")}}

    graph = StateGraph(State)
    for node in (sort, place, name, assist):
        graph.add_node(node.__name__, node)
    graph.add_conditional_edges(START, lambda state: "assist" if state.get("tools") else "sort", ["assist", "sort"])
    after_sort = {"address": "place", "person": "name", "company": END}
    graph.add_conditional_edges("sort", lambda state: after_sort.get(state["kind"], END), ["place", "name", END])
    for node in ("place", "name", "assist"):
        graph.add_edge(node, END)
    return graph.compile()
