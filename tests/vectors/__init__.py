"""Golden vectors of PROTOCOL.md: each file a subject, made by ``make vectors`` from fixed seeds and nothing else."""
