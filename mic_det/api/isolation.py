"""Calls that leave the process as it was."""

import contextlib
import warnings
from collections.abc import Iterator

import torch
from detectron2.data import DatasetCatalog, MetadataCatalog

from mic_det.data.declare import DECLARED
from mic_det.data.stream import random_states_kept


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Afterwards, what a run changes in a process is as it was before.

    That is: the random generators of python, numpy and torch, torch's threads, number type and choice of algorithms, warning
    filters, and the registered datasets, of which those that the call declared go. Loggers are RunLog's affair.
    """
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    threads, number_type, cudnn = torch.get_num_threads(), torch.get_default_dtype(), torch.backends.cudnn
    algorithms = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    flags = cudnn.benchmark, cudnn.deterministic
    known, declared = set(DatasetCatalog.list()), set(DECLARED)
    with warnings.catch_warnings(), random_states_kept():
        try:
            yield
        finally:
            if devices:
                torch.cuda.set_rng_state_all(devices)
            torch.set_num_threads(threads)
            torch.set_default_dtype(number_type)
            torch.use_deterministic_algorithms(algorithms[0], warn_only=algorithms[1])
            cudnn.benchmark, cudnn.deterministic = flags
            forget(set(DatasetCatalog.list()) - known)
            DECLARED.intersection_update(declared)


def forget(names: set[str]) -> None:
    """Take datasets out of detectron2's catalogs."""
    for name in names:
        DatasetCatalog.remove(name)
        if name in MetadataCatalog.list():
            MetadataCatalog.remove(name)
