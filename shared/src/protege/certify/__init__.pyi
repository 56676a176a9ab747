from .guarantee import Certificate as Certificate
from .guarantee import calibrate as calibrate
from .guarantee import calls_needed as calls_needed
from .guarantee import grid_from as grid_from
from .guarantee import hindsight_coverage as hindsight_coverage
from .guarantee import hopeless as hopeless
