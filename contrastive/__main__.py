"""`python -m contrastive`: the command line where the script is not on the path."""

import sys

from contrastive.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
