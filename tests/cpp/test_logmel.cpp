#include <complex>
#include <random>
#include <stdexcept>
#include <vector>

#include "edge/logmel.hpp"
#include "edge/natural_log.hpp"
#include "harness.hpp"

namespace {

constexpr double kPi = 3.14159265358979323846;

std::vector<double> random_signal(std::size_t count) {
    std::mt19937 random(3);
    std::normal_distribution<double> normal;
    std::vector<double> signal(count);
    for (double& value : signal) {
        value = normal(random);
    }
    return signal;
}

double direct_power(const std::vector<double>& signal, std::size_t lane, std::size_t n, std::size_t k) {
    std::complex<double> sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const double angle = -2 * kPi * static_cast<double>(i * k % n) / static_cast<double>(n);
        sum += signal[i * edge::kLanes + lane] * std::polar(1.0, angle);
    }
    return std::norm(sum);
}

// Sample i goes to phase i % phases.
std::vector<double> in_phases(const std::vector<double>& signal, std::size_t phases) {
    std::vector<double> phased;
    for (std::size_t phase = 0; phase < phases; ++phase) {
        for (std::size_t i = phase * edge::kLanes; i < signal.size(); i += phases * edge::kLanes) {
            phased.insert(phased.end(), signal.begin() + static_cast<std::ptrdiff_t>(i),
                          signal.begin() + static_cast<std::ptrdiff_t>(i + edge::kLanes));
        }
    }
    return phased;
}

void spectra_of_every_length_equal_the_definition() {
    for (std::size_t n = 2; n <= 130; ++n) {
        const edge::PowerSpectrum spectrum(n);
        const std::vector<double> signal = random_signal(n * edge::kLanes);
        std::vector<double> power(spectrum.bins() * edge::kLanes), scratch(spectrum.scratch_size());
        std::vector<double> phased = in_phases(signal, spectrum.phases());
        spectrum.run(phased.data(), power.data(), scratch.data());
        for (std::size_t k = 0; k < spectrum.bins(); ++k) {
            for (std::size_t lane = 0; lane < edge::kLanes; ++lane) {
                CHECK_NEAR(power[k * edge::kLanes + lane], direct_power(signal, lane, n, k),
                           1e-9 * static_cast<double>(n));
            }
        }
    }
}

void the_logarithm_equals_the_librarys() {
    for (float x = 1.2e-38F; x < 3e38F; x *= 1.00317F) {
        const double expected = std::log(static_cast<double>(x));
        CHECK_NEAR(edge::natural_log(x), expected, 3e-7 * std::fabs(expected) + 1e-9);
    }
    CHECK(edge::natural_log(1.0F) == 0.0F);
}

edge::LogMelConfig config() { return {40, 7, 16000, 400, 160, 50, 8000, 1e-6, -4, 4}; }

void silence_is_the_floor() {
    const edge::LogMel logmel(config());
    const std::vector<float> samples(logmel.window_samples(), 0.0F);
    std::vector<float> out(40 * 7, 99.0F);
    logmel.run(samples.data(), 1, 0, out.data());
    for (const float value : out) {
        CHECK_NEAR(value, (std::log(1e-6) + 4) / 4, 1e-6);
    }
}

void huge_samples_stay_finite() {
    const edge::LogMel logmel(config());
    std::vector<float> samples(logmel.window_samples(), 0.0F);
    for (std::size_t i = 0; i < samples.size(); ++i) {
        samples[i] = i % 2 == 0 ? 3e38F : -3e38F;
    }
    std::vector<float> out(40 * 7);
    logmel.run(samples.data(), 1, 0, out.data());
    for (const float value : out) {
        CHECK(std::isfinite(value));
    }
}

void nonsense_is_refused() {
    edge::LogMelConfig bad = config();
    bad.f_max_hz = 9000;
    CHECK_THROWS(edge::LogMel(bad), std::invalid_argument);
    bad = config();
    bad.n_fft = 1;
    CHECK_THROWS(edge::LogMel(bad), std::invalid_argument);
    const edge::LogMel logmel(config());
    std::vector<float> samples(logmel.window_samples(), 0.0F), out(40 * 7);
    CHECK_THROWS(logmel.run(samples.data(), 0, 0, out.data()), std::invalid_argument);
    samples.back() = std::nanf("");
    CHECK_THROWS(logmel.run(samples.data(), 1, 0, out.data()), std::invalid_argument);
}

}  // namespace

int main() {
    spectra_of_every_length_equal_the_definition();
    the_logarithm_equals_the_librarys();
    silence_is_the_floor();
    huge_samples_stay_finite();
    nonsense_is_refused();
}
