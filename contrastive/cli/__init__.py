"""The command line: `contrastive fit | evaluate | sample | plot | list | init-config`."""
