"""The tour of `tollgate demo`: real payments through the local providers, checked against their ledgers."""
