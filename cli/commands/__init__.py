"""One module a command of `tollgate`."""
