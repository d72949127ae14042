"""The one exception for mistakes a user can mend."""

import contextlib
import difflib


class UserError(ValueError):
    """A sentence that names the culprit and the cure. Tools print it without a traceback and exit with status 1."""


def did_you_mean(word, options):
    """` Did you mean 'x'?` for the closest of `options`, or an empty string."""
    close = difflib.get_close_matches(str(word), [str(option) for option in options], n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


@contextlib.contextmanager
def user_errors(key):
    """Turn a ValueError, which constructors raise for values out of range, into a UserError that names the config's `key`."""
    try:
        yield
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{key}: {error}") from None
