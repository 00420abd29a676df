"""Who a node is and whom it knows."""
