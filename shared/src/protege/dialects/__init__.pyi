from .base import Asked as Asked
from .base import Dialect as Dialect
from .base import reply_of as reply_of
from .naming import default_node as default_node
from .registry import DIALECTS as DIALECTS
from .registry import Operation as Operation
from .registry import dialect_at as dialect_at
