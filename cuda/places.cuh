// Where the elements of a box lie in a window.
#include "stencil.cuh"

// A box of a window, six axes, the leading ones of length 1 where there are fewer: its size, where it begins, the
// window's own size, and its strides in elements.
struct Places {
    i64 count, size[6], begin[6], window[6], stride[6];
};

__device__ inline i64 place(const Places& g, i64 element, i64 (&at)[6])
{
    i64 offset = 0;
    for (int axis = 5; axis >= 0; --axis) {
        at[axis] = g.begin[axis] + take_digit(element, g.size[axis]);
        offset += at[axis] * g.stride[axis];
    }
    return offset;
}
