"""Kubernetes objects: JSON as it came, small frozen views of it, defaults, validation, YAML."""
