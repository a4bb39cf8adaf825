"""Months come and go, and old rows go, without a lock that stops traffic; what may go is decided by the owner."""

from __future__ import annotations

from importlib import import_module

from alembic import op

revision = "0006"
down_revision = "0005"

_TABLES = """
-- Months that were taken off their table. Those of the audit log are kept for whoever runs this to archive.
CREATE TABLE detached_partitions (
    name text PRIMARY KEY,
    parent text NOT NULL,
    detached_at timestamptz NOT NULL DEFAULT app_now(),
    dropped_at timestamptz
);
-- How far the walk through a table has come, so that no row that is kept is read again and again.
CREATE TABLE retention_progress (
    subject text PRIMARY KEY,
    walked_to uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);
INSERT INTO retention_progress (subject) VALUES ('jobs');
"""

_ENSURE = """
-- Makes the monthly partitions from last month to `months_ahead` from now; safe to call at any time. A partition is
-- made beside its parent and attached, which waits for no reader or writer; made as a part of it, it would.
CREATE OR REPLACE FUNCTION ensure_partitions(months_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    parent text;
    month date;
    partition text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('tollgate.ensure_partitions'));
    FOREACH parent IN ARRAY ARRAY['bodies', 'events', 'deliveries', 'audit_log'] LOOP
        FOR step IN -1..months_ahead LOOP
            month := date_trunc('month', app_now() AT TIME ZONE 'UTC')::date + make_interval(months => step);
            partition := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
            IF to_regclass(partition) IS NULL THEN
                EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition, parent);
                EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, partition,
                               month::timestamp AT TIME ZONE 'UTC',
                               (month + interval '1 month') AT TIME ZONE 'UTC');
                made := made + 1;
            END IF;
            -- Postgres hands row triggers down to partitions, but not this one; a partition kept through a
            -- downgrade has lost it.
            IF parent = 'audit_log' AND NOT EXISTS (
                SELECT FROM pg_trigger t
                 WHERE t.tgrelid = to_regclass(partition) AND t.tgname = partition || '_no_truncate') THEN
                EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT '
                               'EXECUTE FUNCTION refuse_change()', partition || '_no_truncate', partition);
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
"""

_MONTHS = """
-- Is anything older than `until` still on its way? An event to be delivered, a webhook to be read.
CREATE FUNCTION month_is_needed(parent text, until timestamptz) RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT CASE parent
        -- One status at a time: each has an index of its own, and this is asked while others wait.
        WHEN 'events' THEN EXISTS (
            SELECT FROM jobs WHERE lane = 'deliveries' AND status = 'queued'
               AND (arguments ->> 'event_created_at')::timestamptz < until)
          OR EXISTS (SELECT FROM jobs WHERE status = 'running' AND lane = 'deliveries'
               AND (arguments ->> 'event_created_at')::timestamptz < until)
          OR EXISTS (SELECT FROM jobs WHERE status = 'needs_review' AND lane = 'deliveries'
               AND (arguments ->> 'event_created_at')::timestamptz < until)
        WHEN 'bodies' THEN EXISTS (
            SELECT FROM inbox_events WHERE status IN ('received', 'parked') AND received_at < until + interval '1 day')
        ELSE false END
$$;

-- Takes the oldest month off `parent` if it ended `months` ago and nobody needs it; its name, or NULL. Whoever reads
-- or writes the table is waited for 200 ms, and those behind us wait no longer than that: then it ends with 55P03.
CREATE FUNCTION detach_oldest_partition(parent text, months integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    fewest CONSTANT integer := CASE parent WHEN 'bodies' THEN 7 WHEN 'events' THEN 7 WHEN 'deliveries' THEN 4
                                           WHEN 'audit_log' THEN 13 END;
    oldest text;
    until timestamptz;
BEGIN
    IF fewest IS NULL OR months < fewest THEN
        RAISE EXCEPTION '% is kept % months at least', parent, coalesce(fewest::text, 'all')
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT c.relname INTO oldest FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = to_regclass(parent) AND c.relname ~ '_[0-9]{4}_[0-9]{2}$' ORDER BY c.relname LIMIT 1;
    until := (to_date(right(oldest, 7), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC';
    IF oldest IS NULL OR until > app_now() - make_interval(months => months) OR month_is_needed(parent, until) THEN
        RETURN NULL;
    END IF;
    EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', parent);
    -- Asked again: whoever read an old event to deliver it anew has committed by now, and nobody can read it meanwhile.
    IF month_is_needed(parent, until) THEN
        RETURN NULL;
    END IF;
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, oldest);
    IF parent = 'audit_log' THEN  -- what was handed down goes with the detaching; the month stays append-only
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()',
                       oldest || '_append_only', oldest);
    END IF;
    INSERT INTO detached_partitions (name, parent) VALUES (oldest, detach_oldest_partition.parent)
        ON CONFLICT (name) DO UPDATE SET detached_at = app_now(), dropped_at = NULL;
    RETURN oldest;
END $$;

-- Drops one month that was detached `days` ago; its name, or NULL. None of the audit log, none attached again.
CREATE FUNCTION drop_detached_partition(days integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    found_name text;
BEGIN
    IF days < 7 THEN
        RAISE EXCEPTION 'a detached month is kept 7 days at least' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT d.name INTO found_name FROM detached_partitions d
     WHERE d.parent IN ('bodies', 'events', 'deliveries') AND d.dropped_at IS NULL
       AND d.detached_at < app_now() - make_interval(days => days)
       AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = to_regclass(d.name) AND c.relispartition)
     ORDER BY d.detached_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF found_name IS NOT NULL THEN
        EXECUTE format('DROP TABLE IF EXISTS %I', found_name);
        UPDATE detached_partitions SET dropped_at = app_now() WHERE name = found_name;
    END IF;
    RETURN found_name;
END $$;
"""

