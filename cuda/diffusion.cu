// Anisotropic diffusion: what flows to an element from its neighbours, the less the more they differ from it.
#include "places.cuh"
#include "exponential.cuh"

// On each axis, what a difference is multiplied by for the conductance, and a flow for the result.
template <class T> struct Rates {
    T scale[6], weight[6];
};

// exp(-d^2) as 2^-s^2, s = d / sqrt(ln 2); or 1 / (1 + s^2) where `quadratic` is set, s = d. Differences that are no
// number count as 0. A box of a window, to where it lies in another, or alone where `compact` is set. About
// (2 axes + 2) * sizeof(T) bytes an element, 15 operations for each neighbour.
template <class T>
__global__ void __launch_bounds__(256)
diffusion(const T* __restrict__ in, T* __restrict__ out, const Places* __restrict__ places,
          const Rates<T>* __restrict__ rates, int filtered, int quadratic, int compact, T largest)
{
    const Places& g = *places;
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < g.count; e += stride) {
        i64 at[6];
        const i64 here = place(g, e, at);
        const T u = in[here];
        T total = T(0);
        for (int axis = 0; axis < 6; ++axis) {
            if (!(filtered >> axis & 1)) continue;
            for (int side = 1; side >= -1; side -= 2) {
                const i64 next = at[axis] + side;
                if (next < 0 || next >= g.window[axis]) continue;
                T slope = in[here + side * g.stride[axis]] - u;
                slope = slope - slope == T(0) ? slope : T(0);
                const T scaled = slope * rates->scale[axis], square = scaled * scaled;
                const T share = quadratic ? T(1) / (square + T(1)) : square < largest ? half_to(square) : T(0);
                total = fma(share * rates->weight[axis], slope, total);
            }
        }
        out[compact ? e : here] = u + total;
    }
}
