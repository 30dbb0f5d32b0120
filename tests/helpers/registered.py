"""How each registered noise and energy is made small enough to check."""

SHAPES = [(2,), (1,), (3,), (2, 2), (1, 2, 3), (3, 2, 2)]
#: Shapes of names that need larger events.
LARGER = {name: [(1, 12, 12)] for name in ("conv-small", "conv-large")}
#: Options that a name cannot be made without.
REQUIRED = {
    "distribution": {"path": "torch.distributions.Laplace", "loc": 0.5, "scale": 2.0},
    "stack": {
        "parts": [{"name": "gaussian"}, {"name": "kde", "max_rows": 200}, {"name": "made", "width": 8}],
        "weights": [1.0, 2.0, 1.0],
    },
}
#: Options that make a name quick to check; a name without them is checked as it stands.
SMALL = {
    "kde": {"max_rows": 200},
    "maf": {"transforms": 2, "width": 16},
    "iaf": {"transforms": 2, "width": 16},
    "nsf": {"transforms": 1, "bins": 4, "width": 16},
    "conv": {"widths": (8,)},
    "conv-small": {"widths": (4, 6)},
    "conv-large": {"widths": (4, 6, 6, 5, 4)},
    "zuko/maf": {"transforms": 2, "hidden_features": [16]},
    "zuko/nsf": {"transforms": 1, "bins": 4, "hidden_features": [16]},
    "zuko/bpf": {"degree": 6, "hidden_features": [16]},
    "zuko/sospf": {"degree": 2, "polynomials": 2, "hidden_features": [16]},
    "zuko/naf": {"signal": 2, "network": {"hidden_features": [8]}, "hidden_features": [8]},
}


def options_of(name):
    """The options with which tests make `name`."""
    return REQUIRED.get(name, {}) | SMALL.get(name, {})
