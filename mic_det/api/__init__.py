"""What one calls from Python; all of it is at the top of the package as well, e.g. `mic_det.load`.

Mistakes that a user can mend are `mic_det.UserError`; no function ends the process, and none leaves anything changed in it but
what it returns: see `mic_det.api.isolation`.
"""

from .adapting import adapt
from .loading import load
from .model import Model
from .results import Result
from .runs import check, evaluate, train

__all__ = ["Model", "Result", "adapt", "check", "evaluate", "load", "train"]
