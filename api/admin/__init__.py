"""The Admin API: one module a noun, opened by a `tg_admin_` key alone."""
