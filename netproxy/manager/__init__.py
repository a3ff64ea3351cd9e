"""Runs controllers on a client: which keys are due, back-off, and what to do with their changes."""
