"""`python -m contrastive`: the command line where the script is not on the path."""

import os
import sys

if __name__ == "__main__":
    # Python has put the working directory first: a file such as yaml.py beside somebody's run would be imported.
    if not sys.flags.safe_path and os.path.realpath(sys.path[0]) == os.path.realpath(os.curdir):
        del sys.path[0]

    from contrastive.cli.main import main

    sys.exit(main())
