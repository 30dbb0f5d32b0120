"""What a fitted energy tells beside its density: standard errors of its parameters, activations of its layers."""
