"""What every command-line tool shares."""

import errno
import os
import sys

from mic_det.errors import UserError

# What a machine says when it takes no more: a full disk, a full quota, no permission, a read-only disk.
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def run_tool(main):
    """Call `main`, exit with what it returns, and show a UserError or what the disk refuses as one sentence, not a traceback."""
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        sys.exit(f"error: {error.filename or 'a file'}: {os.strerror(error.errno)}.")
    except KeyboardInterrupt:
        sys.exit("stopped")
