#include "edge/fft.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "butterflies.hpp"
#include "edge/dispatch.hpp"
#include "lanes.hpp"

namespace edge {
namespace {

constexpr double kPi = 3.14159265358979323846;

// Factors 4, 2, 3, 5 of `length`; empty where another prime remains.
std::vector<std::size_t> factorize(std::size_t length) {
    std::vector<std::size_t> factors;
    for (const std::size_t radix : {std::size_t{5}, std::size_t{3}, std::size_t{4}, std::size_t{2}}) {
        while (length % radix == 0) {
            factors.push_back(radix);
            length /= radix;
        }
    }
    return length == 1 ? factors : std::vector<std::size_t>{};
}

// Powers of the bins k and half - k from the transform of even samples (real) and odd ones (imaginary).
EDGE_CLONES void split_power(const double* re, const double* im, std::size_t half, const double* cosines,
                             const double* sines, double* power) {
    for (std::size_t k = 0; k <= half / 2; ++k) {
        const std::size_t a = k * kLanes, b = (k == 0 ? 0 : half - k) * kLanes;
        const double c = cosines[k], s = sines[k];
        Lanes re_a, im_a, re_b, im_b;
        load(re + a, re_a);
        load(im + a, im_a);
        load(re + b, re_b);
        load(im + b, im_b);
        const Lanes even_re = 0.5 * (re_a + re_b), even_im = 0.5 * (im_a - im_b);
        const Lanes odd_re = 0.5 * (im_a + im_b), odd_im = 0.5 * (re_b - re_a);
        const Lanes turned_re = c * odd_re + s * odd_im, turned_im = c * odd_im - s * odd_re;
        const Lanes low_re = even_re + turned_re, low_im = even_im + turned_im;
        const Lanes high_re = even_re - turned_re, high_im = even_im - turned_im;
        store(low_re * low_re + low_im * low_im, power + a);
        store(high_re * high_re + high_im * high_im, power + (half - k) * kLanes);
    }
}

}  // namespace

// https://en.wikipedia.org/wiki/Chirp_Z-transform#Bluestein's_algorithm
struct ComplexFft::Bluestein {
    ComplexFft inner;
    std::vector<double> chirp_re, chirp_im;    // exp(-i pi k^2 / n)
    std::vector<double> kernel_re, kernel_im;  // transform of the conjugate chirp, divided by the inner length

    explicit Bluestein(std::size_t length) : inner(padded(length)), chirp_re(length), chirp_im(length) {
        const std::size_t m = inner.length();
        std::vector<double> re(m * kLanes, 0.0), im(m * kLanes, 0.0);
        for (std::size_t k = 0; k < length; ++k) {
            const double angle = kPi * static_cast<double>(k * k % (2 * length)) / static_cast<double>(length);
            chirp_re[k] = std::cos(angle);
            chirp_im[k] = -std::sin(angle);
            for (const std::size_t at : {k, (m - k) % m}) {
                re[at * kLanes] = chirp_re[k];
                im[at * kLanes] = -chirp_im[k];
            }
        }
        std::vector<double> scratch(inner.scratch_size());
        inner.forward(re.data(), im.data(), scratch.data());
        for (std::size_t k = 0; k < m; ++k) {
            kernel_re.push_back(re[k * kLanes] / static_cast<double>(m));
            kernel_im.push_back(im[k * kLanes] / static_cast<double>(m));
        }
    }

