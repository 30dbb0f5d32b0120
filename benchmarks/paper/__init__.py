"""The figures and tables of Gao et al. (2020)."""
