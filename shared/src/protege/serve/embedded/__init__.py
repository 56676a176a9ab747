"""The engine that Protégé brings along: llama.cpp's server in child processes, one set a workspace."""
