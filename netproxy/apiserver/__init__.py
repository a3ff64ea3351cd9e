"""The Kubernetes API as a pure function of request and store: paths, verbs, tables, errors as Status."""
