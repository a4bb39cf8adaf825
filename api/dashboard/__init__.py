"""The dashboard: pages for people, made on the server; `frame.py` is what a new page stands on."""
