// Chambolle's iteration for total variation: u = image + div p, and an update of p by the gradient of u.
#include "places.cuh"

// A box of u, or of the image where `copy` is set, to where it lies in a window, or alone where `compact` is set.
// p: a component for each axis whose bit is set in `filtered`, `far` elements from one to the next; null is 0.
// About (axes + 3) * sizeof(T) bytes an element.
template <class T>
__global__ void __launch_bounds__(256)
variation_image(const T* __restrict__ image, const T* __restrict__ p, T* __restrict__ out,
                const Places* __restrict__ places, i64 far, int filtered, int zero, int copy, int compact)
{
    const Places& g = *places;
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < g.count; e += stride) {
        i64 at[6];
        const i64 here = place(g, e, at);
        T total = T(0);
        const T* field = p + here;
        for (int axis = 0; axis < 6 && !zero; ++axis) {
            if (!(filtered >> axis & 1)) continue;
            total = total + ((at[axis] > 0 ? field[-g.stride[axis]] : T(0)) - field[0]);
            field += far;
        }
        out[compact ? e : here] = copy ? image[here] : image[here] + total;
    }
}

// p = (p - step grad u) / (1 + share |grad u|), from one memory to another or in place. A gradient that is no number
// counts as 0. About (2 axes + 2) * sizeof(T) bytes an element.
template <class T>
__global__ void __launch_bounds__(256, 4)  // or the compiler spills to stay at fewer registers
variation_field(const T* __restrict__ u, const T* p, T* out, const Places* __restrict__ places, i64 far, int filtered,
                int zero, T step, T share)
{
    const Places& g = *places;
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < g.count; e += stride) {
        i64 at[6];
        const i64 here = place(g, e, at);
        T slopes[6], squares = T(0);
        for (int axis = 0; axis < 6; ++axis) {
            slopes[axis] = T(0);
            if (!(filtered >> axis & 1) || at[axis] + 1 >= g.window[axis]) continue;
            const T slope = u[here + g.stride[axis]] - u[here];
            slopes[axis] = slope - slope == T(0) ? slope : T(0);
            squares = fma(slopes[axis], slopes[axis], squares);
        }
        const T by = T(1) / fma(sqrt(squares), share, T(1));
        i64 field = here;
        for (int axis = 0; axis < 6; ++axis) {
            if (!(filtered >> axis & 1)) continue;
            out[field] = fma(-step, slopes[axis], zero ? T(0) : p[field]) * by;
            field += far;
        }
    }
}
