"""Densities that are right, and what people break in them: each defect with the check that must name it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contrastive.errors import ContrastiveError

LOG_2PI = math.log(2 * math.pi)


def normal(z):
    return -0.5 * (z.square() + LOG_2PI).sum(-1)


class Flow(nn.Module):
    """Standardisation, then couplings of two halves: a correct flow of 2-D points, small enough to break."""

    def __init__(self, dim=2, bound=1.0):
        super().__init__()
        self.event_shape = torch.Size((dim,))
        self.register_buffer("loc", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.register_buffer("seen", torch.tensor(False))
        half = dim // 2
        self.networks = nn.ModuleList(
            nn.Sequential(nn.Linear(half, 16), nn.Tanh(), nn.Linear(16, 2 * (dim - half))) for _ in range(2)
        )
        self.bound = bound

    @property
    def is_initialized(self):
        return bool(self.seen)

    def initialize(self, x):
        self.loc.copy_(x.mean(0))
        self.scale.copy_(x.std(0))
        self.seen.fill_(True)

    def require_initialized(self):
        if not self.is_initialized:
            raise ContrastiveError("call initialize(x) first")

    def coupling(self, network, kept):
        shift, raw = network(kept).chunk(2, -1)
        return shift, self.bound * torch.tanh(raw / self.bound)

    def from_latent(self, z):
        self.require_initialized()
        a, b = z.chunk(2, -1)
        log_det = z.new_zeros(len(z))
        for network in self.networks:
            shift, log_scale = self.coupling(network, a)
            a, b = b * log_scale.exp() + shift, a
            log_det = log_det + log_scale.sum(-1)
        return torch.cat([a, b], -1) * self.scale + self.loc, log_det + self.scale.log().sum()

    def to_latent(self, x):
        self.require_initialized()
        a, b = ((x - self.loc) / self.scale).chunk(2, -1)
        log_det = x.new_zeros(len(x))
        for network in reversed(self.networks):
            shift, log_scale = self.coupling(network, b)
            a, b = b, (a - shift) * (-log_scale).exp()
            log_det = log_det - log_scale.sum(-1)
        return torch.cat([a, b], -1), log_det - self.scale.log().sum()

    def base(self, n):
        return torch.randn(n, *self.event_shape, dtype=self.loc.dtype, device=self.loc.device)

    def log_prob(self, value):
        z, log_det = self.to_latent(value.reshape(-1, *self.event_shape))
        return (normal(z) + log_det).reshape(value.shape[:-1])

    def rsample_and_log_prob(self, sample_shape=torch.Size()):
        z = self.base(math.prod(sample_shape))
        x, log_det = self.from_latent(z)
        return x.reshape(*sample_shape, *self.event_shape), (normal(z) - log_det).reshape(sample_shape)

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()):
        return self.rsample_and_log_prob(sample_shape)[0]


class Autoregressive(nn.Module):
    """x1 normal, x2 given x1 a mixture of two normals; `mask` is what x2 may see of (x1, x2)."""

    mask = (1.0, 0.0)

    def __init__(self):
        super().__init__()
        self.event_shape = torch.Size((2,))
        self.first = nn.Parameter(torch.tensor([0.5, 0.1]))
        self.network = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 6))
        self.register_buffer("visible", torch.tensor(self.mask), persistent=False)

    def conditional(self, x):
        logits, locs, log_scales = self.network(x * self.visible).chunk(3, -1)
        apart = torch.linspace(-1, 1, 2, dtype=x.dtype, device=x.device)
        return logits, locs + 2 * apart, log_scales.tanh() + 0.7 * apart

    def log_weights(self, logits):
        return logits.log_softmax(-1)

    def log_prob(self, value):
        logits, locs, log_scales = self.conditional(value)
        loc, log_scale = self.first
        first = normal((value[..., :1] - loc) / log_scale.exp()) - log_scale
        parts = -0.5 * ((value[..., 1:] - locs) / log_scales.exp()).square() - log_scales - 0.5 * LOG_2PI
        return first + torch.logsumexp(self.log_weights(logits) + parts, -1)

    def conditional_cdf(self, x):
        logits, locs, log_scales = self.conditional(x)
        loc, log_scale = self.first
        first = torch.special.ndtr((x[..., :1] - loc) / log_scale.exp())
        parts = torch.special.ndtr((x[..., 1:] - locs) / log_scales.exp())
        return torch.cat([first, (logits.softmax(-1) * parts).sum(-1, keepdim=True)], -1)

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()):
        loc, log_scale = self.first
        like = self.first
        x = torch.zeros(*sample_shape, 2, dtype=like.dtype, device=like.device)
        x[..., 0] = loc + log_scale.exp() * torch.randn_like(x[..., 0])
        logits, locs, log_scales = self.conditional(x)
        pick = torch.distributions.Categorical(logits=logits, validate_args=False).sample()[..., None]
        loc, log_scale = locs.gather(-1, pick)[..., 0], log_scales.gather(-1, pick)[..., 0]
        x[..., 1] = loc + log_scale.exp() * torch.randn_like(loc)
        return x


class Logit(nn.Module):
    """A flow of the logits of points in the open square."""

    def __init__(self):
        super().__init__()
        self.flow = Flow()
        self.event_shape = self.flow.event_shape

    @property
    def is_initialized(self):
        return self.flow.is_initialized

    def initialize(self, x):
        self.flow.initialize(x)

    def log_prob(self, value):
        inside = value.clamp(1e-12, 1 - 1e-12)
        log_q = self.flow.log_prob(inside.logit()) + self.log_slope(inside)
        return log_q.masked_fill(((value <= 0) | (value >= 1)).any(-1), -math.inf)

    def log_slope(self, x):
        return -(x.log() + (1 - x).log()).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()):
        return self.flow.sample(sample_shape).sigmoid()


CORRECT = [Flow, Autoregressive, Logit]

# What breaks --------------------------------------------------------------------------------------------------------


class WrongSign(Flow):
    """The log-determinant is subtracted where it must be added."""

    def log_prob(self, value):
        z, log_det = self.to_latent(value.reshape(-1, 2))
        return (normal(z) - log_det).reshape(value.shape[:-1])


class MissingLogDet(Flow):
    """The log-determinant is left out."""

    def log_prob(self, value):
        return normal(self.to_latent(value.reshape(-1, 2))[0]).reshape(value.shape[:-1])


class LogDetOfTheBatch(Flow):
    """The log-determinant is summed over the batch."""

    def to_latent(self, x):
        z, log_det = super().to_latent(x)
        return z, log_det.sum().expand(len(x))


class ScalarLogDet(Flow):
    """The log-determinant is one number for the batch."""

    def to_latent(self, x):
        z, log_det = super().to_latent(x)
        return z, log_det.mean()


class ForgottenStandardisation(Flow):
    """The Jacobian of the standardisation is left out."""

    def log_prob(self, value):
        return super().log_prob(value) + self.scale.log().sum()


class ForgottenLogit(Logit):
    """The Jacobian of the logit is left out."""

    def log_slope(self, x):
        return torch.zeros(x.shape[:-1], dtype=x.dtype, device=x.device)


class ForgottenDequantisation(nn.Module):
    """The scaling of dequantised pixels is not counted."""

    def __init__(self):
        super().__init__()
        self.loc, self.event_shape = nn.Parameter(torch.zeros(2)), torch.Size((2,))

    def log_prob(self, value):
        return normal(value / 4 - self.loc)

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()):
        return 4 * (self.loc + torch.randn(*sample_shape, 2, dtype=self.loc.dtype, device=self.loc.device))


class Temperature(Flow):
    """Draws are made at temperature 0.8, scored at 1."""

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()):
        z = 0.8 * self.base(math.prod(sample_shape))
        return self.from_latent(z)[0].reshape(*sample_shape, 2)


class TemperatureInOnePass(Flow):
    """Only the one-pass draws are made at temperature 0.8."""

    def rsample_and_log_prob(self, sample_shape=torch.Size()):
        z = 0.8 * self.base(math.prod(sample_shape))
        x = self.from_latent(z)[0].reshape(*sample_shape, 2)
        return x, self.log_prob(x)

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()):
        return self.from_latent(self.base(math.prod(sample_shape)))[0].reshape(*sample_shape, 2)


class DetachedSample(Flow):
    """The one-pass draws are detached."""

    def rsample_and_log_prob(self, sample_shape=torch.Size()):
        x = self.sample(sample_shape)
        return x, self.log_prob(x)

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()):
        return self.from_latent(self.base(math.prod(sample_shape)))[0].reshape(*sample_shape, 2)


class DetachedPoint(Flow):
    """log q is scored at the detached draws."""

    def rsample_and_log_prob(self, sample_shape=torch.Size()):
        x = self.from_latent(self.base(math.prod(sample_shape)))[0].reshape(*sample_shape, 2)
        return x, self.log_prob(x.detach())


class StaleInverse(Flow):
    """A matrix inverse is cached and outlives an optimiser step."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.tensor([[1.0, 0.3], [0.0, 1.2]]))
        self.inverse = None

    def from_latent(self, z):
        if self.inverse is None:
            self.inverse = self.matrix.inverse()
        x, log_det = super().from_latent(z)
        return x @ self.inverse, log_det + self.inverse.det().abs().log()

    def to_latent(self, x):
        z, log_det = super().to_latent(x @ self.matrix)
        return z, log_det + self.matrix.det().abs().log()

    def __deepcopy__(self, memo):
        new = StaleInverse().to(self.loc.dtype)
        new.load_state_dict(self.state_dict())
        return new


