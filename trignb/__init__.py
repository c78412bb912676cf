"""A notebook for Redis's triggers and functions."""
