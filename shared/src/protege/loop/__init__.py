"""The loop's steps, each with its result kept in the workspace under the hash of what it was made from."""
