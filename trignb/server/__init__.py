"""The engine on a port: connections, their buffers, and the loop that serves them."""
