// Layers of neural networks that are no sums over channels: windows that move in steps, softmax, and relu.
#include "stencil.cuh"

// NaN stays; zeros have no sign.
struct positive {
    template <class T> static __device__ T of(T v) { return v > T(0) || v != v ? v : T(0); }
};

// 2 * sizeof(T) bytes an element.
template <class T, class Formula>
__global__ void __launch_bounds__(256) of_each(const T* __restrict__ in, T* __restrict__ out, i64 count)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) out[e] = Formula::of(in[e]);
}

// Six axes, the leading ones of length 1 where there are fewer; in_stride in elements. table[axis] is where the axis
// begins in `tables`: entry p is the input's index at padded coordinate p, below 0 outside; counts[axis]: where those
// of the axis begin in `counts`, by which means are divided.
struct Windows {
    i64 size[6], taps[6], stride[6], dilation[6], in_stride[6], table[6], counts[6];
};

// The largest element of each window, or the mean of sums in float64, in C order. Elements outside are left out.
// sizeof(T) bytes read for each tap, from the cache but for the first time.
template <class T, bool LARGEST>
__global__ void __launch_bounds__(256)
windows(const T* __restrict__ in, T* __restrict__ out, const Windows* __restrict__ geometry,
        const int* __restrict__ tables, const f64* __restrict__ counts, i64 count)
{
    const Windows& g = *geometry;
    const i64 stride = i64(gridDim.x) * blockDim.x;
    int taps = 1;  // fewer than 2^30
    for (int axis = 0; axis < 6; ++axis) taps *= int(g.taps[axis]);
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        i64 rest = e, at[6];
        f64 divisor = 1;
        for (int axis = 5; axis >= 0; --axis) at[axis] = take_digit(rest, g.size[axis]);
        if (!LARGEST)
            for (int axis = 0; axis < 6; ++axis) divisor *= counts[g.counts[axis] + at[axis]];
        T best = LARGEST ? T(-1) / T(0) : T(0);
        f64 sum = -0.0;
        for (int tap = 0; tap < taps; ++tap) {
            i64 from = 0;
            bool inside = true;
            int digits = tap;
            for (int axis = 5; axis >= 0; --axis) {
                const int of = int(g.taps[axis]), t = digits % of;
                digits /= of;
                const int found = tables[g.table[axis] + at[axis] * g.stride[axis] + t * g.dilation[axis]];
                inside = inside && found >= 0;
                from += found * g.in_stride[axis];
            }
            if (!inside) continue;
            const T v = in[from];
            if (LARGEST) best = v > best || v != v ? v : best;
            else sum += f64(v);
        }
        out[e] = LARGEST ? best : T(sum / divisor);
    }
}

template <class T> struct bits_of;
template <> struct bits_of<f32> { using type = i32; static constexpr int mantissa = 23, bias = 127; };
template <> struct bits_of<f64> { using type = i64; static constexpr int mantissa = 52, bias = 1023; };

// 2^n for whole n from -bias, which gives 0, to bias.
template <class T> __device__ inline T power_of_two(T n)
{
    union { typename bits_of<T>::type bits; T value; } u;
    u.bits = (typename bits_of<T>::type(n) + bits_of<T>::bias) << bits_of<T>::mantissa;
    return u.value;
}

// e^x for x <= 0, in steps that are the same on every processor. numbers: 1 / log 2, log 2 in two parts, the lowest x,
// the lowest n, and the coefficients of a polynomial, the highest power first.
template <class T> __device__ inline T exponential(T x, const T* numbers, int count)
{
    x = x < numbers[3] ? numbers[3] : x;  // NaN stays
    T n = rint(x * numbers[0]);
    n = numbers[4] < n ? n : numbers[4];
    const T rest = fma(-n, numbers[2], fma(-n, numbers[1], x));
    T value = numbers[5];
    for (int k = 6; k < count; ++k) value = fma(value, rest, numbers[k]);
    return value * power_of_two(n);
}

// exp(x - m) / sum of exp(x - m) along lines of `length` elements, `inner` apart; m is the largest of a line.
// 3 reads of sizeof(T) and one write an element, the later ones from the cache where a line of threads fits.
template <class T>
__global__ void __launch_bounds__(256, 4)  // or the compiler spills to stay at fewer registers
softmax(const T* __restrict__ in, T* __restrict__ out, i64 lines, i64 length, i64 inner, const T* __restrict__ numbers,
        int count)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < lines; e += stride) {
        const i64 begin = e / inner * length * inner + e % inner;
        T most = in[begin], sum = T(0);
        for (i64 k = 1; k < length; ++k) most = most < in[begin + k * inner] ? in[begin + k * inner] : most;
        for (i64 k = 0; k < length; ++k) sum += exponential(in[begin + k * inner] - most, numbers, count);
        for (i64 k = 0; k < length; ++k)
            out[begin + k * inner] = exponential(in[begin + k * inner] - most, numbers, count) / sum;
    }
}
