"""The model, the estimator behind NCE, fixed-flow NCE and FCE, and what one batch of data and noise gives."""
