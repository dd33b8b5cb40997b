#include "sizes.hpp"

#include <algorithm>

namespace hakmem::model {

namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;
constexpr std::size_t probed_bytes_max = 64 * kib;
// An allocator with a usable size of its own for every request has no classes to speak of.
constexpr std::size_t probed_boundaries_max = 512;

// Uniform in the logarithm: each doubling is as likely as the next.
std::size_t draw_logarithmic(Random& random, unsigned low_bit, unsigned high_bit) {
    const std::uint64_t bit = random.between(low_bit, high_bit - 1);
    const std::uint64_t low = std::uint64_t{1} << bit;
    return static_cast<std::size_t>(low + random.below(low));
}

}  // namespace

SizeMix::SizeMix(const Subject& subject) {
    for (std::size_t size = 1; size <= probed_bytes_max;) {
        void* block = subject.malloc(size);
        const std::size_t usable = std::max(size, subject.usable_size(block));
        subject.free(block);
        boundaries_.push_back(usable);
        size = usable + 1;
    }
    if (boundaries_.size() > probed_boundaries_max) {
        std::vector<std::size_t> thinned;
        for (std::size_t i = 0; i < probed_boundaries_max; ++i) {
            thinned.push_back(boundaries_[i * boundaries_.size() / probed_boundaries_max]);
        }
        boundaries_ = thinned;
    }
    for (const std::size_t round :
         {64 * kib, 128 * kib, 256 * kib, mib, 2 * mib, 2 * mib + 64 * kib, 4 * mib}) {
        boundaries_.insert(boundaries_.end(), {round - 4 * kib, round, round + 4 * kib});
    }
}

std::size_t SizeMix::draw_at_boundary(Random& random) const {
    // Large ones are rare: each costs as much as thousands of small ones.
    const std::size_t count = boundaries_.size();
    const std::size_t small = count - 21;
    const std::size_t index = random.below(random.once_in(40) ? count : small);
    return boundaries_[index] - 1 + random.below(3);
}

std::size_t SizeMix::draw(Random& random) const {
    const std::uint64_t roll = random.below(1000);
    if (roll < 400) {
        return random.below(257);
    }
    if (roll < 650) {
        return draw_at_boundary(random);
    }
    if (roll < 850) {
        return draw_logarithmic(random, 4, 12);
    }
    if (roll < 970) {
        return draw_logarithmic(random, 10, 16);
    }
    if (roll < 998) {
        return draw_logarithmic(random, 15, 20);
    }
    return draw_logarithmic(random, 20, 23);
}

std::size_t SizeMix::draw_alignment(Random& random) {
    const std::uint64_t roll = random.below(100);
    const std::uint64_t bit = roll < 70   ? random.between(3, 8)
                              : roll < 97 ? random.between(9, 16)
                                          : random.between(17, 22);
    return std::size_t{1} << bit;
}

}  // namespace hakmem::model
