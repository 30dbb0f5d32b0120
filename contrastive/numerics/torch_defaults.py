"""What libraries change in torch for everybody, held to their own calls.

torch.distributions has one switch for all distributions of a process. zuko 1.6.0 turns validation off in it on import,
and empties the constraints that a subclass forgot to state: after that a negative scale is no error any more, in
whosever code.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.distributions import Distribution

_SWITCHES = ("_validate_args", "arg_constraints")


@contextmanager
def distributions_as_they_were() -> Iterator[None]:
    """Put back, at the end, what was changed in `torch.distributions.Distribution`: for imports.

    Example:
        >>> with distributions_as_they_were():
        ...     Distribution.set_default_validate_args(False)
        >>> Distribution._validate_args
        True
    """
    before = {name: vars(Distribution)[name] for name in _SWITCHES}
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(Distribution, name, value)


@contextmanager
def validation(on: bool) -> Iterator[None]:
    """Distributions made inside check their arguments and values, or do not, whatever the process has set."""
    with distributions_as_they_were():
        Distribution.set_default_validate_args(on)
        yield
