"""The database behind a workspace: its tables, and what is read from and written to them."""
