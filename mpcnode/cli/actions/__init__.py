"""What each verb does: parse, call the node, print."""
