"""What the DMA does, in plain Python on arrays of bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Copy"]


@dataclass(frozen=True)
class Copy:
    """A command, with what belongs to it: width of the SRAM's words, and bytes of a beat."""

    sram: int
    base: int
    words: int
    rows: int
    sram_row: int
    dram: int
    dram_row: int
    origin: int
    word_bytes: int
    beat_bytes: int

    @property
    def fields(self) -> dict[str, int]:
        """Fields of the command."""
        return {
            "sram": self.sram,
            "base": self.base,
            "words": self.words,
            "rows": self.rows,
            "sram_row": self.sram_row % (1 << 16),
            "dram": self.dram % (1 << 32),
            "dram_row": self.dram_row % (1 << 32),
        }

    @property
    def row_bytes(self) -> int:
        return self.words * self.word_bytes

    @property
    def beats(self) -> int:
        """Beats of all rows."""
        return self.rows * -(-self.row_bytes // self.beat_bytes)

    def row(self, number: int) -> tuple[int, int]:
        """First word in the SRAM, and byte in DRAM, of a row."""
        relative = (self.dram + number * self.dram_row) % (1 << 32)
        return self.base + number * self.sram_row, self.origin + relative

    def read(self, dram: np.ndarray, sram: np.ndarray, limit: int = 1 << 40) -> bool:
        """From DRAM into the SRAM (words x bytes); True if a beat reaches ``limit``, and stops."""
        for number in range(self.rows):
            first, address = self.row(number)
            # Beats are whole, also where a row ends within one.
            fit = max(0, limit - address) // self.beat_bytes * self.beat_bytes
            words = min(self.words, fit // self.word_bytes)
            where = (address + np.arange(words * self.word_bytes)) % len(dram)
            sram[first : first + words] = dram[where].reshape(words, self.word_bytes)
            if fit < self.row_bytes:
                return True
        return False

    def write(self, sram: np.ndarray, dram: np.ndarray) -> None:
        """From the SRAM into DRAM."""
        for number in range(self.rows):
            first, address = self.row(number)
            where = (address + np.arange(self.row_bytes)) % len(dram)
            dram[where] = sram[first : first + self.words].reshape(-1)
