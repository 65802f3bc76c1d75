"""NOC_DATA and NOC_CTRL."""
