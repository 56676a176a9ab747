"""What the scripted teacher says to Cradle, and the page that it opens."""

from __future__ import annotations

from protege import Request, text_of
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

page = Starlette(routes=[Route("/{path:path}", lambda asked: HTMLResponse("<title>Lamps</title><h1>Lamps</h1>"))])

SEEN = """Image_Description:
1. A browser with one page.

Description_of_bounding_boxes:
'1: address bar', '2: page'

Target_object_name:
1, address bar

Reasoning_of_object:
It takes an address."""
LOOKED_BACK = """Self_Reflection_Reasoning:
1. A browser.
2. It had the effect that was meant.

Success_Detection:
Not yet."""
INFERRED = """History_summary:
1. The browser is open.

Subtask_reasoning:
1. The address comes next.

Subtask_description:
The current subtask is to open the page."""
PLANNED = """Decision_Making_Reasoning:
1. The next step is {action}.

Actions:
```python
    {action}
```

Key_reason_of_last_action:
It is the next step."""


class Script:
    """Answers the four prompts by the titles that they ask for."""

    def __init__(self, address: str) -> None:
        """address: of the page, as it is typed."""
        self._actions = iter(
            (
                'press_keys_combined(keys=["ctrl", "l"])',
                f'type_text(text="{address}")',
                'press_key(key="enter")',
                'click_at_position(x=0.4, y=0.4, mouse_button="left")',
            )
        )

    def __call__(self, request: Request) -> str:
        asked = text_of(request.messages[-1])
        if "Key_reason_of_last_action:" in asked and "Decision_Making_Reasoning:" in asked:
            return PLANNED.format(action=next(self._actions, ""))  # without one twice, Cradle ends
        if "Subtask_reasoning" in asked and "History_summary" in asked:
            return INFERRED
        return LOOKED_BACK if "Self_Reflection_Reasoning:" in asked else SEEN
