"""From a network to programs of the chip, and to what runs them."""
