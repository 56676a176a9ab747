"""The files that recorded calls come in, a module each: from a line or a document to a call's record."""
