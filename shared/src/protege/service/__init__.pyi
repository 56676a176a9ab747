from .engine import ModelKeeper as ModelKeeper
from .engine import serve_forever as serve_forever
from .loop import keep as keep
from .metrics import metrics_server as metrics_server
from .metrics import serve_metrics as serve_metrics
