// Bilateral filter of an image: a mean of the elements around each, weighted by how near they are in place and in value.
//
//     gridstride apply examples/kernels/bilateral.cu cells.zarr smooth.zarr --halo 3 --axes y,x --param range=500
//
// C. Tomasi, R. Manduchi, "Bilateral filtering for gray and color images", 1998.

__device__ float bilateral(At at, float range, float sigma = 1.5f)
{
    const float middle = at(0, 0), near = -0.5f / (sigma * sigma), alike = -0.5f / (range * range);
    float sum = 0, weights = 0;
    for (int y = -HALO_0; y <= HALO_0; ++y) {
        for (int x = -HALO_1; x <= HALO_1; ++x) {
            const float value = at(y, x), away = value - middle;
            const float weight = exp(alike * away * away + near * float(y * y + x * x));
            sum += weight * value;
            weights += weight;
        }
    }
    return sum / weights;
}
