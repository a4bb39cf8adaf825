"""Speed and memory, measured as ratios or on one core; never asserted in a test."""
