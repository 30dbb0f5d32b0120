"""Conditional densities q(x | y) that are right, and what people break in them, with the check that must name it."""

import torch
from torch import nn

from benchmarks.lib.defects import LOG_2PI, Defect, normal
from contrastive.errors import ContrastiveError
from contrastive.noises.conditional import require_contexts


class ConditionalFlow(nn.Module):
    """Standardisation of x and y, then couplings of two halves of x whose networks see y."""

    def __init__(self, event_shape=(2,), context_shape=(2,)):
        super().__init__()
        self.event_shape, self.context_shape = torch.Size(event_shape), torch.Size(context_shape)
        (d,), (k,) = event_shape, context_shape
        for name, size in (("x", d), ("y", k)):
            self.register_buffer(f"loc_{name}", torch.zeros(size))
            self.register_buffer(f"scale_{name}", torch.ones(size))
        self.register_buffer("seen", torch.tensor(False))
        half = d // 2
        self.networks = nn.ModuleList(
            nn.Sequential(nn.Linear(half + k, 16), nn.Tanh(), nn.Linear(16, 2 * (d - half))) for _ in range(2)
        )
        # Fresh couplings hardly see y; these know from the start that x follows it.
        self.follows = nn.Parameter(torch.linspace(0.4, 1.0, d * k).reshape(k, d))

    @property
    def is_initialized(self):
        return bool(self.seen)

    def initialize(self, x, *, given):
        self.loc_x.copy_(x.mean(0))
        self.scale_x.copy_(x.std(0))
        self.loc_y.copy_(given.mean(0))
        self.scale_y.copy_(given.std(0))
        self.seen.fill_(True)

    def context(self, y):
        return (y - self.loc_y) / self.scale_y

    def require(self, y, rows):
        if not self.is_initialized:
            raise ContrastiveError("call initialize(x, given=y) first")
        require_contexts(y, rows, self.context_shape)

    def coupling(self, network, kept, context):
        shift, raw = network(torch.cat([kept, context], -1)).chunk(2, -1)
        return shift, raw.tanh()

    def from_latent(self, z, *, given):
        self.require(given, len(z))
        context = self.context(given)
        a, b = z.chunk(2, -1)
        log_det = z.new_zeros(len(z))
        for network in self.networks:
            shift, log_scale = self.coupling(network, a, context)
            a, b = b * log_scale.exp() + shift, a
            log_det = log_det + log_scale.sum(-1)
        x = torch.cat([a, b], -1) + context @ self.follows
        return x * self.scale_x + self.loc_x, log_det + self.scale_x.log().sum()

    def to_latent(self, x, *, given):
        self.require(given, len(x))
        context = self.context(given)
        a, b = ((x - self.loc_x) / self.scale_x - context @ self.follows).chunk(2, -1)
        log_det = x.new_zeros(len(x))
        for network in reversed(self.networks):
            shift, log_scale = self.coupling(network, b, context)
            a, b = b, (a - shift) * (-log_scale).exp()
            log_det = log_det - log_scale.sum(-1)
        return torch.cat([a, b], -1), log_det - self.scale_x.log().sum()

    def base(self, n):
        return torch.randn(n, *self.event_shape, dtype=self.loc_x.dtype, device=self.loc_x.device)

    def log_prob(self, value, *, given):
        z, log_det = self.to_latent(value, given=given)
        return normal(z) + log_det

    def rsample_and_log_prob(self, *, given):
        z = self.base(len(given))
        x, log_det = self.from_latent(z, given=given)
        return x, normal(z) - log_det

    @torch.no_grad()
    def sample(self, *, given):
        return self.from_latent(self.base(len(given)), given=given)[0]


