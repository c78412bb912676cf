"""How fast the engine is: `make bench` runs `bench.py`."""
