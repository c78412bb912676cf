"""The keyspace and everything that happens to it under one lock."""
