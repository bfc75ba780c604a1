"""gpu-lint: which GPU a Python program will really use, told before it runs."""

__version__ = "0.2.0"
