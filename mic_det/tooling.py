"""What every command shares: how it ends."""

import errno
import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

from mic_det.errors import UserError

# What a machine says when it takes no more: a full disk, a full quota, no permission, a read-only disk.
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
STOPPED = 130  # 128 + SIGINT, as shells have it

# (pattern of the message's start, category, pattern of the module that is blamed) of what libraries say about themselves, and a
# user can do nothing about.
NOISE: tuple[tuple[str, type[Warning], str], ...] = (
    (r"pkg_resources is deprecated", UserWarning, r"detectron2\.model_zoo"),
    (r"torch\.meshgrid", UserWarning, r"torch\.functional"),
    (r"`torch\.jit\.script` is deprecated", FutureWarning, r"torch\.jit\._script"),
)
# Loggers of libraries that warn about a machine without GPU, which MODEL.DEVICE says, and about each other's names.
TALKERS = ("torch.utils.cpp_extension", "torch.fx._symbolic_trace")


def run_tool(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` without the noise of libraries, and end the process.

    The exit status is what `main` returns (None is 0); 1, with one sentence and no traceback, after a UserError or what the
    disk refuses; 130 after Ctrl-C.
    """
    silence_third_parties()
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:
        # The reader, such as `head`, has gone; Python would complain about it once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        sys.exit(f"error: {error.filename or 'a file'}: {os.strerror(error.errno)}.")
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(STOPPED)


def silence_third_parties() -> None:
    """Hide the warnings in NOISE, each by message, category and module, and of TALKERS; never one of mic-det's."""
    for name in TALKERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    for message, category, module in NOISE:
        warnings.filterwarnings("ignore", message, category, module)