class InitialisedBySampling(Flow):
    """ActNorm is initialised by whatever comes first, sampling included."""

    def require_initialized(self):
        if not self.is_initialized:
            self.initialize(self.base(100))


class RunningStatistics(Flow):
    """Scoring in train mode moves running statistics."""

    def log_prob(self, value):
        if self.training:
            self.loc.lerp_(value.reshape(-1, 2).mean(0), 0.1)
        return super().log_prob(value)


class BatchStatistics(Flow):
    """The batch's own mean is subtracted."""

    def to_latent(self, x):
        z, log_det = super().to_latent(x)
        return z - z.mean(0), log_det


class OffByOneMask(Autoregressive):
    """An autoregressive mask is off by one: a conditional sees its own entry."""

    mask = (1.0, 1.0)


class UnnormalisedWeights(Autoregressive):
    """The weights of a mixture do not sum to one."""

    def log_weights(self, logits):
        return logits


class OtherLabel(Autoregressive):
    """Location and scale of a draw come from two labels."""

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()):
        x = super().sample(sample_shape)
        logits, locs, log_scales = self.conditional(x)
        draw = torch.distributions.Categorical(logits=logits, validate_args=False)
        loc = locs.gather(-1, draw.sample()[..., None])[..., 0]
        log_scale = log_scales.gather(-1, draw.sample()[..., None])[..., 0]
        x[..., 1] = loc + log_scale.exp() * torch.randn_like(loc)
        return x


