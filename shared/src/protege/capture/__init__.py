"""A call inside the agent, from its first word to its last: what every adapter stands on."""
