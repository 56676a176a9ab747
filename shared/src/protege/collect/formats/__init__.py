"""The forms of files with recorded calls, one module each: from a line or a document to the records of calls.

calls: our own. openai: chat fine-tuning files. otlp, otlp_messages: OpenTelemetry GenAI spans.
"""
