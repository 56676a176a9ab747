"""Teachers that answer from a script, for tests and demonstrations."""
