// Fourier transforms of several signals at once: the signals lie side by side in the innermost dimension, so every
// butterfly is a plain vector loop.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace edge {

// Signals transformed together.
constexpr std::size_t kLanes = 4;

// Complex transform of any length: Stockham's algorithm over the factors 4, 2, 3 and 5 of the length, and
// Bluestein's around it for lengths with other factors. Immutable, hence re-entrant.
class ComplexFft {
 public:
    explicit ComplexFft(std::size_t length);
    ~ComplexFft();
    ComplexFft(ComplexFft&&) noexcept;

    std::size_t length() const { return length_; }
    std::size_t scratch_size() const;  // doubles

    // In place on re, im: [length][kLanes].
    void forward(double* re, double* im, double* scratch) const;

 private:
    struct Stage {
        std::size_t radix;
        std::size_t blocks;  // butterflies of different twiddles
        std::size_t stride;
        std::vector<double> cosines;  // [blocks][radix - 1]
        std::vector<double> sines;
    };
    struct Bluestein;
    void plan_stages(const std::vector<std::size_t>& factors);
    void run_stages(double* re, double* im, double* scratch) const;
    void run_bluestein(double* re, double* im, double* scratch) const;

    std::size_t length_;
    std::vector<Stage> stages_;
    std::unique_ptr<Bluestein> bluestein_;
};

// Power spectrum |X_k|^2, k = 0..n/2, of real signals of any length n >= 2.
class PowerSpectrum {
 public:
    explicit PowerSpectrum(std::size_t length);

    std::size_t bins() const { return length_ / 2 + 1; }
    std::size_t scratch_size() const;  // doubles

    // An even length is transformed as half as many complex numbers, so its samples come in two phases.
    std::size_t phases() const { return length_ % 2 == 0 ? 2 : 1; }

    // signal [phases][length / phases][kLanes], overwritten -> power [bins][kLanes]; sample i is in phase i % phases.
    void run(double* signal, double* power, double* scratch) const;

 private:
    void run_even(double* signal, double* power, double* scratch) const;
    void run_odd(double* signal, double* power, double* scratch) const;

    std::size_t length_;
    ComplexFft fft_;
    std::vector<double> cosines_;  // of the split of an even length
    std::vector<double> sines_;
};

}  // namespace edge
