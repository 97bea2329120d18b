// Powers of 2 in a few instructions, with the bits of workers/families/likeness.py. To be included after stencil.cuh.

__device__ inline f32 of_bits(i32 bits) { return __int_as_float(bits); }
__device__ inline f64 of_bits(i64 bits) { return __longlong_as_double(bits); }
__device__ inline i32 bits_of(f32 v) { return __float_as_int(v); }
__device__ inline i64 bits_of(f64 v) { return __double_as_longlong(v); }

// 2^f for |f| <= 1/2: Cephes' exp2f; Taylor's series.
__device__ inline f32 power_of_two(f32 f)
{
    f32 p = 1.339887440266574e-3f;
    p = fma(p, f, 9.618437357674640e-3f);
    p = fma(p, f, 5.550332471162809e-2f);
    p = fma(p, f, 2.402264791363012e-1f);
    p = fma(p, f, 6.931472028550421e-1f);
    return fma(p, f, 1.0f);
}

__device__ inline f64 power_of_two(f64 f)
{
    constexpr f64 terms[] = {
        1.3691488853904124e-12, 2.5678435993488196e-11, 4.44553827187081e-10, 7.054911620801121e-09,
        1.0178086009239696e-07, 1.3215486790144305e-06, 1.5252733804059838e-05, 0.00015403530393381606,
        0.0013333558146428441, 0.009618129107628477, 0.055504108664821576, 0.2402265069591007, 0.6931471805599453,
        1.0};
    f64 p = terms[0];
#pragma unroll
    for (int k = 1; k < 14; ++k) p = fma(p, f, terms[k]);
    return p;
}

// 2^-x, 0 <= x <= the exponent of the smallest normal number.
template <class T> __device__ inline T half_to(T x)
{
    const T nearest = rint(x), power = power_of_two(nearest - x);
    if constexpr (same<T, f32>) return of_bits(i32(bits_of(power) - i32(u32(i32(nearest)) << 23)));
    else return of_bits(i64(bits_of(power) - i64(u64(i64(nearest)) << 52)));
}
