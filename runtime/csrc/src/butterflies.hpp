// Butterflies of Stockham's transform.
#pragma once

#include <cstddef>

namespace edge {

// `x` is read at x[j * input_step + i], j < radix; y is written at y[j * output_step + i], i < count, each output
// j > 0 multiplied by the twiddle (cosines[j - 1], sines[j - 1]).
struct Butterfly {
    const double* x_re;
    const double* x_im;
    double* y_re;
    double* y_im;
    std::size_t input_step;
    std::size_t output_step;
    std::size_t count;
    const double* cosines;
    const double* sines;
};

void butterfly2(const Butterfly& b);
void butterfly3(const Butterfly& b);
void butterfly4(const Butterfly& b);
void butterfly5(const Butterfly& b);

}  // namespace edge
