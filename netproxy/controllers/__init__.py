"""Controllers: each one `reconcile(view, key) -> list[Change]`, a pure function of what the store holds."""
