"""The roads: accept, route, execute, settle, tell."""
