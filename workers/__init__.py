"""Celery: carries the jobs out and runs the schedule. Redis is its broker and holds nothing that may not be lost."""
