"""What sealing and verifying the audit log costs as it grows."""