class Regression(nn.Module):
    """x1 normal about a line in y, x2 normal about a line in x1 and y: least squares, entry by entry."""

    def __init__(self, context_shape=(2,)):
        super().__init__()
        self.event_shape, self.context_shape = torch.Size((2,)), torch.Size(context_shape)
        k = self.context_shape[0]
        self.first, self.second = nn.Parameter(torch.zeros(k + 1)), nn.Parameter(torch.zeros(k + 2))
        self.log_scales = nn.Parameter(torch.zeros(2))
        self.register_buffer("fitted", torch.tensor(False))

    @property
    def is_fitted(self):
        return bool(self.fitted)

    def inputs(self, y, x1=None):
        return torch.cat([torch.ones_like(y[:, :1]), y] + ([] if x1 is None else [x1]), 1)

    @torch.no_grad()
    def fit(self, x, *, given):
        for i, (line, inputs) in enumerate(
            [(self.first, self.inputs(given)), (self.second, self.inputs(given, x[:, :1]))]
        ):
            line.copy_(torch.linalg.lstsq(inputs, x[:, i : i + 1]).solution.squeeze(1))
            self.log_scales[i] = (x[:, i] - inputs @ line).std().log()
        self.fitted.fill_(True)

    def standard(self, x, y):
        require_contexts(y, len(x), self.context_shape)
        means = torch.stack([self.inputs(y) @ self.first, self.inputs(y, x[:, :1]) @ self.second], 1)
        return (x - means) * (-self.log_scales).exp()

    def log_prob(self, value, *, given):
        return normal(self.standard(value, given)) - self.log_scales.sum()

    def conditional_cdf(self, x, *, given):
        return torch.special.ndtr(self.standard(x, given))

    @torch.no_grad()
    def sample(self, *, given):
        require_contexts(given, len(given), self.context_shape)
        z = torch.randn(len(given), 2, dtype=self.first.dtype, device=self.first.device) * self.log_scales.exp()
        x1 = (self.inputs(given) @ self.first + z[:, 0])[:, None]
        return torch.cat([x1, (self.inputs(given, x1) @ self.second + z[:, 1])[:, None]], 1)


CONDITIONAL_CORRECT = [ConditionalFlow, Regression]

# What breaks --------------------------------------------------------------------------------------------------------


class ContextIgnored(ConditionalFlow):
    """The context is ignored."""

    def context(self, y):
        return torch.zeros_like(y)


class LastColumnIgnored(ConditionalFlow):
    """A column of the context is ignored."""

    def context(self, y):
        return super().context(y) * torch.arange(y.shape[1], 0, -1, device=y.device).sub(1).clamp(max=1)


class ContextOfTheNeighbour(ConditionalFlow):
    """A row is scored at the context of its neighbour."""

    def log_prob(self, value, *, given):
        return super().log_prob(value, given=given.roll(1, 0))


class DrawnAtTheNeighbours(ConditionalFlow):
    """A row is drawn at the context of its neighbour."""

    def sample(self, *, given):
        return super().sample(given=given.roll(1, 0))


class OnePassAtTheNeighbours(ConditionalFlow):
    """Only the one-pass draws are made at the context of the neighbour."""

    def rsample_and_log_prob(self, *, given):
        x, _ = super().rsample_and_log_prob(given=given.roll(1, 0))
        return x, self.log_prob(x, given=given)


class DrawnAtTheMean(ConditionalFlow):
    """Draws are made at the mean of the contexts."""

    def sample(self, *, given):
        return super().sample(given=given.mean(0).expand_as(given))


class LogDetForgetsContext(ConditionalFlow):
    """The log-determinant forgets the context."""

    def log_prob(self, value, *, given):
        z, _ = self.to_latent(value, given=given)
        _, log_det = self.to_latent(value, given=self.loc_y.expand_as(given))
        return normal(z) + log_det


class DrawnUnstandardised(ConditionalFlow):
    """The context is standardised in log_prob and not in sample."""

    def sample(self, *, given):
        return super().sample(given=given * self.scale_y + self.loc_y)


class ContextDetached(ConditionalFlow):
    """The context is detached: log_prob has no gradient in it."""

    def context(self, y):
        return super().context(y.detach())


class ContextInFloat32(ConditionalFlow):
    """The context is rounded to float32."""

    def context(self, y):
        return super().context(y.float().double())


class ContextsOfTheBatch(ConditionalFlow):
    """Contexts are standardised by the batch that they come in."""

    def context(self, y):
        return (y - y.mean(0)) / (y.std(0, correction=0) + 1)


class JointDensity(ConditionalFlow):
    """log_prob is normalised over (x, y) jointly, not over x."""

    def log_prob(self, value, *, given):
        return super().log_prob(value, given=given) + normal(self.context(given)) - self.scale_y.log().sum()


class WhiteningOfBoth(ConditionalFlow):
    """The scale of the context is counted in the log-determinant."""

    def log_prob(self, value, *, given):
        return super().log_prob(value, given=given) - self.scale_y.log().sum()