    static std::size_t padded(std::size_t length) {
        std::size_t m = 1;
        while (m < 2 * length - 1) {
            m *= 2;
        }
        return m;
    }
};

ComplexFft::ComplexFft(std::size_t length) : length_(length) {
    if (length == 0) {
        throw std::invalid_argument("a transform needs at least one sample");
    }
    const std::vector<std::size_t> factors = factorize(length);
    if (factors.empty() && length > 1) {
        bluestein_ = std::make_unique<Bluestein>(length);
    } else {
        plan_stages(factors);
    }
}

ComplexFft::~ComplexFft() = default;
ComplexFft::ComplexFft(ComplexFft&&) noexcept = default;

void ComplexFft::plan_stages(const std::vector<std::size_t>& factors) {
    std::size_t remaining = length_;
    std::size_t stride = 1;
    for (const std::size_t radix : factors) {
        Stage stage{radix, remaining / radix, stride, {}, {}};
        for (std::size_t k = 0; k < stage.blocks; ++k) {
            for (std::size_t j = 1; j < radix; ++j) {
                const double angle = -2.0 * kPi * static_cast<double>(j * k) / static_cast<double>(remaining);
                stage.cosines.push_back(std::cos(angle));
                stage.sines.push_back(std::sin(angle));
            }
        }
        stages_.push_back(std::move(stage));
        remaining /= radix;
        stride *= radix;
    }
}

std::size_t ComplexFft::scratch_size() const {
    if (bluestein_) {
        return 2 * bluestein_->inner.length() * kLanes + bluestein_->inner.scratch_size();
    }
    return 2 * length_ * kLanes;
}

void ComplexFft::forward(double* re, double* im, double* scratch) const {
    if (bluestein_) {
        run_bluestein(re, im, scratch);
    } else {
        run_stages(re, im, scratch);
    }
}

void ComplexFft::run_stages(double* re, double* im, double* scratch) const {
    double* from_re = re;
    double* from_im = im;
    double* to_re = scratch;
    double* to_im = scratch + length_ * kLanes;
    for (const Stage& stage : stages_) {
        const auto run_stage = stage.radix == 5   ? butterflies5
                               : stage.radix == 4 ? butterflies4
                               : stage.radix == 3 ? butterflies3
                                                  : butterflies2;
        run_stage({from_re, from_im, to_re, to_im, stage.blocks, stage.stride * kLanes, stage.cosines.data(),
                   stage.sines.data()});
        std::swap(from_re, to_re);
        std::swap(from_im, to_im);
    }
    if (from_re != re) {
        std::copy_n(from_re, length_ * kLanes, re);
        std::copy_n(from_im, length_ * kLanes, im);
    }
}

void ComplexFft::run_bluestein(double* re, double* im, double* scratch) const {
    const Bluestein& plan = *bluestein_;
    const std::size_t m = plan.inner.length();
    double* work_re = scratch;
    double* work_im = scratch + m * kLanes;
    double* inner_scratch = scratch + 2 * m * kLanes;
    std::fill_n(work_re, 2 * m * kLanes, 0.0);
    const auto multiply = [](double a_re, double a_im, double b_re, double b_im, double& out_re, double& out_im) {
        out_re = a_re * b_re - a_im * b_im;
        out_im = a_re * b_im + a_im * b_re;
    };
    for (std::size_t i = 0; i < length_ * kLanes; ++i) {
        const std::size_t k = i / kLanes;
        multiply(re[i], im[i], plan.chirp_re[k], plan.chirp_im[k], work_re[i], work_im[i]);
    }
    plan.inner.forward(work_re, work_im, inner_scratch);
    for (std::size_t i = 0; i < m * kLanes; ++i) {
        const std::size_t k = i / kLanes;
        const double a_re = work_re[i], a_im = work_im[i];
        multiply(a_re, a_im, plan.kernel_re[k], plan.kernel_im[k], work_re[i], work_im[i]);
    }
    // A forward transform of swapped parts is the inverse transform, swapped.
    plan.inner.forward(work_im, work_re, inner_scratch);
    for (std::size_t i = 0; i < length_ * kLanes; ++i) {
        const std::size_t k = i / kLanes;
        multiply(work_re[i], work_im[i], plan.chirp_re[k], plan.chirp_im[k], re[i], im[i]);
    }
}

PowerSpectrum::PowerSpectrum(std::size_t length) : length_(length), fft_(length % 2 == 0 ? length / 2 : length) {
    if (length < 2) {
        throw std::invalid_argument("n_fft must be at least 2");
    }
    for (std::size_t k = 0; k <= length / 4 && length % 2 == 0; ++k) {
        const double angle = 2.0 * kPi * static_cast<double>(k) / static_cast<double>(length);
        cosines_.push_back(std::cos(angle));
        sines_.push_back(std::sin(angle));
    }
}

std::size_t PowerSpectrum::scratch_size() const { return length_ * kLanes + fft_.scratch_size(); }

void PowerSpectrum::run(double* signal, double* power, double* scratch) const {
    if (length_ % 2 == 0) {
        run_even(signal, power, scratch);
    } else {
        run_odd(signal, power, scratch);
    }
}

void PowerSpectrum::run_odd(double* signal, double* power, double* scratch) const {
    double* im = scratch;
    std::fill_n(im, length_ * kLanes, 0.0);
    fft_.forward(signal, im, im + length_ * kLanes);
    for (std::size_t i = 0; i < bins() * kLanes; ++i) {
        power[i] = signal[i] * signal[i] + im[i] * im[i];
    }
}

// Even samples as real and odd ones as imaginary parts: half the length, then split by symmetry.
void PowerSpectrum::run_even(double* signal, double* power, double* scratch) const {
    const std::size_t half = length_ / 2;
    double* im = signal + half * kLanes;
    fft_.forward(signal, im, scratch);
    split_power(signal, im, half, cosines_.data(), sines_.data(), power);
}

}  // namespace edge
