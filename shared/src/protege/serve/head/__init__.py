"""Heads, answering in the process that asks."""
