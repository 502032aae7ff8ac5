// Log-mel spectrogram of one window of sound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "edge/fft.hpp"

namespace edge {

struct LogMelConfig {
    std::size_t mels;
    std::size_t frames;
    double rate_hz;
    std::size_t n_fft;
    std::size_t hop;
    double f_min_hz;
    double f_max_hz;
    double floor;
    double mean;
    double std;
};

// Periodic Hann window, power spectrum, HTK mel filters of unit peak, (ln(power + floor) - mean) / std. Window,
// filters and transform are made once; `run` is re-entrant.
class LogMel {
 public:
    // Throws std::invalid_argument on sizes or frequencies that contradict each other.
    explicit LogMel(const LogMelConfig& config);

    std::size_t window_samples() const { return config_.n_fft + (config_.frames - 1) * config_.hop; }
    const LogMelConfig& config() const { return config_; }

    // samples [channels][window_samples] with `stride` floats between channels -> [mels, frames]; channels are
    // averaged. Throws std::invalid_argument where a sample is not finite.
    void run(const float* samples, std::size_t channels, std::ptrdiff_t stride, float* output) const;

 private:
    struct Filter {
        std::size_t first_bin;
        std::vector<double> weights;
    };
    void make_filters();
    std::vector<double> mix(const float* samples, std::size_t channels, std::ptrdiff_t stride) const;
    template <class Sample>
    void run_mono(const Sample* mono, float* output) const;
    template <class Sample>
    void load_frames(const Sample* mono, std::size_t first, std::size_t count, double* signal) const;
    void filter(const double* power, double* energies) const;
    void write_frames(const float* levels, std::size_t first, std::size_t count, float* output) const;

    LogMelConfig config_;
    PowerSpectrum spectrum_;
    std::vector<double> hann_;
    std::vector<Filter> filters_;
};

}  // namespace edge
