// The recent messages of one stream in the order of their stamps, in a ring of fixed size.
#pragma once

#include <cstddef>
#include <vector>

#include "edge/sync/policy.hpp"

namespace edge::sync {

class History {
 public:
    // Room for at least `capacity` records.
    explicit History(std::size_t capacity);

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    std::size_t capacity() const { return ring_.size(); }
    bool full() const { return size_ == ring_.size(); }
    Record& at(std::size_t position) { return ring_[(head_ + position) & mask_]; }
    const Record& at(std::size_t position) const { return ring_[(head_ + position) & mask_]; }
    const Record& front() const { return at(0); }
    const Record& back() const { return at(size_ - 1); }

    // How many records have stamps up to and including `stamp_ns`.
    std::size_t count_until(Nanos stamp_ns) const;
    bool contains(Nanos stamp_ns) const;

    // Inserts behind all records with stamps up to its own; there must be room.
    void insert(const Record& record);
    void pop_front();
    void erase(std::size_t position);

 private:
    std::vector<Record> ring_;
    std::size_t mask_;
    std::size_t head_ = 0;
    std::size_t size_ = 0;
};

}  // namespace edge::sync
