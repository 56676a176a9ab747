"""Processes that run for long: the loop as a service, the engine for a workspace's agents, figures for Prometheus."""
