from .run import Improvement as Improvement
from .settings import Settings as Settings
from .tasks import choose as choose
from .tasks import find_tasks as find_tasks
from .tasks import merge_tasks as merge_tasks
from .tasks import split_task as split_task
from .tasks import task_changes as task_changes
from .tasks import weigh_tasks as weigh_tasks
