from .middleware import ProtegeMiddleware as ProtegeMiddleware
from .reach import NodeReach as NodeReach
from .reach import Reach as Reach
from .routing import NodeRule as NodeRule
from .routing import reached as reached
from .routing import route as route
