"""Blocks of float32 sums in registers, which compiled code calls: LLVM's own language, as Numba would take seconds to
find the type of each of so many names.

Taps come in order, and each is rounded once: the bits are those of any other way to add them so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from gridstride.workers.vectors import call, converted, pointer, splat, suffix, vector_of

WORD = ir.IntType(64)


@dataclass(frozen=True)
class Writer:
    """Writes the code of a block.

    flat, out: arrays, as (type, value); weights: a pointer to the taps' weights; taps: how many
    """

    context: Any
    builder: Any
    flat: tuple[Any, Any]
    out: tuple[Any, Any]
    weights: Any
    taps: Any

    @classmethod
    def of(cls, context: Any, builder: Any, flat: Any, out: Any, weights: Any) -> Writer:
        array = context.make_array(weights[0])(context, builder, weights[1])
        return cls(context, builder, flat, out, array.data, cgutils.unpack_tuple(builder, array.shape, 1)[0])

    @property
    def vector(self) -> Any:
        return self.context.get_value_type(vector_of(self.out[0]))

    def zeros(self, count: int) -> list[Any]:
        """Sums of nothing: -0.0, to which any number is added without a change."""
        return [ir.Constant(self.vector, [-0.0] * self.vector.count)] * count

    def weight(self, k: Any) -> Any:
        return splat(self.builder, self.builder.load(self.builder.gep(self.weights, [k])), self.vector)

    def row(self, at: Any, wide: int) -> list[Any]:
        """`wide` vectors of `flat` from an index on."""
        b, (kind, array), n, found = self.builder, self.flat, self.vector.count, []
        stored = ir.VectorType(self.context.get_value_type(kind.dtype), n)
        for u in range(wide):
            place = pointer(self.context, b, kind, array, b.add(at, WORD(u * n)), stored)
            value = b.load(place, align=kind.dtype.bitwidth // 8)
            found.append(converted(b, value, kind.dtype, types.float32, self.vector))
        return found

    def add(self, weight: Any, row: list[Any], sums: list[Any]) -> list[Any]:
        name = f"llvm.fma.{suffix(vector_of(self.out[0]))}"
        return [call(self.builder, name, self.vector, weight, v, s) for v, s in zip(row, sums, strict=True)]

    def loop(self, first: int, begin: list[Any], step: Any) -> list[Any]:
        """Values after `step(k, values)`, which gives the next ones, for k = first .. taps - 1, one at least."""
        b, before = self.builder, self.builder.block
        body, after = b.append_basic_block("taps"), b.append_basic_block("added")
        b.branch(body)
        b.position_at_end(body)
        k, *values = (b.phi(value.type) for value in (WORD(first), *begin))
        following = [b.add(k, WORD(1)), *step(k, values)]
        for phi, start, new in zip((k, *values), (WORD(first), *begin), following, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(new, body)
        b.cbranch(b.icmp_signed("<", following[0], self.taps), body, after)
        b.position_at_end(after)
        return following[1:]

    def store(self, sums: list[Any], places: list[Any], divisor: Any) -> None:
        """Each vector at an index of `out`, divided if the divisor is not 1 (division takes as long as many taps)."""
        b, before = self.builder, self.builder.block
        divide, done = b.append_basic_block("divide"), b.append_basic_block("store")
        b.cbranch(b.fcmp_ordered("==", divisor, divisor.type(1.0)), done, divide)
        b.position_at_end(divide)
        by = splat(b, divisor, self.vector)
        quotients = [b.fdiv(value, by) for value in sums]
        b.branch(done)
        b.position_at_end(done)
        values = [b.phi(self.vector) for _ in sums]
        for value, total, quotient in zip(values, sums, quotients, strict=True):
            value.add_incoming(total, before)
            value.add_incoming(quotient, divide)
        kind, array = self.out
        for value, place in zip(values, places, strict=True):
            b.store(value, pointer(self.context, b, kind, array, place, self.vector), align=4)


def sums_of_rows(rows: int, wide: int) -> Any:
    """A function of compiled code that makes `rows` rows of `wide` vectors, each of at least as many taps as rows:

    out[to + g * pitch + i] = (sum over k of weights[k] * flat[at + places[p + g + k] + i]) / divisor

    A row of `flat` is loaded once for all the sums that need it.
    """

    @intrinsic
    def block(
        typing: Any, flat: Any, at: Any, places: Any, p: Any, weights: Any, divisor: Any, out: Any, to: Any, pitch: Any
    ) -> Any:
        def code(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
            array, at, table, p, factors, divisor, result, to, pitch = arguments
            write = Writer.of(context, b, (flat, array), (out, result), (weights, factors))
            table = context.make_array(places)(context, b, table).data

            def row(r: Any) -> list[Any]:
                return write.row(b.add(at, b.load(b.gep(table, [b.add(p, r)]))), wide)

            def every_sum(r: Any, values: list[Any]) -> list[Any]:
                """values: all sums, then the weights of taps r - rows + 1 .. r - 1."""
                sums, near = values[: rows * wide], [*values[rows * wide :], write.weight(r)]
                v = row(r)
                return [
                    s for g in range(rows) for s in write.add(near[-1 - g], v, sums[g * wide : (g + 1) * wide])
                ] + near[1:]

            sums = [write.zeros(wide) for _ in range(rows)]
            near = [write.weight(WORD(k)) for k in range(rows - 1)]
            for r in range(rows - 1):  # not yet in all sums
                v = row(WORD(r))
                sums[: r + 1] = [write.add(near[r - g], v, sums[g]) for g in range(r + 1)]
            values = write.loop(rows - 1, [s for pair in sums for s in pair] + near, every_sum)
            sums = [values[g * wide : (g + 1) * wide] for g in range(rows)]
            near = values[rows * wide :]
            for r in range(1, rows):  # no longer in the first r sums
                v = row(b.add(write.taps, WORD(r - 1)))
                sums[r:] = [write.add(near[r - 1 - g], v, sums[g]) for g in range(r, rows)]
            n = write.vector.count
            starts = [b.add(to, b.mul(pitch, WORD(g))) for g in range(rows)]
            indices = [b.add(start, WORD(u * n)) for start in starts for u in range(wide)]
            write.store([s for pair in sums for s in pair], indices, divisor)
            return context.get_dummy_value()

        i = types.int64
        return types.void(flat, i, places, i, weights, divisor, out, i, i), code

    return block


def sums_along_row(wide: int) -> Any:
    """A function of compiled code that makes `wide` vectors of one row, of one tap or more:

    out[to + i] = (sum over k of weights[k] * flat[at + k * apart + i]) / divisor
    """

    @intrinsic
    def block(typing: Any, flat: Any, at: Any, apart: Any, weights: Any, divisor: Any, out: Any, to: Any) -> Any:
        def code(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
            array, at, apart, factors, divisor, result, to = arguments
            write = Writer.of(context, b, (flat, array), (out, result), (weights, factors))

            def tap(k: Any, sums: list[Any]) -> list[Any]:
                return write.add(write.weight(k), write.row(b.add(at, b.mul(k, apart)), wide), sums)

            sums = write.loop(0, write.zeros(wide), tap)
            write.store(sums, [b.add(to, WORD(u * write.vector.count)) for u in range(wide)], divisor)
            return context.get_dummy_value()

        i = types.int64
        return types.void(flat, i, i, weights, divisor, out, i), code

    return block
