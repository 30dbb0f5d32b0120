"""Estimates of log Z with error bars and a verdict: how far to trust the learned c."""

from contrastive.normalizer.annealing import anneal, annealing_estimate
from contrastive.normalizer.automatic import METHODS, log_partitions
from contrastive.normalizer.bridge import bridge_estimate
from contrastive.normalizer.certified import certified_interval
from contrastive.normalizer.given import log_partitions_given
from contrastive.normalizer.importance import WeightSummary, importance_estimate
from contrastive.normalizer.result import LogPartition

__all__ = [
    "METHODS",
    "LogPartition",
    "WeightSummary",
    "anneal",
    "annealing_estimate",
    "bridge_estimate",
    "certified_interval",
    "importance_estimate",
    "log_partitions",
    "log_partitions_given",
]
