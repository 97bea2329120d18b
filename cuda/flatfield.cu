// Flat-field correction: (in - dark) / divisor in float64, or minus its logarithm.
#include "stencil.cuh"

// Six axes, the leading ones of length 1 where there are fewer; strides of the references, 0 where they are of length 1.
struct Places {
    i64 size[6], stride[6];
};

// fdlibm's logarithm (e_log.c, Sun Microsystems, 1993), step by step as on the CPU: the same bits.
__device__ inline f64 natural_log(f64 v)
{
    const f64 smallest = __longlong_as_double(1ll << 52), infinity = __longlong_as_double(0x7FFll << 52);
    if (!(v < infinity)) return v;
    if (v == 0) return -infinity;
    if (v < 0) return infinity - infinity;
    constexpr i64 half_root = 0x3FE6A09Ell << 32, one = 0x3FF00000ll << 32;
    const i64 moved = __double_as_longlong(v < smallest ? v * 0x1p54 : v) + (one - half_root);
    const f64 k = f64((moved >> 52) - 1023) - (v < smallest ? 54 : 0);
    const f64 f = __longlong_as_double((moved & ((1ll << 52) - 1)) + half_root) - 1.0;
    const f64 half = 0.5 * f * f, s = f / (2.0 + f), z = s * s, w = z * z;
    const f64 odd = 6.666666666666735130e-01 + w * (2.857142874366239149e-01 +
        w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01));
    const f64 even = 3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01);
    const f64 rest = z * odd + w * even;
    return s * (half + rest) + k * 1.90821492927058770002e-10 - half + f + k * 6.93147180369123816490e-01;
}

// 2 * sizeof(T) bytes an element; the references come from the caches where they are of fewer axes.
template <class T>
__global__ void __launch_bounds__(256)
flatfield(const T* __restrict__ in, T* __restrict__ out, const Places* __restrict__ places, const f64* __restrict__ dark,
          const f64* __restrict__ divisor, i64 count, int log, int filled, f64 fill)
{
    const Places& g = *places;
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        i64 rest = e, at = 0;
#pragma unroll 1
        for (int axis = 5; axis >= 0; --axis) at += take_digit(rest, g.size[axis]) * g.stride[axis];
        const f64 by = divisor[at], v = (f64(in[e]) - dark[at]) / by;
        out[e] = T(filled && by == 0 ? fill : log ? -natural_log(v) : v);
    }
}
