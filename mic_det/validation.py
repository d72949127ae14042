"""What pydantic finds wrong with a user's file or config, as one sentence."""

from pydantic import ValidationError

from mic_det.errors import UserError

SHOWN = 10  # faults in one message
LONGEST = 60  # characters of a value


def path_of(location: tuple[int | str, ...]) -> str:
    """`("images", 3, "id")` -> `images[3].id`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def shortened(value: object) -> str:
    """`repr` of a value, cut where it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def faults_of(error: ValidationError) -> list[str]:
    """One phrase for each fault: the path to the value, what was found and what is allowed."""
    return [
        f"{path_of(fault['loc']) or 'the content'} is {shortened(fault['input'])}: {fault['msg']}"
        if fault["type"] != "missing"
        else f"{path_of(fault['loc'])} is missing"
        for fault in error.errors(include_url=False)
    ]


def refuse(where: str, faults: list[str]) -> None:
    """Raise a UserError that begins with `where` and lists the first SHOWN faults and how many more there are; none is fine."""
    if faults:
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise UserError(f"{where}: {'; '.join(faults[:SHOWN])}{more}.")
