"""I8: no merchant sees another's rows: walls on every table, nobody passes them, no row stands on two sides."""

from __future__ import annotations

from core.invariants.violation import Check

API, WORKER = "tollgate_api_rights", "tollgate_worker_rights"

#: (table, column, parent): a row has the merchant and mode of what it belongs to.
FAMILY = (
    ("payments", "customer_id", "customers"),
    ("payments", "provider_account_id", "provider_accounts"),
    ("transactions", "payment_id", "payments"),
    ("transactions", "provider_account_id", "provider_accounts"),
    ("refunds", "payment_id", "payments"),
    ("disputes", "payment_id", "payments"),
    ("payment_methods", "customer_id", "customers"),
    ("provider_customers", "customer_id", "customers"),
    ("jobs", "payment_id", "payments"),
    ("idempotency_keys", "payment_id", "payments"),
    ("inbox_events", "provider_account_id", "provider_accounts"),
    ("inbox_events", "payment_id", "payments"),
    ("events", "payment_id", "payments"),
    ("deliveries", "payment_id", "payments"),
    ("deliveries", "endpoint_id", "webhook_endpoints"),
    ("findings", "payment_id", "payments"),
    ("audit_log", "payment_id", "payments"),
)
_UNNUMBERED = {"idempotency_keys": "k.created_at >= :since_time", "provider_customers": "true"}


def _astray(table: str, column: str, parent: str) -> str:
    since = _UNNUMBERED.get(table, "k.id >= :since")
    return (
        f"SELECT '{table}' AS child, '{parent}' AS parent, k.{column} AS parent_id, k.merchant_id, k.mode "
        f"FROM {table} k JOIN {parent} q ON q.id = k.{column} "
        f"WHERE {since} AND (k.merchant_id, k.mode) IS DISTINCT FROM (q.merchant_id, q.mode)"
    )


#: Tables with a merchant on each row; partitions are reached through their parents alone.
WALLED = (
    "SELECT c.oid, c.relname, c.relowner, c.relrowsecurity FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'merchant_id' AND NOT a.attisdropped "
    "WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
)
_REFUSE = "stop the api and the workers until it is mended: `tollgate migrate` sets the walls up"

CHECKS = (
    Check(
        "I8",
        "wall_missing",
        "a table with merchants' rows has row-level security switched off",
        _REFUSE,
        f"SELECT relname AS table_name FROM ({WALLED}) w WHERE NOT relrowsecurity",
    ),
    Check(
        "I8",
        "policy_missing",
        "a role has no policy on a table with merchants' rows, or one that does not ask for the merchant",
        _REFUSE,
        f"SELECT w.relname AS table_name, r.rolname AS role FROM ({WALLED}) w "
        f"JOIN pg_roles r ON r.rolname IN ('{API}', '{WORKER}') "
        "WHERE NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = w.oid AND r.oid = ANY(p.polroles)) "
        "OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = w.oid AND (r.oid = ANY(p.polroles) "
        "OR 0 = ANY(p.polroles)) AND p.polpermissive AND coalesce(pg_get_expr(p.polqual, p.polrelid), '') "
        "NOT LIKE '%tollgate.merchant_id%')",
    ),
    Check(
        "I8",
        "wall_passed",
        "a login of the api or the workers is not bound by row-level security",
        "give DATABASE_URL and WORKER_DATABASE_URL logins of their own, neither superuser nor owner of the tables",
        f"SELECT DISTINCT l.rolname AS login FROM pg_roles l JOIN pg_auth_members g ON g.member = l.oid "
        f"JOIN pg_roles r ON r.oid = g.roleid AND r.rolname IN ('{API}', '{WORKER}') "
        f"JOIN ({WALLED}) w ON true WHERE pg_has_role(l.oid, r.oid, 'USAGE') "
        "AND (l.rolsuper OR l.rolbypassrls OR pg_has_role(l.oid, w.relowner, 'USAGE'))",
    ),
    Check(
        "I8",
        "partition_open",
        "a role may reach a partition directly, past the wall of its table",
        "revoke that right: REVOKE ALL ON the partition FROM the role",
        "SELECT c.relname AS table_name, r.rolname AS role FROM pg_class c "
        f"JOIN pg_roles r ON r.rolname IN ('{API}', '{WORKER}') WHERE c.relispartition AND c.relkind = 'r' "
        "AND c.relnamespace = 'public'::regnamespace AND NOT c.relrowsecurity "
        "AND has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE')",
    ),
    Check(
        "I8",
        "row_astray",
        "a row has another merchant or mode than what it belongs to",
        "report it at once: one merchant may see another's row",
        " UNION ALL ".join(_astray(*edge) for edge in FAMILY),
    ),
)
