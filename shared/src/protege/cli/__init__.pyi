from .bases import bases_report as bases_report
from .bases import print_bases as print_bases
from .doctor import checkup as checkup
from .entry import main as main
