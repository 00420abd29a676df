"""How people meet: codes that make two nodes contacts."""