_ROWS = """
-- Walks the next `most` jobs made more than `days` ago and deletes those that no idempotency key can point to: a job
-- that a caller asked for is kept, since its key is kept and a repeat is led to it.
CREATE FUNCTION delete_ended_jobs(days integer, most integer) RETURNS TABLE (walked integer, gone integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    old CONSTANT timestamptz := app_now() - make_interval(days => days);
    -- Ids begin with the milliseconds of their making, so the table is walked along its key.
    edge CONSTANT uuid := (lpad(to_hex((extract(epoch FROM old) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
    begun_at uuid;
    reached uuid;
BEGIN
    IF days < 30 THEN
        RAISE EXCEPTION 'an ended job is kept 30 days at least' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT p.walked_to INTO begun_at FROM retention_progress p WHERE p.subject = 'jobs' FOR UPDATE SKIP LOCKED;
    WITH passed AS MATERIALIZED (
        SELECT j.id FROM jobs j WHERE j.id > begun_at AND j.id < edge ORDER BY j.id LIMIT most),
    deleted AS (
        DELETE FROM jobs j USING passed WHERE j.id = passed.id
           AND j.status IN ('succeeded', 'failed', 'canceled') AND j.finished_at < old
           AND (j.kind IN ('process_webhook', 'sync_dispute', 'push_customer', 'expire_payment')
                OR (j.kind = 'deliver_event' AND NOT j.arguments ? 'actor'
                    -- Those that were asked for before this revision do not say so, but came after their event.
                    AND j.created_at < (j.arguments ->> 'event_created_at')::timestamptz + interval '1 minute'))
        RETURNING j.id)
    SELECT (SELECT count(*) FROM passed), (SELECT count(*) FROM deleted),
           (SELECT p.id FROM passed p ORDER BY p.id DESC LIMIT 1) INTO walked, gone, reached;
    UPDATE retention_progress SET walked_to = reached WHERE subject = 'jobs' AND reached IS NOT NULL;
    RETURN NEXT;
END $$;

CREATE FUNCTION delete_resolved_findings(days integer, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone integer;
BEGIN
    IF days < 180 THEN
        RAISE EXCEPTION 'a resolved finding is kept 180 days at least' USING ERRCODE = 'insufficient_privilege';
    END IF;
    DELETE FROM findings WHERE id IN (
        SELECT f.id FROM findings f WHERE f.status = 'resolved'
           AND f.resolved_at < app_now() - make_interval(days => days) ORDER BY f.id LIMIT most);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

CREATE FUNCTION delete_forged_counts(days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone integer;
BEGIN
    IF days < 90 THEN
        RAISE EXCEPTION 'a count of forged webhooks is kept 90 days at least' USING ERRCODE = 'insufficient_privilege';
    END IF;
    DELETE FROM forged_webhooks WHERE day < app_now()::date - days;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
"""

#: The worker calls them; `month_is_needed` is called by the owner's functions alone.
_CALLED = (
    "detach_oldest_partition(text, integer)",
    "drop_detached_partition(integer)",
    "delete_ended_jobs(integer, integer)",
    "delete_resolved_findings(integer, integer)",
    "delete_forged_counts(integer)",
)
_INNER = "month_is_needed(text, timestamptz)"


def upgrade() -> None:
    for statements in (_TABLES, _ENSURE, _MONTHS, _ROWS):
        op.execute(statements)
    op.execute(f"REVOKE ALL ON FUNCTION {', '.join((*_CALLED, _INNER))} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {', '.join(_CALLED)} TO tollgate_worker_rights")


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {', '.join((*_CALLED, _INNER))}")
    op.execute("DROP TABLE retention_progress, detached_partitions")
    op.execute("DROP FUNCTION ensure_partitions(integer)")
    walls = import_module("core.persistence.migrations.versions.0002_walls")
    op.execute(walls._PARTITIONS)
    op.execute("GRANT EXECUTE ON FUNCTION ensure_partitions(integer) TO tollgate_worker_rights")
