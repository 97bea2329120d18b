// Reindexing: each element of the result is an element of the array, found by a table for each axis, or a constant.
#include "stencil.cuh"

// Six axes, the leading ones of length 1 where there are fewer; strides in elements of the input; where each axis's
// table begins.
struct Places {
    i64 size[6], stride[6], table[6];
};

// A tile is a piece of a row of the result; -1 in a table is the constant. 2 sizeof(T) bytes an element.
template <class T>
__global__ void __launch_bounds__(256)
reindex(const T* __restrict__ in, T* __restrict__ out, const Places* __restrict__ places,
        const int* __restrict__ tables, i64 tiles, T constant)
{
    const Places& g = *places;
    const i64 width = 4 * i64(blockDim.x), tiles_of_row = ceil_div(g.size[5], width);
    for (i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const i64 row = tile / tiles_of_row, start = (tile - row * tiles_of_row) * width + threadIdx.x;
        i64 rest = row, line = 0;
        bool inside = true;
        for (int axis = 4; axis >= 0; --axis) {
            const int at = tables[g.table[axis] + take_digit(rest, g.size[axis])];
            inside = inside && at >= 0;
            line += at * g.stride[axis];
        }
        for (int k = 0; k < 4; ++k) {
            const i64 x = start + k * i64(blockDim.x);
            if (x >= g.size[5]) break;
            const int at = tables[g.table[5] + x];
            out[row * g.size[5] + x] = inside && at >= 0 ? in[line + at] : constant;
        }
    }
}
