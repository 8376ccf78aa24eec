"""Pre-trained weights by name: what there is (catalog), where it lies (locate), how it comes here (fetch)."""
