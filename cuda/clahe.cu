// Interpolation between the mappings of tiles: levels of grey from bins.
#include "stencil.cuh"

// Six axes, the leading ones of length 1 where there are fewer; where the positions of each begin, and its tiles' strides.
struct Lattice {
    i64 size[6], start[6], step[6];
};

// 4 bytes an element, and two loads of a mapping for each axis and side, nearly all of them from the caches.
template <class T>
__global__ void __launch_bounds__(256, 4)  // or the compiler spills to stay at fewer registers
interpolate(const T* __restrict__ bins, T* __restrict__ out, const Lattice* __restrict__ lattice,
            const T* __restrict__ maps, const int* __restrict__ before, const int* __restrict__ after,
            const f64* __restrict__ part, int axes, int most, int missing, i64 count)
{
    const Lattice& g = *lattice;
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        const T bin = bins[e];
        f32 sum = 0;
        if (bin >= most) {
            out[e] = T(missing);
            continue;
        }
        for (int corner = 0; corner < 1 << axes; ++corner) {
            i64 rest = e, tile = 0;
            f64 weight = 1;
            for (int axis = 5; axis > 5 - axes; --axis) {
                const i64 at = g.start[axis] + take_digit(rest, g.size[axis]);
                const bool second = corner >> (5 - axis) & 1;
                tile += (second ? after[at] : before[at]) * g.step[axis];
                weight *= second ? part[at] : 1 - part[at];
            }
            sum += f32(maps[tile * most + bin] * weight);
        }
        out[e] = T(sum);
    }
}
