"""Data: 2-D densities with exact log_prob, tables, and the sources that training draws batches from."""
