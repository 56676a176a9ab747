"""Another model in a node: it gets what the node's own model got, with the tools in its own provider's form."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables.base import RunnableBinding
from protege_langchain import ChatProtege


class Another(ChatProtege):
    """`ChatProtege` around the model that a rule names, called with what was bound to the node's own model.

    Tools that were bound in OpenAI form are bound again. Tools in a provider's own form are passed on as they are,
    because no other provider can read them.
    """

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        return super()._generate(messages, stop, run_manager, **self._own(kwargs))

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        return await super()._agenerate(messages, stop, run_manager, **self._own(kwargs))

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        return super()._stream(messages, stop, run_manager, **self._own(kwargs))

    def _astream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        return super()._astream(messages, stop, run_manager, **self._own(kwargs))

    def _own(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        tools: Any = kwargs.get("tools")
        if not tools or not all(isinstance(tool, dict) and "function" in tool for tool in tools):
            return kwargs
        choice: Any = kwargs.get("tool_choice")
        named = choice["function"]["name"] if isinstance(choice, dict) and "function" in choice else choice
        chosen: dict[str, Any] = {"tool_choice": named} if named else {}
        bound = self.teacher.bind_tools(tools, **chosen)
        rest = {name: value for name, value in kwargs.items() if name not in ("tools", "tool_choice")}
        return {**rest, **bound.kwargs} if isinstance(bound, RunnableBinding) else kwargs
