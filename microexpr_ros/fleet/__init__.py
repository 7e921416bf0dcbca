"""Any number of recordings, analyzed by many workers, from and into any store (an extra)."""
