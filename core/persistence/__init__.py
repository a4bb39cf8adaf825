"""Postgres: tables, queries by road, migrations, and the vault that seals what is secret."""
