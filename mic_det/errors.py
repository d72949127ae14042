"""The one exception for mistakes a user can mend."""

import contextlib
import difflib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fvcore.common.registry import Registry


class UserError(ValueError):
    """A sentence that names the culprit and the cure. Tools print it without a traceback and exit with status 1."""


def did_you_mean(word: object, options: Iterable[object]) -> str:
    """` Did you mean 'x'?` for the closest of `options`, or an empty string."""
    close = difflib.get_close_matches(str(word), [str(option) for option in options], n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


def hinted(phrase: str, word: object, options: Iterable[object]) -> str:
    """`phrase` for a list of faults, with `(Did you mean 'x'?)` where one of `options` is close to `word`."""
    hint = did_you_mean(word, options).strip()
    return f"{phrase} ({hint})" if hint else phrase


def registered(registry: "Registry", name: str, key: str) -> Any:
    """The entry called `name` of an fvcore registry. Raises UserError, which names the config's `key`, when there is none."""
    if name not in registry:
        raise UserError(f"{key} names '{name}', which is not registered.{did_you_mean(name, [known for known, _ in registry])}")
    return registry.get(name)


@contextlib.contextmanager
def user_errors(key: str) -> Iterator[None]:
    """Turn what constructors raise for values that they cannot take into a UserError that names the config's `key`."""
    try:
        yield
    except UserError:
        raise
    except KeyError as error:
        raise UserError(f"{key}: there is no {error}.") from error
    except (ValueError, AssertionError) as error:
        raise UserError(f"{key}: {str(error) or 'its values contradict each other'}") from error
