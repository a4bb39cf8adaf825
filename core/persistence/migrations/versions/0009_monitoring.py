"""When each entry of the schedule last ran, and the figures that monitoring asks for, told of nobody by name."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"

_RUNS = """
-- A row an entry, written with each run that came to its end; `beat_at` is of the last one that beat asked for.
CREATE TABLE schedule_runs (
    name text PRIMARY KEY,
    every double precision NOT NULL,
    ran_at timestamptz NOT NULL DEFAULT app_now(),
    beat_at timestamptz
) WITH (fillfactor = 40);
GRANT SELECT, INSERT, UPDATE ON schedule_runs TO tollgate_worker_rights;
"""

#: Each part reads an index that holds open rows alone, or a table of a few rows: it costs the same at any age.
FIGURES = """
    SELECT f.name, jsonb_build_object('lane', j.lane) || f.labels, f.value FROM (
        SELECT lane, count(*) AS n, extract(epoch FROM (SELECT app_now()) - min(run_after)) AS oldest
          FROM jobs WHERE status = 'queued' AND run_after <= (SELECT app_now()) GROUP BY lane) j,
        LATERAL (VALUES ('jobs', '{"state": "due"}'::jsonb, j.n::float8),
                        ('oldest_due', '{}', j.oldest)) f (name, labels, value)
    UNION ALL
    SELECT 'jobs', jsonb_build_object('lane', lane, 'state', 'waiting'), count(*)
      FROM jobs WHERE status = 'queued' AND run_after > (SELECT app_now()) GROUP BY lane
    UNION ALL
    SELECT 'jobs', jsonb_build_object('lane', lane, 'state', 'running'), count(*)
      FROM jobs WHERE status = 'running' GROUP BY lane
    UNION ALL
    SELECT f.name, jsonb_build_object('lane', j.lane) || f.labels, f.value FROM (
        SELECT lane, count(*) AS n, extract(epoch FROM (SELECT app_now()) - min(created_at)) AS oldest
          FROM jobs WHERE status = 'needs_review' GROUP BY lane) j,
        LATERAL (VALUES ('jobs', '{"state": "needs_review"}'::jsonb, j.n::float8),
                        ('oldest_review', '{}', j.oldest)) f (name, labels, value)
    UNION ALL
    SELECT f.name, jsonb_build_object('provider', t.provider), f.value FROM (
        SELECT provider, count(*) AS n, extract(epoch FROM (SELECT app_now()) - min(first_sent_at)) AS oldest
          FROM transactions WHERE status IN ('sent', 'unknown') AND status = 'unknown' GROUP BY provider) t,
        LATERAL (VALUES ('unknown_outcomes', t.n::float8), ('oldest_unknown', t.oldest)) f (name, value)
    UNION ALL
    SELECT 'findings', jsonb_build_object('kind', kind, 'severity', severity), count(*)
      FROM findings WHERE status = 'open' GROUP BY kind, severity
    UNION ALL
    SELECT f.name, jsonb_build_object('status', i.status), f.value FROM (
        SELECT status, count(*) AS n, extract(epoch FROM (SELECT app_now()) - min(received_at)) AS oldest
          FROM inbox_events WHERE status IN ('received', 'parked') GROUP BY status) i,
        LATERAL (VALUES ('inbox_events', i.n::float8), ('oldest_inbox', i.oldest)) f (name, value)
    UNION ALL
    SELECT f.name, jsonb_build_object('schedule', s.name), f.value FROM schedule_runs s,
        LATERAL (VALUES ('schedule_age', extract(epoch FROM (SELECT app_now()) - s.ran_at)::float8),
                        ('schedule_interval', s.every)) f (name, value)
    UNION ALL
    SELECT 'beat_age', '{}', extract(epoch FROM (SELECT app_now()) - max(beat_at))
      FROM schedule_runs HAVING max(beat_at) IS NOT NULL
    UNION ALL
    SELECT 'provider_accounts', jsonb_build_object('provider', provider, 'mode', mode, 'status', status), count(*)
      FROM provider_accounts GROUP BY provider, mode, status
    UNION ALL
    SELECT 'paused', '{}', CASE WHEN paused_at IS NULL THEN 0 ELSE 1 END FROM installation
    UNION ALL
    SELECT 'months_ahead', jsonb_build_object('table', p.parent), count(c.oid)
      FROM (VALUES ('bodies'), ('events'), ('deliveries'), ('audit_log')) p (parent)
      LEFT JOIN pg_inherits i ON i.inhparent = to_regclass(p.parent)
      LEFT JOIN pg_class c ON c.oid = i.inhrelid
       AND c.relname > p.parent || to_char((SELECT app_now()) AT TIME ZONE 'UTC', '_YYYY_MM')
     GROUP BY p.parent
    UNION ALL
    SELECT 'database_time', '{}', extract(epoch FROM clock_timestamp())
"""

_FUNCTION = f"""
-- How much waits and for how long, over all merchants, by lane, provider and kind; it names nobody.
CREATE FUNCTION monitoring_figures() RETURNS TABLE (name text, labels jsonb, value double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
{FIGURES}$$;
REVOKE ALL ON FUNCTION monitoring_figures() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring_figures() TO tollgate_api_rights, tollgate_worker_rights;
"""


def upgrade() -> None:
    op.execute(_RUNS)
    op.execute(_FUNCTION)


def downgrade() -> None:
    op.execute("DROP FUNCTION monitoring_figures()")
    op.execute("DROP TABLE schedule_runs")
