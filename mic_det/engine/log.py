"""The log of a run: on the terminal at once, in OUTPUT_DIR only when the run is accepted."""

import fcntl
import logging
from logging.handlers import MemoryHandler
from pathlib import Path

from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

from mic_det.errors import UserError
from mic_det.outputs import writing

NAMES = ("mic_det", "detectron2")
DATA = logging.getLogger("detectron2.data")
FORMAT = logging.Formatter("[%(asctime)s] %(name)s %(levelname)s: %(message)s", datefmt="%m/%d %H:%M:%S")
MANY = 100_000  # messages before a run is accepted


class RunLog:
    """A context in which mic-det and detectron2 log to the terminal and, once `keep_in` has named a folder, to a file.

    What was logged before is kept for the file. Afterwards the loggers are as they were: the next run in this process has a
    log of its own.
    """

    def __init__(self, quiet: bool = False) -> None:
        """
        Args:
            quiet: show nothing on the terminal, unless what happens inside fails.
        """
        self.quiet = quiet

    def __enter__(self) -> "RunLog":
        self.loggers = [logging.getLogger(name) for name in NAMES]
        self.before = [(logger.handlers, logger.propagate, logger.level) for logger in self.loggers]
        self.level_of_data = DATA.level
        self.buffer = MemoryHandler(MANY, flushLevel=MANY)
        self.file: logging.FileHandler | None = None
        self.terminals: list[logging.Handler] = []
        setup_logger.cache_clear()  # it would do nothing for a second run
        for logger in self.loggers:
            logger.handlers = []
            setup_logger(None, comm.get_rank(), name=logger.name, abbrev_name=logger.name)
            self.terminals += logger.handlers
            logger.handlers = [self.buffer] if self.quiet else [*logger.handlers, self.buffer]
        DATA.setLevel(logging.WARNING)  # it describes the test loader at every evaluation
        return self

    def __exit__(self, *error: object) -> None:
        if self.quiet and error[0] is not None and self.terminals:
            self.buffer.setTarget(self.terminals[0])
            self.buffer.flush()
        for logger, (handlers, propagate, level) in zip(self.loggers, self.before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
        DATA.setLevel(self.level_of_data)
        setup_logger.cache_clear()  # a logger of the caller's own is set up anew
        if self.file is not None:
            self.file.close()

    def keep_in(self, folder: str | Path) -> None:
        """Append to `<folder>/log.txt`, or `log.txt.rank<n>` of other processes than the main one, from the first message on.

        Raises:
            UserError: when the folder cannot be written to, or a running process writes to the log.
        """
        rank = comm.get_rank()
        path = Path(folder) / (f"log.txt.rank{rank}" if rank else "log.txt")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = logging.FileHandler(path)
        try:
            lock(file)
        except UserError:
            file.close()
            raise
        self.file = file
        file.setFormatter(FORMAT)
        self.buffer.setTarget(file)
        self.buffer.flush()
        for logger in self.loggers:
            logger.removeHandler(self.buffer)
            logger.addHandler(file)


def lock(file: logging.FileHandler) -> None:
    """Keep other processes from the run: the system lifts the lock when this one ends, however it ends.

    Raises:
        UserError: when another process has it.
    """
    try:
        assert file.stream is not None  # it opens at once
        fcntl.lockf(file.stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        folder = Path(file.baseFilename).parent
        raise UserError(f"OUTPUT_DIR {folder}: another process is at work there; choose another folder.") from None
    except OSError as error:
        logging.getLogger(__name__).info("No lock on %s: %s.", file.baseFilename, error)
