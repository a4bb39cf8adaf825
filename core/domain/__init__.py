"""Plain Python: the words, tables and values every other room speaks in."""
