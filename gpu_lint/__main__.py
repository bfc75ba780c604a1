"""``python -m gpu_lint``."""

from gpu_lint.cli import main

if __name__ == "__main__":
    main(prog_name="gpu-lint")
