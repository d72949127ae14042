"""What every command-line tool shares."""

import sys

from mic_det.errors import UserError


def run_tool(main):
    """Call `main`, exit with what it returns, and show a UserError as one sentence instead of a traceback."""
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")
