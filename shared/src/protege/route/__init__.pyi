from .decision import Decision as Decision
from .decision import Reason as Reason
from .router import Outcome as Outcome
from .router import Router as Router
