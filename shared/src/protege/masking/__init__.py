"""Secrets are masked before a call is written: in the agent's process, within microseconds."""
