"""The flow of the paper on one GPU."""
