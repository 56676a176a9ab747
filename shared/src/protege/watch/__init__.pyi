from .looking import look as look
from .reasons import Reason as Reason
from .reasons import close_reason as close_reason
from .reasons import last_reason as last_reason
from .reasons import open_reason as open_reason
from .reasons import reason_of as reason_of
from .shadowing import shadow as shadow
