"""Statistics: exact intervals, and tests that may be looked at after every observation. Plain functions on numbers."""