class MarginalInsteadOfConditional(Autoregressive):
    """A conditional is drawn without what it depends on."""

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()):
        x = super().sample(sample_shape)
        x[..., 1] = super().sample(sample_shape)[..., 1]
        return x


class NarrowConditional(Autoregressive):
    """A conditional is drawn at 0.9 of its width."""

    def conditional(self, x):
        logits, locs, log_scales = super().conditional(x)
        return logits, locs, log_scales + math.log(self.width)

    width = 1.0

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()):
        self.width = 0.9
        x = super().sample(sample_shape)
        self.width = 1.0
        return x


class DetachedWeights(Autoregressive):
    """The weights of a mixture get no gradient."""

    def log_weights(self, logits):
        return super().log_weights(logits.detach())


class Float32Inside(Flow):
    """The terms of log q are rounded to float32."""

    def log_prob(self, value):
        z, log_det = self.to_latent(value.reshape(-1, 2))
        return (normal(z).float() + log_det.float()).double().reshape(value.shape[:-1])


class Float32Accumulator(Flow):
    """float64 terms are summed in a float32 tensor."""

    def log_prob(self, value):
        z, log_det = self.to_latent(value.reshape(-1, 2))
        total = torch.zeros(len(z), dtype=torch.float32, device=z.device)
        total += normal(z) + log_det
        return total.reshape(value.shape[:-1])


class InPlace(Flow):
    """log_prob edits its argument."""

    def log_prob(self, value):
        value -= self.loc
        return super().log_prob(value + self.loc)


