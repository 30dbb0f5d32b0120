"""zuko's flows as noises for `contrastive`: `maf`, `iaf`, `nsf`, and `zuko/FLOW` for each flow over R^d."""

from contrastive.numerics.torch_defaults import distributions_as_they_were

with distributions_as_they_were():
    import zuko  # noqa: F401  the first import, which is the one that changes torch

from contrastive_zuko.catalogue import FLOWS, make_flow
from contrastive_zuko.noise import ZukoFlow, ZukoNoise
from contrastive_zuko.presets import iaf, maf, nsf

__all__ = ["FLOWS", "ZukoFlow", "ZukoNoise", "iaf", "maf", "make_flow", "nsf"]
