"""Renaming the entries of state dicts."""


def part(state, prefix):
    """The entries below `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def rename(state, modules):
    """Give entries the names of their modules' counterparts.

    Args:
        modules: {module name: new module name}.

    Returns:
        (renamed state, names of entries whose module is unknown).
    """
    renamed, unknown = {}, []
    for name, value in state.items():
        module, _, leaf = name.rpartition(".")
        if module in modules:
            renamed[f"{modules[module]}.{leaf}"] = value
        else:
            unknown.append(name)
    return renamed, unknown
