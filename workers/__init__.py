"""Where and how blocks are computed: clusters, devices, kernels and operators."""