class NotSummed(Flow):
    """log_prob is not summed over the event."""

    def log_prob(self, value):
        z, log_det = self.to_latent(value.reshape(-1, 2))
        return (-0.5 * (z.square() + LOG_2PI) + log_det[:, None] / 2).reshape(value.shape)


class OwnSeed(Flow):
    """Every call of sample starts its own generator anew."""

    def base(self, n):
        return torch.randn(n, 2, dtype=self.loc.dtype, generator=torch.Generator().manual_seed(0))


class OneLatentForAll(Flow):
    """All rows of a call share one latent."""

    def base(self, n):
        return super().base(1).expand(n, 2)


class Dropout(Flow):
    """Dropout is active in train mode."""

    def coupling(self, network, kept):
        return super().coupling(network, nn.functional.dropout(kept, 0.3, self.training))


class UnsavedPermutation(Flow):
    """A random permutation is not in the state_dict."""

    def __init__(self):
        super().__init__()
        self.flips = torch.rand(()) < 0.5

    def to_latent(self, x):
        return super().to_latent(x.flip(-1) if self.flips else x)

    def from_latent(self, z):
        x, log_det = super().from_latent(z)
        return (x.flip(-1) if self.flips else x), log_det


class UnboundedScale(Flow):
    """A coupling's scale has no bound: far points overflow."""

    def coupling(self, network, kept):
        shift, raw = super().coupling(network, kept)
        return shift, raw + kept


class WithGraph(Flow):
    """sample keeps its graph."""

    def sample(self, sample_shape=torch.Size()):
        return self.rsample_and_log_prob(sample_shape)[0]


class InverseStoppedEarly(Flow):
    """An iterative inverse stops too early."""

    def to_latent(self, x):
        z, log_det = super().to_latent(x)
        return z + 1e-2 * torch.sin(z), log_det


class WrongConstant(Flow):
    """Half of log 2 pi is counted twice."""

    def log_prob(self, value):
        return super().log_prob(value) + 0.5 * LOG_2PI


class WrongDevice(Autoregressive):
    """A constant is made on the CPU, wherever the model is."""

    def log_prob(self, value):
        log_q = super().log_prob(value)
        return log_q + torch.zeros(log_q.shape)


class WrongShape(Flow):
    """The one-pass log q is flat, whatever the sample shape."""

    def rsample_and_log_prob(self, sample_shape=torch.Size()):
        x, log_q = super().rsample_and_log_prob(sample_shape)
        return x, log_q.reshape(-1)


@dataclass(frozen=True)
class Defect:
    model: type
    check: str

    @property
    def name(self):
        return self.model.__name__

    @property
    def row(self):
        """Of the table in docs/how-to/testing.md."""
        return f"| {self.model.__doc__.rstrip('.')} | `{self.check}` |"


NOISE_DEFECTS = [
    Defect(WrongSign, "normalization"),
    Defect(MissingLogDet, "normalization"),
    Defect(LogDetOfTheBatch, "batch-independence"),
    Defect(ScalarLogDet, "log-det-is-one-number-a-row"),
    Defect(ForgottenStandardisation, "normalization"),
    Defect(ForgottenLogit, "normalization"),
    Defect(ForgottenDequantisation, "normalization"),
    Defect(Temperature, "draws-match-density"),
    Defect(TemperatureInOnePass, "one-pass-draws-match-density"),
    Defect(DetachedSample, "gradient-is-pathwise"),
    Defect(DetachedPoint, "gradient-is-pathwise"),
    Defect(StaleInverse, "sees-an-optimizer-step"),
    Defect(InitialisedBySampling, "refuses-before-initialization"),
    Defect(RunningStatistics, "use-changes-nothing"),
    Defect(BatchStatistics, "batch-independence"),
    Defect(OffByOneMask, "normalization"),
    Defect(UnnormalisedWeights, "normalization"),
    Defect(OtherLabel, "draws-match-density"),
    Defect(MarginalInsteadOfConditional, "probability-integral-transform"),
    Defect(NarrowConditional, "probability-integral-transform"),
    Defect(DetachedWeights, "gradient-of-log-prob"),
    Defect(Float32Inside, "float64"),
    Defect(Float32Accumulator, "float64"),
    Defect(InPlace, "input-is-untouched"),
    Defect(NotSummed, "shapes"),
    Defect(OwnSeed, "seeds"),
    Defect(OneLatentForAll, "seeds"),
    Defect(Dropout, "modes-agree"),
    Defect(UnsavedPermutation, "copies"),
    Defect(UnboundedScale, "finite"),
    Defect(WithGraph, "shapes"),
    Defect(InverseStoppedEarly, "one-pass-agrees-with-two"),
    Defect(WrongConstant, "normalization"),
    Defect(WrongDevice, "device"),
    Defect(WrongShape, "one-pass-agrees-with-two"),
]


