"""Reading pickled weights (`.pkl`) without running what a file might contain."""

import pickle
from pathlib import Path
from typing import Any

from mic_det.checkpoint import formats
from mic_det.errors import UserError

# All that a pickled dictionary of numpy arrays needs; numpy 1 and 2 name the module differently.
ALLOWED = {
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


class ArrayUnpickler(pickle.Unpickler):
    """Unpickles plain containers and numpy arrays, and refuses every other class or function before it is called."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle asks for by name. Raises UnpicklingError for all that is not in ALLOWED."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it wants to call {module}.{name}, which weights do not need")
        return super().find_class(module, name)


def load_pickle(path: str | Path) -> Any:
    """The content of a `.pkl` weight file.

    Raises:
        UserError: naming the file and what it tried to call, or why it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return ArrayUnpickler(file, encoding="latin1").load()
    except Exception as error:  # pickle raises many kinds for a broken file
        raise UserError(f"Weights {path} were refused: {formats.reason(path, error)}") from error
