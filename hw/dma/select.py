"""A multiplexer of many words that takes few LUTs."""

from __future__ import annotations

from amaranth import Module, Signal

__all__ = ["WordTree"]


class WordTree:
    """Selects one of ``count`` words by a code: a tree of multiplexers of four words.

    Each takes one LUT of six inputs a bit, a whole tree (count - 1) / 3 of them, rounded up. OR-ing
    masked words would take (2 count - 1) / 5.

    Attributes
    ----------
    codes : tuple of int
        The code of each word.
    code_bits : int
    root : list
        Up to four words, by number, or lists of such.
    """

    def __init__(self, count: int):
        nodes: list = list(range(count))
        while len(nodes) > 4:
            # Only as many as leaves the others full.
            inside = 4 if len(nodes) >= 7 else len(nodes) - 3
            nodes = [*nodes[inside:], nodes[:inside]]
        self.root = nodes
        found = dict(_codes(nodes))
        self.codes = tuple(found[word] for word in range(count))
        self.code_bits = max(2, 2 * -(-max(self.codes).bit_length() // 2))

    def select(self, m: Module, code: Signal, words: list) -> Signal:
        """The word whose code is ``code``."""
        return self._select(m, code, words, self.root)

    def _select(self, m: Module, code, words, node):
        if isinstance(node, int):
            return words[node]
        selected = Signal(len(words[0]), name="selected")
        below = [self._select(m, code[2:], words, each) for each in node]
        with m.Switch(code[:2]):
            for number, word in enumerate(below[:-1]):
                with m.Case(number):
                    m.d.comb += selected.eq(word)
            with m.Default():
                m.d.comb += selected.eq(below[-1])
        return selected


def _codes(node, code: int = 0, at: int = 0):
    """Each word below ``node`` with its code: two bits for each level, the root's lowest."""
    if isinstance(node, int):
        yield node, code
    else:
        for number, each in enumerate(node):
            yield from _codes(each, code | number << at, at + 2)
