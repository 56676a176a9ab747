"""The gateway: an HTTP server in front of a teacher, for agents whose code cannot be changed.

Takes requests in the dialects of OpenAI, Azure OpenAI, Anthropic, Gemini and Ollama; gives what the upstream answers,
byte for byte, or a specialist's answer in the same dialect. It records calls and asks routes as every adapter does
(`capture`), and has no rules of its own about who answers. Never changes a request or an answer that passes through,
never retries, never follows a redirect, and never forwards to an address that its settings do not name.

    settings     what is served, from where
    address      which front a path belongs to, and what its prefixes name
    connection   a client's connection, bounded before there is a request
    guard        who may ask
    proxy        one request, from its first byte to its record
    upstream     the connections to the teachers
    places       agent, node and run of a call
    media        images and files in a request, stored once
    running      the server
"""
