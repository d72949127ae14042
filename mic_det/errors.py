"""The one exception for mistakes a user can mend."""

import difflib


class UserError(ValueError):
    """A sentence that names the culprit and the cure. Tools print it without a traceback and exit with status 1."""


def did_you_mean(word, options):
    """` Did you mean 'x'?` for the closest of `options`, or an empty string."""
    close = difflib.get_close_matches(str(word), [str(option) for option in options], n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
