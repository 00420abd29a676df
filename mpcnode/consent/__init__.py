"""Whether this node takes part: its user, its options, the policies of its wallets, limits, and the journal."""
