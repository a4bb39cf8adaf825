"""The append-only log: one row for every change, written in the commit of the change."""
