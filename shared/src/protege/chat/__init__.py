"""Chat as text and back: prompts for a base, its answers, OpenAI's form, streams, and a teacher behind a server."""
