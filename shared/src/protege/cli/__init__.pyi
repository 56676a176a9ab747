from .doctor import checkup as checkup
from .entry import main as main
