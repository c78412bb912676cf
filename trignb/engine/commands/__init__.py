"""One module per command group; each opens with its table of contents."""
