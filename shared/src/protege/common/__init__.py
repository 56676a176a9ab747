"""What every room shares. It imports no other room.

files: the home folder, and files written whole. digest: the SHA-256 of files. hashing: the name of a result.
logs: warnings that are logged once. prices: what tokens cost. progress: bars. tracing: OpenTelemetry spans.
"""
