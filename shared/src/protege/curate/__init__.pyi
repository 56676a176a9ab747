from .curated import PARTS as PARTS
from .curated import Curated as Curated
from .curation import curate as curate
from .rows import Row as Row
from .rows import row_from as row_from
from .settings import CurateSettings as CurateSettings
