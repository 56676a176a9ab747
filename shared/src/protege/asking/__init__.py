"""One question to a specialist, and how sure it is of its answer. Evaluation and the live route both ask here."""