class Energy(nn.Module):
    """A correct energy with a known log Z: an unnormalised Gaussian, plus a term that is 0 at first."""

    def __init__(self):
        super().__init__()
        self.loc, self.log_scale = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return -0.5 * ((x - self.loc) * (-self.log_scale).exp()).square().sum(-1)

    def log_partition(self):
        return self.log_scale.sum() + LOG_2PI


class ColumnEnergy(Energy):
    """f has shape (batch, 1)."""

    def forward(self, x):
        return super().forward(x)[:, None]


class BatchNormEnergy(Energy):
    """f sees the batch's mean."""

    def forward(self, x):
        return super().forward(x - x.mean(0))


class InPlaceEnergy(Energy):
    """f edits its argument."""

    def forward(self, x):
        x *= 1.5
        return super().forward(x)


class UnusedParameter(Energy):
    """A parameter has no effect on f."""

    def __init__(self):
        super().__init__()
        self.forgotten = nn.Parameter(torch.zeros(3))


class CutGraph(Energy):
    """A part of f is detached from x."""

    def forward(self, x):
        return super().forward(x) + x.detach().square().sum(-1)


class Float32Energy(Energy):
    """float64 points get a float32 f."""

    def forward(self, x):
        return -0.5 * ((x - self.loc) * (-self.log_scale).exp()).float().square().sum(-1)


class WrongLogPartition(Energy):
    """log Z is half of what it is."""

    def log_partition(self):
        return super().log_partition() / 2


class OverflowingEnergy(Energy):
    """f is inf - inf at points of moderate size."""

    def forward(self, x):
        return super().forward(x) + x.square().exp().sum(-1).log() - (x.square().exp().sum(-1) + 1).log()


ENERGY_DEFECTS = [
    Defect(ColumnEnergy, "shape"),
    Defect(BatchNormEnergy, "rows-are-scored-alone"),
    Defect(InPlaceEnergy, "rows-are-scored-alone"),
    Defect(UnusedParameter, "gradient"),
    Defect(CutGraph, "gradient"),
    Defect(Float32Energy, "shape"),
    Defect(WrongLogPartition, "log-partition"),
    Defect(OverflowingEnergy, "finite"),
]


class Layer(nn.Module):
    """A correct invertible layer: x = z exp(s) + t sin-warped, one number a coordinate."""

    def __init__(self):
        super().__init__()
        self.log_scale, self.shift = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3))

    def forward(self, z: Tensor):
        return z * self.log_scale.exp() + self.shift, self.log_scale.sum().expand(len(z))

    def inverse(self, x: Tensor):
        return (x - self.shift) * (-self.log_scale).exp(), -self.log_scale.sum().expand(len(x))


class LayerWithScalarLogDet(Layer):
    """The log-determinant is a 0-d tensor."""

    def forward(self, z):
        return super().forward(z)[0], self.log_scale.sum()


class LayerWithoutLogDet(Layer):
    """The log-determinants of both directions are zero."""

    def forward(self, z):
        return super().forward(z)[0], z.new_zeros(len(z))

    def inverse(self, x):
        return super().inverse(x)[0], x.new_zeros(len(x))


class LayerThatIsNoInverse(Layer):
    """The inverse shifts before it scales back."""

    def inverse(self, x):
        return x * (-self.log_scale).exp() - self.shift, super().inverse(x)[1]


class LayerThatCentres(Layer):
    """The batch's mean is taken off."""

    def forward(self, z):
        return super().forward(z - z.mean(0))


BIJECTION_DEFECTS = [
    Defect(LayerWithScalarLogDet, "log-det-is-one-number-a-row"),
    Defect(LayerWithoutLogDet, "jacobian"),
    Defect(LayerThatIsNoInverse, "round-trip"),
    Defect(LayerThatCentres, "rows-are-mapped-alone"),
]
