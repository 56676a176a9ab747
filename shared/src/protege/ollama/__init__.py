"""Ollama: a client for Ollama's HTTP API, and what its answers and failures mean.

Takes a server's address (OLLAMA_HOST, else loopback).
Gives `Ollama`, whose methods ask models and manage them, and `Reply`.
Never quotes a call in an error, and never loads httpx before the first request.
"""
