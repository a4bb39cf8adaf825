"""`tollgate api`: every operation of the OpenAPI document as a command that asks a running service over HTTP."""
