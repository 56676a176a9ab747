"""Whether two programs do the same: by their syntax trees, or by tests that run in a sandbox."""
