"""The version of this package, in its one place: packaging, `--version` and reports read it here."""

__version__ = "0.1.0"
