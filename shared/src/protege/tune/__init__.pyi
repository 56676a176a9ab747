from .settings import Tuned as Tuned
from .settings import TuneSettings as TuneSettings
from .tuning import reference as reference
from .tuning import tune as tune
