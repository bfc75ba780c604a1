"""``python -m gpu_lint``."""

import os
import sys

if __name__ == "__main__":
    # Python puts the current directory first, where the code may be that is not to be run.
    _home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        _here = os.getcwd()
    except FileNotFoundError:
        _here = ""
    if sys.path[:1] == [_here] != [_home]:
        del sys.path[0]
    from gpu_lint.cli import main

    main(prog_name="gpu-lint")
