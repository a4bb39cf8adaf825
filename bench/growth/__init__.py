"""What a call costs with ten thousand, a million and five million payments in the tables."""
