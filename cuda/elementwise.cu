// Elementwise formulas: out[i] = formula(in[i], number).
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

struct greater {
    template <class Out, class In> static __device__ Out of(In v, In number) { return v > number; }
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
