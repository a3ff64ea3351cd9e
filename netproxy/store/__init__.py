"""The objects of one cluster: by resource and key, with versions, conflicts and history; SQLite behind memory."""
