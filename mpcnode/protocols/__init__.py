"""Sans-I/O protocols: messages in, messages out."""
