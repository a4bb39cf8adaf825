"""Named reads and writes by road; each runs in the caller's transaction."""
