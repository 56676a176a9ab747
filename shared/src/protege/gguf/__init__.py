"""GGUF files: their header, the names of their tensors, and a copy with some tensors replaced."""
