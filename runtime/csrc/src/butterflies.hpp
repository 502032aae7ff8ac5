// Butterflies of Stockham's transform.
#pragma once

#include <cstddef>

namespace edge {

// One stage: `blocks` butterflies, each over `width` neighbours. Block k reads x[(j blocks + k) width + i], j < radix,
// i < width, and writes y[(k radix + j) width + i], each output j > 0 multiplied by the twiddle
// (cosines, sines)[k (radix - 1) + j - 1].
struct Stage {
    const double* x_re;
    const double* x_im;
    double* y_re;
    double* y_im;
    std::size_t blocks;
    std::size_t width;
    const double* cosines;
    const double* sines;
};

void butterflies2(const Stage& stage);
void butterflies3(const Stage& stage);
void butterflies4(const Stage& stage);
void butterflies5(const Stage& stage);

}  // namespace edge
