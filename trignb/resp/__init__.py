"""The wire: requests from bytes, replies to bytes. Knows nothing of keys or clients."""
