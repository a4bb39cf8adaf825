"""The shapes of requests and answers: strict, bounded, closed to unknown fields."""
