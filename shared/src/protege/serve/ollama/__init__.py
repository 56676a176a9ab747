"""Specialists that an Ollama serves: brought there, asked there, checked there."""
