"""DMA_RD and DMA_WR."""
