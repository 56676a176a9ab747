"""Whether two programs do the same: by running the tests that a request holds, in a sandbox."""
