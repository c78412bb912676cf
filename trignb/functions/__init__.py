"""Libraries, what they register, and the commands that load and call them."""
