"""What may be compared with what: splits and metrics."""
