"""Names for noises and energies.

Built-in models and plugins take the same road: an entry point in the group `contrastive.noises` or
`contrastive.energies` names a factory that takes `event_shape` and keyword options. Nothing is imported until a name
is asked for.
"""

import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from contrastive.errors import ContrastiveError, did_you_mean
from contrastive.io.imports import foreign_code

F = TypeVar("F", bound=Callable[..., Any])

#: Arguments of a factory that no user sets as options of a model.
NOT_OPTIONS = ("self", "event_shape", "context_shape", "num_given", "allow_import")

#: Plugins of this project that may not be installed: name -> package that brings it.
KNOWN_PLUGINS = {
    "noise": {
        "glow": "contrastive-glow",
        "made": "contrastive-autoregressive",
        "mixed-made": "contrastive-autoregressive",
        "pixelcnn": "contrastive-autoregressive",
        "maf": "contrastive-zuko",
        "iaf": "contrastive-zuko",
        "nsf": "contrastive-zuko",
        **{
            f"zuko/{flow}": "contrastive-zuko"
            for flow in ("bpf", "gmm", "maf", "naf", "nice", "nsf", "realnvp", "sospf")
        },
    },
    "energy": {},
}


class Registry:
    """Factories by name, from entry points and from `register`.

    Args:
        kind: what the factories make, for messages ("noise").
        group: entry-point group.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind, self.group = kind, group
        self._registered: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[F], F]:
        """Decorator that makes a factory known under `name` in this process."""

        def add(factory: F) -> F:
            known = self._registered.get(name)
            if known is not None and _origin(known) != _origin(factory):
                raise ContrastiveError(
                    f"two {self.kind} factories claim the name {name!r}: {_origin(known)} and {_origin(factory)}"
                )
            self._registered[name] = factory
            return factory

        return add

    def names(self) -> list[str]:
        """Every name that can be made, sorted. Imports no plugin."""
        return sorted({*self._registered, *entry_points(group=self.group).names})

    def source(self, name: str) -> str:
        """The package that brings `name`, for listings."""
        claims = entry_points(group=self.group, name=name)
        return " and ".join(sorted({_package(point) for point in claims})) or "this process"

    def load(self, name: str) -> Callable[..., Any]:
        """The factory called `name`.

        Raises:
            ContrastiveError: unknown name, a name claimed twice, or a plugin that does not import.
        """
        points = list({point.value: point for point in entry_points(group=self.group, name=name)}.values())
        claims = [f"package {_package(point)} ({point.value})" for point in points]
        if name in self._registered:
            claims.append(_origin(self._registered[name]))
        if len(claims) > 1:
            raise ContrastiveError(
                f"{len(claims)} plugins claim the {self.kind} name {name!r}: {' and '.join(claims)}; uninstall one"
            )
        if name in self._registered:
            return self._registered[name]
        if not points:
            raise ContrastiveError(self._unknown(name))
        with foreign_code(f"the {self.kind} {name!r} of {claims[0]} failed to import"):
            return points[0].load()

    def make(
        self,
        name: str,
        *,
        event_shape: tuple[int, ...],
        context_shape: tuple[int, ...] | None = None,
        allow_import: bool = False,
        **options: Any,
    ) -> Any:
        """Make a model for events of `event_shape`.

        Args:
            name: of its factory.
            event_shape: shape of one data point.
            context_shape: shape of one context, for the conditional counterpart that the factory's attribute
                `conditional` makes; None for the model itself.
            allow_import: whether the options may name code to import. No option: who writes the options, which may
                come with somebody else's run, cannot give it.
            **options: of the factory.

        Raises:
            ContrastiveError: as `load`, or for an option that the factory does not have.
        """
        factory = self.load(name)
        parameters = inspect.signature(factory).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        known = [p for p in parameters if p not in NOT_OPTIONS]
        for option in options:
            if option not in known and not takes_any:
                raise ContrastiveError(
                    f"the {self.kind} {name!r} has no option {option!r}; {did_you_mean(option, known)}"
                )
        if context_shape is not None:  # it takes the same options
            factory = partial(self.load_conditional(name), context_shape=tuple(context_shape))
        elif "allow_import" in parameters:
            options["allow_import"] = allow_import
        try:
            return factory(event_shape=tuple(event_shape), **options)
        except TypeError as error:
            raise ContrastiveError(f"the {self.kind} {name!r} cannot be made: {error}") from error

    def load_conditional(self, name: str) -> Callable[..., Any]:
        """What makes the conditional counterpart q(x | y) of `name`, from `event_shape`, `context_shape`, its options.

        Raises:
            ContrastiveError: as `load`, or if there is none; the message names those that have one.
        """
        counterpart: Callable[..., Any] | None = getattr(self.load(name), "conditional", None)
        if counterpart is None:
            able = ", ".join(self.conditional_names())
            raise ContrastiveError(f"the {self.kind} {name!r} cannot condition on given columns; take one of {able}")
        return counterpart

    def conditional_names(self) -> list[str]:
        """Names with a conditional counterpart; plugins that do not import are left out."""
        able = []
        for name in self.names():
            with suppress(ContrastiveError):
                able += [name] if hasattr(self.load(name), "conditional") else []
        return able

    def _unknown(self, name: str) -> str:
        package = KNOWN_PLUGINS[self.kind].get(name)
        if package:
            return f"the {self.kind} {name!r} comes with the package {package}: pip install {package}"
        message = f"unknown {self.kind} {name!r}; {did_you_mean(name, {*self.names(), *KNOWN_PLUGINS[self.kind]})}"
        absent = {k: v for k, v in KNOWN_PLUGINS[self.kind].items() if k in message and k not in self.names()}
        return message + "".join(f" ({near!r} needs: pip install {package})" for near, package in absent.items())


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module


def _origin(factory: Callable[..., Any]) -> str:
    return f"{factory.__module__}.{factory.__qualname__}"


noises = Registry("noise", "contrastive.noises")
energies = Registry("energy", "contrastive.energies")

register_noise, available_noises, make_noise = noises.register, noises.names, noises.make
register_energy, available_energies, make_energy = energies.register, energies.names, energies.make
