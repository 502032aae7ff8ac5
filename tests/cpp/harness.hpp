// A test is a function; a failed check says where and ends the program.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>

// How many of `all` rounds a long random test plays: fewer where EDGE_TEST_PERCENT says so (under emulation).
inline std::size_t rounds(std::size_t all) {
    const char* const percent = std::getenv("EDGE_TEST_PERCENT");
    const std::size_t some = percent == nullptr ? all : all * std::strtoull(percent, nullptr, 10) / 100;
    return some > 0 ? some : 1;
}

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                                      \
        }                                                                                      \
    } while (false)

#define CHECK_NEAR(a, b, tolerance)                                                                           \
    do {                                                                                                      \
        const double left = (a), right = (b);                                                                 \
        if (!(std::fabs(left - right) <= (tolerance))) {                                                      \
            std::fprintf(stderr, "%s:%d: %s is %.9g, %s is %.9g\n", __FILE__, __LINE__, #a, left, #b, right); \
            std::exit(1);                                                                                     \
        }                                                                                                     \
    } while (false)

#define CHECK_THROWS(expression, Exception)                                                                \
    do {                                                                                                   \
        bool thrown = false;                                                                               \
        try {                                                                                              \
            static_cast<void>(expression);                                                                 \
        } catch (const Exception&) {                                                                       \
            thrown = true;                                                                                 \
        }                                                                                                  \
        if (!thrown) {                                                                                     \
            std::fprintf(stderr, "%s:%d: %s throws no %s\n", __FILE__, __LINE__, #expression, #Exception); \
            std::exit(1);                                                                                  \
        }                                                                                                  \
    } while (false)
