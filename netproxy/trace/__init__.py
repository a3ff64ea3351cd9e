"""The packet walk: a Flow through a Ruleset. Room kept for the tracer."""
