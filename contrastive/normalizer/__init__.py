"""How far to trust c: estimates of log Z with error bars and a verdict."""
