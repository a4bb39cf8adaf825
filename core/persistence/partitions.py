"""How far ahead the partitions of the tables that are cut by month stand ready."""

from __future__ import annotations

#: Months, for the migration and the schedule alike. A schedule that stands still is noticed long before they run out,
#: and every plan over such a table holds all of them, so that more would cost each request.
MONTHS_AHEAD = 6