class WidthWithoutContext(Regression):
    """The draws' width does not follow the context, that of log_prob does."""

    def standard(self, x, y):
        return super().standard(x, y) * (-self.log_width(y)).exp()

    def log_width(self, y):
        return 0.3 * (y[:, :1] - 1).tanh()

    def log_prob(self, value, *, given):
        return super().log_prob(value, given=given) - 2 * self.log_width(given).squeeze(1)


class OneContextForAll(ConditionalFlow):
    """One context is broadcast to all events."""

    def require(self, y, rows):
        super().require(y.expand(rows, -1), rows)

    def coupling(self, network, kept, context):
        return super().coupling(network, kept, context.expand(len(kept), -1))


class ContextOptional(ConditionalFlow):
    """Without a context zeros are taken for one."""

    def log_prob(self, value, *, given=None):
        return super().log_prob(value, given=value.new_zeros(len(value), 2) if given is None else given)


class ShuffledFit(Regression):
    """The fit pairs events with the contexts of other rows."""

    def fit(self, x, *, given):
        super().fit(x, given=given[torch.randperm(len(given))])


class UnboundedInContext(ConditionalFlow):
    """A scale is exponential in the context: far ones overflow."""

    def coupling(self, network, kept, context):
        shift, raw = super().coupling(network, kept, context)
        return shift, raw + context[:, : raw.shape[1]]


class OneLatentForTheBatch(ConditionalFlow):
    """All rows of a call share one latent."""

    def base(self, n):
        return super().base(1).expand(n, 2)


class UnsavedContextScale(ConditionalFlow):
    """What contexts are standardised by is not in the state_dict."""

    def __init__(self, event_shape=(2,), context_shape=(2,)):
        super().__init__(event_shape, context_shape)
        self.centre = 0.0

    def initialize(self, x, *, given):
        super().initialize(x, given=given)
        self.centre = float(given.mean())

    def context(self, y):
        return super().context(y) - self.centre


class EditsContexts(ConditionalFlow):
    """log_prob edits its contexts."""

    def log_prob(self, value, *, given):
        given -= self.loc_y
        return super().log_prob(value, given=given + self.loc_y)


class SummedOverTheBatch(ConditionalFlow):
    """log_prob is one number for the batch."""

    def log_prob(self, value, *, given):
        return super().log_prob(value, given=given).mean()


class DetachedAtContext(ConditionalFlow):
    """The one-pass draws at a context are detached."""

    def rsample_and_log_prob(self, *, given):
        x = self.sample(given=given)
        return x, self.log_prob(x, given=given)


class HalfAConstant(Regression):
    """Half of log 2 pi is counted for each column of the context too."""

    def log_prob(self, value, *, given):
        return super().log_prob(value, given=given) - 0.5 * LOG_2PI * given.shape[1]


CONDITIONAL_DEFECTS = [
    Defect(ContextIgnored, "context-matters"),
    Defect(LastColumnIgnored, "context-matters"),
    Defect(ContextOfTheNeighbour, "contexts-do-not-leak"),
    Defect(ContextsOfTheBatch, "contexts-do-not-leak"),
    Defect(DrawnAtTheNeighbours, "draws-match-density"),
    Defect(DrawnAtTheMean, "draws-match-density"),
    Defect(DrawnUnstandardised, "draws-match-density"),
    Defect(WidthWithoutContext, "probability-integral-transform"),
    Defect(OnePassAtTheNeighbours, "one-pass-draws-match-density"),
    Defect(LogDetForgetsContext, "normalization"),
    Defect(JointDensity, "normalization"),
    Defect(WhiteningOfBoth, "normalization"),
    Defect(HalfAConstant, "normalization"),
    Defect(ContextDetached, "gradient-in-context"),
    Defect(ContextInFloat32, "gradient-in-context"),
    Defect(OneContextForAll, "refuses-wrong-contexts"),
    Defect(ContextOptional, "refuses-wrong-contexts"),
    Defect(ShuffledFit, "fit-pairs-rows-with-contexts"),
    Defect(UnboundedInContext, "finite-at-far-contexts"),
    Defect(OneLatentForTheBatch, "seeds"),
    Defect(UnsavedContextScale, "copies"),
    Defect(EditsContexts, "input-is-untouched"),
    Defect(SummedOverTheBatch, "shapes"),
    Defect(DetachedAtContext, "gradient-is-pathwise"),
]
