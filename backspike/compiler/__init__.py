"""From a network to programs of the chip."""
