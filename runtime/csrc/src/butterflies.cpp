#include "butterflies.hpp"

#include "edge/dispatch.hpp"

namespace edge {
namespace {

struct Complex {
    double re;
    double im;
};

EDGE_INLINE Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
EDGE_INLINE Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
EDGE_INLINE Complex operator*(double s, Complex a) { return {s * a.re, s * a.im}; }
EDGE_INLINE Complex times_minus_i(Complex a) { return {a.im, -a.re}; }

// One block of a stage: `x` is read at x[j * input_step + i], y written at y[j * output_step + i].
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

EDGE_INLINE Butterfly block_of(const Stage& s, std::size_t radix, std::size_t k) {
    const std::size_t from = k * s.width, to = k * radix * s.width, twiddle = k * (radix - 1);
    return {s.x_re + from, s.x_im + from, s.y_re + to,         s.y_im + to,      s.blocks * s.width,
            s.width,       s.width,       s.cosines + twiddle, s.sines + twiddle};
}

EDGE_INLINE Complex load(const Butterfly& b, std::size_t j, std::size_t i) {
    return {b.x_re[j * b.input_step + i], b.x_im[j * b.input_step + i]};
}

EDGE_INLINE void store_first(const Butterfly& b, std::size_t i, Complex value) {
    b.y_re[i] = value.re;
    b.y_im[i] = value.im;
}

EDGE_INLINE void store(const Butterfly& b, std::size_t j, std::size_t i, Complex value) {
    const double c = b.cosines[j - 1], s = b.sines[j - 1];
    b.y_re[j * b.output_step + i] = value.re * c - value.im * s;
    b.y_im[j * b.output_step + i] = value.re * s + value.im * c;
}

constexpr double kHalfRoot3 = 0.86602540378443864676;
constexpr double kCos72 = 0.30901699437494742410;
constexpr double kCos144 = -0.80901699437494742410;
constexpr double kSin72 = 0.95105651629515357212;
constexpr double kSin144 = 0.58778525229247312917;

EDGE_INLINE void butterfly2(const Butterfly& b) {
    EDGE_INDEPENDENT
    for (std::size_t i = 0; i < b.count; ++i) {
        const Complex p = load(b, 0, i), q = load(b, 1, i);
        store_first(b, i, p + q);
        store(b, 1, i, p - q);
    }
}

EDGE_INLINE void butterfly3(const Butterfly& b) {
    EDGE_INDEPENDENT
    for (std::size_t i = 0; i < b.count; ++i) {
        const Complex p = load(b, 0, i), q = load(b, 1, i), r = load(b, 2, i);
        const Complex sum = q + r;
        const Complex middle = p - 0.5 * sum;
        const Complex turned = times_minus_i(kHalfRoot3 * (q - r));
        store_first(b, i, p + sum);
        store(b, 1, i, middle + turned);
        store(b, 2, i, middle - turned);
    }
}

EDGE_INLINE void butterfly4(const Butterfly& b) {
    EDGE_INDEPENDENT
    for (std::size_t i = 0; i < b.count; ++i) {
        const Complex p = load(b, 0, i), q = load(b, 1, i), r = load(b, 2, i), s = load(b, 3, i);
        const Complex even = p + r, odd = q + s;
        const Complex even_turned = p - r, odd_turned = times_minus_i(q - s);
        store_first(b, i, even + odd);
        store(b, 1, i, even_turned + odd_turned);
        store(b, 2, i, even - odd);
        store(b, 3, i, even_turned - odd_turned);
    }
}

EDGE_INLINE void butterfly5(const Butterfly& b) {
    EDGE_INDEPENDENT
    for (std::size_t i = 0; i < b.count; ++i) {
        const Complex p = load(b, 0, i), q = load(b, 1, i), r = load(b, 2, i), s = load(b, 3, i), t = load(b, 4, i);
        const Complex qt = q + t, rs = r + s;
        const Complex near = p + kCos72 * qt + kCos144 * rs;
        const Complex far = p + kCos144 * qt + kCos72 * rs;
        const Complex near_turned = times_minus_i(kSin72 * (q - t) + kSin144 * (r - s));
        const Complex far_turned = times_minus_i(kSin144 * (q - t) - kSin72 * (r - s));
        store_first(b, i, p + qt + rs);
        store(b, 1, i, near + near_turned);
        store(b, 2, i, far + far_turned);
        store(b, 3, i, far - far_turned);
        store(b, 4, i, near - near_turned);
    }
}

}  // namespace

EDGE_CLONES void butterflies2(const Stage& given) {
    const Stage stage = given;
    for (std::size_t k = 0; k < stage.blocks; ++k) {
        butterfly2(block_of(stage, 2, k));
    }
}

EDGE_CLONES void butterflies3(const Stage& given) {
    const Stage stage = given;
    for (std::size_t k = 0; k < stage.blocks; ++k) {
        butterfly3(block_of(stage, 3, k));
    }
}

EDGE_CLONES void butterflies4(const Stage& given) {
    const Stage stage = given;
    for (std::size_t k = 0; k < stage.blocks; ++k) {
        butterfly4(block_of(stage, 4, k));
    }
}

EDGE_CLONES void butterflies5(const Stage& given) {
    const Stage stage = given;
    for (std::size_t k = 0; k < stage.blocks; ++k) {
        butterfly5(block_of(stage, 5, k));
    }
}

}  // namespace edge
