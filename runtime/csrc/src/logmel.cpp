#include "edge/logmel.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "edge/dispatch.hpp"
#include "edge/natural_log.hpp"
#include "lanes.hpp"

namespace edge {
namespace {

constexpr double kLargest = std::numeric_limits<float>::max();
constexpr double kPi = 3.14159265358979323846;

// The scale of the HTK book: 2595 log10(1 + f / 700).
double mel_from_hz(double hz) { return 2595.0 * std::log10(1.0 + hz / 700.0); }
double hz_from_mel(double mel) { return 700.0 * (std::pow(10.0, mel / 2595.0) - 1.0); }

void check(const LogMelConfig& c) {
    if (c.mels < 1 || c.frames < 1 || c.n_fft < 2 || c.hop < 1) {
        throw std::invalid_argument("mels, frames and hop must be at least 1 and n_fft at least 2");
    }
    if (!(c.rate_hz > 0.0 && c.f_min_hz >= 0.0 && c.f_max_hz > c.f_min_hz && c.f_max_hz <= 0.5 * c.rate_hz)) {
        throw std::invalid_argument("frequencies must satisfy 0 <= f_min_hz < f_max_hz <= rate_hz / 2");
    }
    if (!(c.floor >= std::numeric_limits<float>::min() && c.std > 0.0) || !std::isfinite(c.mean + c.std + c.floor)) {
        throw std::invalid_argument("floor and std must be positive and finite");
    }
}

template <class Sample>
using Frames = std::array<const Sample*, kLanes>;

EDGE_CLONES void add(const float* samples, double gain, std::size_t count, double* sum) {
    for (std::size_t i = 0; i < count; ++i) {
        sum[i] += gain * static_cast<double>(samples[i]);
    }
}

// x - x is 0 for every number and NaN for the rest.
template <class Sample>
EDGE_INLINE bool each_finite(const Sample* values, std::size_t count) {
    std::size_t bad = 0;
    for (std::size_t i = 0; i < count; ++i) {
        bad += (values[i] - values[i]) != Sample{0};
    }
    return bad == 0;
}

// Frames of `count` samples times their weights, in the order in which PowerSpectrum takes them.
template <class Sample>
EDGE_INLINE void weigh_each(const Frames<Sample>& frames, const double* weights, std::size_t count, std::size_t phases,
                            double* signal) {
    const Frames<Sample> from = frames;
    for (std::size_t phase = 0; phase < phases; ++phase) {
        EDGE_INDEPENDENT
        for (std::size_t i = phase; i < count; i += phases) {
            for (std::size_t lane = 0; lane < kLanes; ++lane) {
                signal[lane] = static_cast<double>(from[lane][i]) * weights[i];
            }
            signal += kLanes;
        }
    }
}

// target_clones needs plain functions.
EDGE_CLONES bool all_finite(const float* values, std::size_t count) { return each_finite(values, count); }
EDGE_CLONES bool all_finite(const double* values, std::size_t count) { return each_finite(values, count); }
EDGE_CLONES void weigh(const Frames<float>& frames, const double* weights, std::size_t count, std::size_t phases,
                       double* signal) {
    weigh_each(frames, weights, count, phases, signal);
}
EDGE_CLONES void weigh(const Frames<double>& frames, const double* weights, std::size_t count, std::size_t phases,
                       double* signal) {
    weigh_each(frames, weights, count, phases, signal);
}

// The weighted sum of a filter's bins, [count][kLanes].
EDGE_CLONES void sum_bins(const double* weights, const double* bins, std::size_t count, double* energy) {
    Lanes sum{};
    for (std::size_t k = 0; k < count; ++k) {
        Lanes bin;
        load(bins + k * kLanes, bin);
        sum += weights[k] * bin;
    }
    store(sum, energy);
}

EDGE_CLONES void take_logs(const double* energies, std::size_t count, double floor, float mean, float gain,
                           float* levels) {
    EDGE_INDEPENDENT
    for (std::size_t i = 0; i < count; ++i) {
        const double power_and_floor = std::min(energies[i] + floor, kLargest);
        levels[i] = (natural_log(static_cast<float>(power_and_floor)) - mean) * gain;
    }
}

}  // namespace

LogMel::LogMel(const LogMelConfig& config)
    : config_((check(config), config)), spectrum_(config.n_fft), hann_(config.n_fft) {
    for (std::size_t i = 0; i < config.n_fft; ++i) {
        hann_[i] = 0.5 - 0.5 * std::cos(2.0 * kPi * static_cast<double>(i) / static_cast<double>(config.n_fft));
    }
    make_filters();
}

void LogMel::make_filters() {
    const double low = mel_from_hz(config_.f_min_hz);
    const double step = (mel_from_hz(config_.f_max_hz) - low) / static_cast<double>(config_.mels + 1);
    for (std::size_t m = 0; m < config_.mels; ++m) {
        const double left = hz_from_mel(low + step * static_cast<double>(m));
        const double peak = hz_from_mel(low + step * static_cast<double>(m + 1));
        const double right = hz_from_mel(low + step * static_cast<double>(m + 2));
        Filter filter{0, {}};
        for (std::size_t k = 0; k < spectrum_.bins(); ++k) {
            const double hz = static_cast<double>(k) * config_.rate_hz / static_cast<double>(config_.n_fft);
            const double weight = std::min((hz - left) / (peak - left), (right - hz) / (right - peak));
            if (weight > 0.0) {
                filter.first_bin = filter.weights.empty() ? k : filter.first_bin;
                filter.weights.push_back(weight);
            }
        }
        filters_.push_back(filter);
    }
}

std::vector<double> LogMel::mix(const float* samples, std::size_t channels, std::ptrdiff_t stride) const {
    std::vector<double> mono(window_samples(), 0.0);
    const double gain = 1.0 / static_cast<double>(channels);
    for (std::size_t c = 0; c < channels; ++c) {
        add(samples + static_cast<std::ptrdiff_t>(c) * stride, gain, mono.size(), mono.data());
    }
    return mono;
}

void LogMel::run(const float* samples, std::size_t channels, std::ptrdiff_t stride, float* output) const {
    if (channels == 0) {
        throw std::invalid_argument("sound without a channel");
    }
    if (channels == 1) {
        run_mono(samples, output);
    } else {
        run_mono(mix(samples, channels, stride).data(), output);
    }
}

template <class Sample>
void LogMel::run_mono(const Sample* mono, float* output) const {
    if (!all_finite(mono, window_samples())) {
        throw std::invalid_argument("sound with samples that are not finite");
    }
    const std::size_t bands = config_.mels * kLanes;
    std::vector<double> work((config_.n_fft + spectrum_.bins()) * kLanes + bands + spectrum_.scratch_size());
    std::vector<float> levels(bands);
    double* signal = work.data();
    double* power = signal + config_.n_fft * kLanes;
    double* energies = power + spectrum_.bins() * kLanes;
    double* scratch = energies + bands;
    for (std::size_t first = 0; first < config_.frames; first += kLanes) {
        const std::size_t count = std::min(kLanes, config_.frames - first);
        load_frames(mono, first, count, signal);
        spectrum_.run(signal, power, scratch);
        filter(power, energies);
        take_logs(energies, bands, config_.floor, static_cast<float>(config_.mean),
                  static_cast<float>(1.0 / config_.std), levels.data());
        write_frames(levels.data(), first, count, output);
    }
}

// Lanes beyond `count` repeat the last frame: their result is not read.
template <class Sample>
void LogMel::load_frames(const Sample* mono, std::size_t first, std::size_t count, double* signal) const {
    Frames<Sample> frames;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
        frames[lane] = mono + (first + std::min(lane, count - 1)) * config_.hop;
    }
    weigh(frames, hann_.data(), config_.n_fft, spectrum_.phases(), signal);
}

void LogMel::filter(const double* power, double* energies) const {
    for (const Filter& filter : filters_) {
        sum_bins(filter.weights.data(), power + filter.first_bin * kLanes, filter.weights.size(), energies);
        energies += kLanes;
    }
}

void LogMel::write_frames(const float* levels, std::size_t first, std::size_t count, float* output) const {
    for (std::size_t m = 0; m < config_.mels; ++m) {
        for (std::size_t lane = 0; lane < count; ++lane) {
            output[m * config_.frames + first + lane] = levels[m * kLanes + lane];
        }
    }
}

}  // namespace edge
