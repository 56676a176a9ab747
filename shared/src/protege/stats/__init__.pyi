from .intervals import clopper_pearson as clopper_pearson
from .intervals import difference as difference
from .intervals import paired_difference as paired_difference
from .intervals import upper_bound as upper_bound
from .intervals import wilson as wilson
from .sequential import Alarm as Alarm
from .sequential import shown_below as shown_below
