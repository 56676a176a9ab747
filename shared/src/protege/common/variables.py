"""Names of environment variables that more than one room reads."""

VLLM = "PROTEGE_VLLM"
"""The URL of a vLLM server."""
