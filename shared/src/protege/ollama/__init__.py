"""A client for Ollama's HTTP API: what its answers hold, and what its failures mean."""
