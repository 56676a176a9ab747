from .draining import BEYOND as BEYOND
from .draining import drain as drain
from .draining import kept_for_later as kept_for_later
from .importing import Collected as Collected
from .importing import Skipped as Skipped
from .importing import collect as collect
from .importing import read as read
from .recorder import Recorder as Recorder
