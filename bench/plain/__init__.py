"""The plain way: payments as a good engineer writes them in an afternoon with Flask, SQLAlchemy and Celery."""
