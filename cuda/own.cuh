// What a kernel of the user's finds in place (docs/own-kernels.md). Before it stand T and U, the types of block and result,
// DIMS, the number of filtered axes, and HALO_0, HALO_1, ..., the halo on each.

__device__ constexpr int halo_of(int axis)
{
    constexpr int halos[] = {HALOS};
    return halos[axis];
}

// One element of the result and the block around it: at(dy, dx) is the input's element so far away from it, at(0, 0) its
// own. index: global, on each filtered axis.
struct At {
    const T* centre;
    long long stride[DIMS];
    long long index[DIMS];

    // element: of the result, counted along its last axis first; shape, origin: of the result
    __device__ At(const T* block, const long long* shape, const long long* origin, long long element)
    {
        long long step = 1;
        centre = block;
        for (int axis = DIMS - 1; axis >= 0; --axis) {
            const long long place = element % shape[axis];
            element /= shape[axis];
            stride[axis] = step;
            index[axis] = origin[axis] + place;
            centre += (place + halo_of(axis)) * step;
            step *= shape[axis] + 2 * halo_of(axis);
        }
    }

    template <class... Offsets> __device__ const T& operator()(Offsets... offsets) const
    {
        static_assert(sizeof...(Offsets) == DIMS, "at() takes an offset for each filtered axis");
        long long place = 0;
        int axis = 0;
        ((place += (long long)offsets * stride[axis++]), ...);
        return centre[place];
    }

    // The next element of the same row.
    __device__ void advance()
    {
        ++centre;
        ++index[DIMS - 1];
    }
};

__device__ inline long long elements_of(const long long* shape)
{
    long long count = 1;
    for (int axis = 0; axis < DIMS; ++axis) count *= shape[axis];
    return count;
}
