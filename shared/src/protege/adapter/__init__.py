"""What adapters for agent frameworks are built on. An adapter imports nothing else of Protégé.

    OpenCall, Watch, opened          a call inside the agent, from its request to its answer (see `capture.calls`)
    Place                            where in the agent it was made
    recorder_of, router_of           the recorder and the router of a home folder
    Request, Message, Reply, …       what was asked and answered, in OpenAI chat form
    Outcome                          what became of a call that was routed
    sampling, tool_call, …           OpenAI's words for what frameworks say in their own
    dialect_at, Dialect, Asked       what providers' APIs take and give over HTTP (see `dialects`)

`protege.testing` has the parts of a teacher that answers from a script; docs/extending.md shows how to write an
adapter. This runs inside the agent, so importing it loads no numeric library and no database. It is not lazy like the
other rooms, because every adapter needs nearly all of it.
"""

from ..call import ROLES, Attempt, Message, Reply, Request, request_from, text_of
from ..capture.calls import OpenCall, Place, Records, recorder_of
from ..capture.watch import EMPTY, Answerer, Watch, opened, router_of
from ..chat.openai import (
    SAMPLING,
    arguments_of,
    finish_reason,
    json_text,
    sampling,
    schema_format,
    tool_call,
    tool_choice,
)
from ..common.checks import MOST_BYTES
from ..common.files import home_path
from ..common.logs import log_once
from ..common.plain_json import loads
from ..common.reasons import said_once
from ..common.usage import USAGE_NAMES, tokens_used
from ..common.wrappers import without_reasoning
from ..dialects.base import CUT, Asked, Dialect, is_cut, reply_of
from ..dialects.naming import default_node, tried_id
from ..dialects.registry import dialect_at
from ..errors import BadCall, BadInput, ProtegeError
from ..route import Outcome

__all__ = [
    "CUT",
    "EMPTY",
    "MOST_BYTES",
    "ROLES",
    "SAMPLING",
    "USAGE_NAMES",
    "Answerer",
    "Asked",
    "Attempt",
    "BadCall",
    "BadInput",
    "Dialect",
    "Message",
    "OpenCall",
    "Outcome",
    "Place",
    "ProtegeError",
    "Records",
    "Reply",
    "Request",
    "Watch",
    "arguments_of",
    "default_node",
    "dialect_at",
    "finish_reason",
    "home_path",
    "is_cut",
    "json_text",
    "loads",
    "log_once",
    "opened",
    "recorder_of",
    "reply_of",
    "request_from",
    "router_of",
    "said_once",
    "sampling",
    "schema_format",
    "text_of",
    "tokens_used",
    "tool_call",
    "tool_choice",
    "tried_id",
    "without_reasoning",
]
