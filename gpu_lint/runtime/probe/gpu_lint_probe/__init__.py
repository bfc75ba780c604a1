"""What runs inside of the programs that are traced: standard library only, Python 3.8 or newer."""
