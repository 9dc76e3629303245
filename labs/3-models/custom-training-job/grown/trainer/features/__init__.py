"""Features of the grown trainer."""
