"""The objects of one cluster: by key and version, with conflicts, watches, allocation; SQLite behind memory."""
