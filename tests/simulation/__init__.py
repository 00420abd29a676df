"""Whole nodes under a virtual clock, a server that lies and a participant that lies, all of it from one seed."""
