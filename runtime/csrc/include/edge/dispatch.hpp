// Run-time dispatch of hot loops: one clone for AVX2 hosts, one for the baseline. Floating-point contraction is
// off (see CMakeLists.txt), so both clones give the same bits.
#pragma once

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(EDGE_NO_CLONES)
#define EDGE_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define EDGE_CLONES
#endif

#define EDGE_INLINE inline __attribute__((always_inline))

// Before a loop whose inputs and outputs never overlap, which the compiler cannot see.
#if defined(__GNUC__) && !defined(__clang__)
#define EDGE_INDEPENDENT _Pragma("GCC ivdep")
#else
#define EDGE_INDEPENDENT
#endif

// Asks for memory that is read soon.
#if defined(__GNUC__)
#define EDGE_PREFETCH(address) __builtin_prefetch(address)
#else
#define EDGE_PREFETCH(address) static_cast<void>(address)
#endif
