"""Settings as a run resolves them."""

from contrastive.config import configure, resolve
from contrastive.data.preparation import prepare
from contrastive.training.models import facts_of, new_estimator


def resolved(data, **settings):
    """The resolved settings of a fit to `data`."""
    config = configure(**settings)
    prepared = prepare(data, config)
    estimator, config = new_estimator(config, prepared)
    return resolve(config, prepared.facts, facts_of(estimator))
