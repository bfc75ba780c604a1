"""Random programs, judged before they run and then run: the two must agree."""
