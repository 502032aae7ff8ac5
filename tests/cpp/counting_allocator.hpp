// Replaces the global allocator by one that counts; for one file of a program only.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace counting {

inline std::atomic<std::uint64_t> allocations{0}, bytes{0};

inline void* counted(std::size_t size) {
    ++allocations;
    bytes += size;
    void* const memory = std::malloc(size > 0 ? size : 1);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}

inline void* counted(std::size_t size, std::align_val_t alignment) {
    ++allocations;
    bytes += size;
    const std::size_t step = static_cast<std::size_t>(alignment);
    void* const memory = std::aligned_alloc(step, (size + step - 1) / step * step);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}

}  // namespace counting

void* operator new(std::size_t size) { return counting::counted(size); }
void* operator new[](std::size_t size) { return counting::counted(size); }
void* operator new(std::size_t size, std::align_val_t alignment) { return counting::counted(size, alignment); }
void* operator new[](std::size_t size, std::align_val_t alignment) { return counting::counted(size, alignment); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
