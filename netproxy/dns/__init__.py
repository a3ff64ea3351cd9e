"""Cluster DNS as pure functions: objects → zone, question → answer, bytes ↔ message."""
