"""Our books against the providers': what is open, what was missed, what differs, and what a person does about it."""
