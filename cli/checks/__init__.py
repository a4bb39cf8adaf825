"""What `tollgate doctor` looks at: one module a subject, each a function from the situation to findings."""
