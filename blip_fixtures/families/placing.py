"""A model across several cards: which of its modules lies on which card. Blocks are kept whole.

A block hands its result to the next, so that blocks which follow one another lie side by side: each card has a stretch
of them, as long as its share of the memory. Modules that share a tensor lie on one card.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence


@dataclass(frozen=True)
class Piece:
    """What is not taken apart: the path of a module or of a single tensor, and the bytes that no earlier one has.

    `follows` is the path of the earlier piece that has a tensor of it, which then decides where it lies.
    """

    path: str
    nbytes: int
    follows: str | None = None


def pieces_of(model: Any, lists: Collection[str]) -> list[Piece]:
    """All of `model`, in the order in which its modules are declared; `lists` are the paths of its lists of blocks."""
    owners: dict[int, str] = {}
    pieces: list[Piece] = []
    for path, tensors in _parts(model, "", lists):
        new = {id(tensor): tensor for tensor in tensors if id(tensor) not in owners}
        follows = next((owners[id(tensor)] for tensor in tensors if id(tensor) in owners), None)
        owners |= dict.fromkeys(new, path)
        pieces.append(Piece(path, sum(tensor.nbytes for tensor in new.values()), follows))
    return pieces


def _parts(module: Any, path: str, lists: Collection[str]) -> Iterator[tuple[str, list[Any]]]:
    """Paths with their tensors: modules that hold no list of blocks, blocks, and the tensors between them."""
    before = f"{path}." if path else ""
    for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
        yield before + name, [tensor]
    for name, child in module.named_children():
        below = before + name
        if any(each == below or each.startswith(f"{below}.") for each in lists):
            yield from _parts(child, below, lists)
        elif tensors := [*child.parameters(), *child.buffers()]:
            yield below, tensors


def spread(pieces: Sequence[Piece], shares: Sequence[float]) -> dict[str, int]:
    """Path -> number of the card. The fullest card is as little full as can be, for its share of the memory.

    A tensor of the model itself, such as query tokens, is on the first card, where the inputs are.
    """
    free = [piece for piece in pieces if piece.follows is None and "." in piece.path]
    ends = _ends([piece.nbytes for piece in free], shares)
    numbers = [next(card for card, end in enumerate(ends) if place < end) for place in range(len(free))]
    placed = {piece.path: number for piece, number in zip(free, numbers, strict=True)}
    found: dict[str, int] = {}
    for piece in pieces:
        found[piece.path] = found[piece.follows] if piece.follows is not None else placed.get(piece.path, 0)
    return found


def _ends(sizes: Sequence[int], shares: Sequence[float]) -> list[int]:
    """Where the stretch of each card ends: the partition of a sequence that makes the largest quotient least."""
    sums = [0, *accumulate(sizes)]
    # Of the first cards together, for each number of blocks on them: the largest quotient, and where the last begins.
    best = [sums[count] / shares[0] for count in range(len(sums))]
    begins: list[list[int]] = []
    for share in shares[1:]:
        found = [
            min((max(best[begin], (sums[count] - sums[begin]) / share), begin) for begin in range(count + 1))
            for count in range(len(sums))
        ]
        best = [quotient for quotient, _ in found]
        begins.append([begin for _, begin in found])
    ends = [len(sizes)]
    for of_card in reversed(begins):
        ends.insert(0, of_card[ends[0]])
    return ends


def bytes_on(pieces: Sequence[Piece], placed: Mapping[str, int], cards: int) -> list[int]:
    """Bytes of the weights on each of so many cards."""
    found = [0] * cards
    for piece in pieces:
        found[placed[piece.path]] += piece.nbytes
    return found
