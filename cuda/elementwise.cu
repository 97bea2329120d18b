// Elementwise formulas: out[i] = formula(in[i], number), and formulas of several arrays.
#include "stencil.cuh"

// Integers saturate, floating-point numbers are rounded half to even.
struct cast {
    template <class Out, class In> static __device__ Out of(In v, In)
    {
        if constexpr (is_float<In>) return cast_to<Out>(v, 0);
        else if constexpr (is_float<Out>) return Out(v);
        else if constexpr (same<Out, bool>) return v > In(0);
        else {
            constexpr Out high = largest<Out>, low = Out(~largest<Out>);
            if (is_signed<In> && v < In(0)) {
                if (!is_signed<Out>) return Out(0);
                return i64(v) < i64(low) ? low : Out(v);
            }
            return u64(v) > u64(high) ? high : Out(v);
        }
    }
};

// Integers as parts of the largest of their type, the smallest as -1.
struct scaled {
    template <class Out, class In> static __device__ Out of(In v, In number)
    {
        const Out part = Out(v) * (Out(1) / Out(number));
        return part < Out(-1) ? Out(-1) : part;
    }
};

struct greater {
    template <class Out, class In> static __device__ Out of(In v, In number) { return v > number; }
};

struct nonzero {
    template <class Out, class In> static __device__ Out of(In v, In) { return v != In(0); }
};

struct always {
    template <class Out, class In> static __device__ Out of(In, In number) { return number != In(0); }
};

// sizeof(In) + sizeof(Out) bytes an element.
template <class In, class Out, class Formula>
__global__ void __launch_bounds__(256) elementwise(const In* __restrict__ in, Out* __restrict__ out, i64 count, In number)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride)
        out[e] = Formula::template of<Out>(in[e], number);
}

// Elements below low are low, those above high are high; NaN stays. 2 * sizeof(T) bytes an element.
template <class T>
__global__ void __launch_bounds__(256) clip(const T* __restrict__ in, T* __restrict__ out, i64 count, T low, T high)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        const T v = in[e];
        out[e] = v < low ? low : v > high ? high : v;
    }
}

// out[i] = ((in[i] cut to low .. high) - shift) / span * gain + offset in steps of type F, by the six numbers of
// the element's group, which follows from its place in a block: walk is the block's shape, of six axes, and how many
// groups lie between two elements along each. Of 64-bit integers, whole[group] is subtracted first.
// sizeof(In) + sizeof(F) bytes an element.
template <class In, class F>
__global__ void __launch_bounds__(256)
rescale(const In* __restrict__ in, F* __restrict__ out, i64 count, const i64* __restrict__ walk, i64 start, bool grouped,
        const f64* __restrict__ numbers, const i64* __restrict__ whole, bool truncate)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        i64 group = start, rest = e;
        if (grouped)
            for (int axis = 5; axis >= 0; --axis) {
                group += rest % walk[axis] * walk[6 + axis];
                rest /= walk[axis];
            }
        const f64* n = numbers + 6 * group;
        const In x = in[e];
        F v;
        if constexpr (!is_float<In> && sizeof(In) == 8) {
            const In less = In(whole[group]);
            v = x >= less ? F(u64(x) - u64(less)) : -F(u64(less) - u64(x));
        } else v = F(x);
        v = v < F(n[0]) ? F(n[0]) : v;
        v = v > F(n[1]) ? F(n[1]) : v;
        v = (v - F(n[2])) / F(n[3]) * F(n[4]) + F(n[5]);
        if (truncate) v = v < F(0) ? ceil(v) : floor(v);
        out[e] = v;
    }
}

// Formulas of several arrays, whose values are added one by one. A sum of type Sum<T> starts from the first.
// What most have in common: the sum of at most so many arrays is of their type, starts from the first, and is the result.
template <int MOST> struct Folded {
    static constexpr int most = MOST;
    template <class T> using Sum = T;
    template <class T> static __device__ T first(T v, T) { return v; }
    template <class T> static __device__ T last(T sum) { return sum; }
};

// Two's complement wraps around where the difference of signed integers is too large.
struct difference : Folded<2> {
    template <class T> static __device__ T next(T sum, T v, T)
    {
        if constexpr (is_float<T>) return sum - v;
        else if constexpr (!is_signed<T>) return sum > v ? T(sum - v) : T(0);
        else {
            const T less = T(u64(sum) - u64(v));
            const bool past = ((sum ^ v) & (sum ^ less)) < 0;
            return past ? (sum < 0 ? T(~largest<T>) : largest<T>) : less;
        }
    }
};

struct euclidean {
    static constexpr int most = 6;
    template <class T> using Sum = f64;
    template <class T> static __device__ f64 first(T v, T) { return f64(v) * f64(v); }
    template <class T> static __device__ f64 next(f64 sum, T v, T) { return sum + f64(v) * f64(v); }
    template <class T> static __device__ T last(f64 sum) { return T(sqrt(sum)); }
};

struct weighted {
    static constexpr int most = 6;
    template <class T> using Sum = T;
    template <class T> static __device__ T first(T v, T weight) { return weight * v; }
    template <class T> static __device__ T next(T sum, T v, T weight) { return sum + weight * v; }
    template <class T> static __device__ T last(T sum) { return sum; }
};

// NaN stays.
struct maximum : Folded<6> {
    template <class T> static __device__ T next(T sum, T v, T) { return sum >= v || sum != sum ? sum : v; }
};

struct product : Folded<6> {
    template <class T> static __device__ T next(T sum, T v, T) { return sum * v; }
};

struct ratio : Folded<2> {
    template <class T> static __device__ T next(T sum, T v, T) { return sum / v; }
};

// Of an image and a prediction of it; 0 where that is below a number, 1 where the image is not finite.
struct quotient : Folded<2> {
    template <class T> static __device__ T next(T image, T v, T least)
    {
        const T by = v + T(1e-12);
        return image - image == T(0) ? (by < least ? T(0) : image / by) : T(1);
    }
};

// A product, 0 for what is within 1e-30 of it.
struct corrected : Folded<2> {
    template <class T> static __device__ T next(T sum, T v, T) { return fabs(sum * v) < T(1e-30) ? T(0) : sum * v; }
};

// An estimate of an image, within a number and its negative; the image where it is not finite.
struct estimate : Folded<2> {
    template <class T> static __device__ T next(T image, T v, T limit)
    {
        return image - image == T(0) ? (v > limit ? limit : v < -limit ? -limit : v) : image;
    }
};

// Arrays a to f, of which there are `arrays`. (arrays + 1) * sizeof(T) bytes an element.
template <class T, class Formula>
__global__ void __launch_bounds__(256)
joined(const T* __restrict__ a, const T* __restrict__ b, const T* __restrict__ c, const T* __restrict__ d,
       const T* __restrict__ e, const T* __restrict__ f, T* __restrict__ out, i64 count, int arrays,
       const T* __restrict__ numbers)
{
    const T* const every[] = {a, b, c, d, e, f};
    const i64 stride = i64(gridDim.x) * blockDim.x;
    const bool weights = same<Formula, weighted> || same<Formula, quotient> || same<Formula, estimate>;
    for (i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
        typename Formula::template Sum<T> sum = Formula::template first<T>(a[i], weights ? numbers[0] : T(0));
#pragma unroll
        for (int n = 1; n < Formula::most; ++n)
            if (n < arrays) sum = Formula::template next<T>(sum, every[n][i], weights ? numbers[n] : T(0));
        out[i] = Formula::template last<T>(sum);
    }
}
