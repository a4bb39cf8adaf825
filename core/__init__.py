"""Everything Tollgate decides about money; knows neither Flask nor Celery."""
