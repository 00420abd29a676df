"""The command line: parse, call the node, render."""
