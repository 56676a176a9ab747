from .draining import drain as drain
from .importing import Collected as Collected
from .importing import Form as Form
from .importing import Skipped as Skipped
from .importing import collect as collect
from .importing import read as read
from .recorder import Recorder as Recorder
