"""route(graph): records and switches the models of a graph's nodes where they are."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypeVar

from langchain_core.language_models import BaseChatModel
from protege.adapter import home_path
from protege_langchain import ChatProtege

from .another import Another
from .reach import NodeReach, Path, Reach, find
from .switching import Paced, TeacherOnly, Wrap, mark, mark_of, switch

NodeRule: TypeAlias = Literal["switch", "record", "leave"] | BaseChatModel
"""What becomes of a node's models. "switch": specialists answer if they may. "record": its calls are only recorded.
"leave": it stays as it is. Or another chat model takes their place, with the messages and tools that they got."""

G = TypeVar("G")

log = logging.getLogger("protege.langgraph")


def route(
    graph: G,
    home: str | os.PathLike[str] | None = None,
    *,
    nodes: Mapping[str, NodeRule] | None = None,
    **options: Any,
) -> G:
    """Record and switch the models of a graph, built or compiled. Returns the same graph.

        graph = route(builder.compile())
        graph = route(graph, nodes={"triage": "record", "researcher/model": ChatOpenAI(model="…")})

    home: the workspace's folder; by default PROTEGE_HOME, else `.protege`. nodes: the rules of nodes, if other than
    "switch", by name, or by path in a nested graph ("researcher/model"). options: `recorder` and `router`, as of
    `ChatProtege`. `reached(graph)` tells which nodes were reached; any others are logged as a warning.

    The models stay the same objects. They are switched inside the nodes in which they were found, in runs of this
    graph, and nowhere else. A model that a node makes for every call, and a raw client, cannot be found: use
    `ChatProtege` there. Raises TypeError for anything but a graph, and ValueError for a node that the graph does not
    have.
    """
    all_nodes = find(graph)
    rules = _rules(nodes or {}, [node.node for node in all_nodes])
    reach = Reach(
        tuple(
            NodeReach(n.node, tuple(type(model).__name__ for model in n.models.values()), tuple(n.trouble))
            for n in all_nodes
        )
    )
    given = mark(graph, reach)
    for node in all_nodes:
        wrap = _wrap(_rule(node.node, rules), home, options)
        for model in node.models.values():
            if not isinstance(model, ChatProtege):
                switch(model, given, node.node, wrap)
    _log(reach)
    return graph


def reached(graph: Any) -> Reach:
    """What `route` reached of this graph. Raises ValueError if the graph was not routed."""
    if (given := mark_of(graph)) is None:
        raise ValueError("This graph was not given to route().")
    return given.reach


def _rules(nodes: Mapping[str, NodeRule], known: list[Path]) -> dict[Path, NodeRule]:
    rules: dict[Path, NodeRule] = {}
    for name, rule in nodes.items():
        path = tuple(name.split("/"))
        if not any(node[: len(path)] == path for node in known):
            names = ", ".join("/".join(node) for node in known)
            raise ValueError(f"The graph has no node {name!r}. It has: {names}.")
        if not isinstance(rule, BaseChatModel) and rule not in ("switch", "record", "leave"):
            raise ValueError(f'Node {name!r}: a rule is "switch", "record", "leave" or a chat model, not {rule!r}.')
        rules[path] = rule
    return rules


def _rule(node: Path, rules: Mapping[Path, NodeRule]) -> NodeRule:
    """The rule of the node, or else that of the nearest node around it."""
    for end in range(len(node), 0, -1):
        if node[:end] in rules:
            return rules[node[:end]]
    return "switch"


def _wrap(rule: NodeRule, home: str | os.PathLike[str] | None, options: Mapping[str, Any]) -> Wrap | None:
    if rule == "leave":
        return None
    if isinstance(rule, BaseChatModel):
        return lambda model: Another(teacher=rule, home=home_path(home), **options)
    chosen = {**options, "router": TeacherOnly()} if rule == "record" else options
    return lambda model: Paced(teacher=model, home=home_path(home), **chosen)


def _log(reach: Reach) -> None:
    for node, why in reach.unreached.items():
        log.warning("Node %s is not switched throughout: %s.", "/".join(node), why)
    log.info("Nodes reached: %s.", ", ".join("/".join(node) for node in reach.reached) or "none")
