#include "pattern.hpp"

#include <algorithm>
#include <cstring>

namespace hakmem::model {

namespace {

constexpr std::size_t word_bytes = sizeof(std::uint64_t);
constexpr std::size_t end_bytes = 512;
constexpr std::size_t spread_words = 16;
constexpr std::size_t zero_checked_whole_bytes_max = 32768;
constexpr std::size_t zero_stride_bytes = 512;

std::uint64_t word_at(std::uint64_t seed, std::size_t offset) {
    return seed + (offset / word_bytes) * 0x9e3779b97f4a7c15U;
}

void fill_region(std::byte* block, std::size_t from, std::size_t to, std::uint64_t seed) {
    for (; from + word_bytes <= to; from += word_bytes) {
        const std::uint64_t word = word_at(seed, from);
        std::memcpy(block + from, &word, word_bytes);
    }
    if (from < to) {
        const std::uint64_t word = word_at(seed, from);
        std::memcpy(block + from, &word, to - from);
    }
}

std::size_t check_region(const std::byte* block, std::size_t from, std::size_t to,
                         std::uint64_t seed) {
    for (; from + word_bytes <= to; from += word_bytes) {
        const std::uint64_t word = word_at(seed, from);
        if (std::memcmp(block + from, &word, word_bytes) != 0) {
            return from;
        }
    }
    if (from < to) {
        const std::uint64_t word = word_at(seed, from);
        if (std::memcmp(block + from, &word, to - from) != 0) {
            return from;
        }
    }
    return all_intact;
}

// Calls visit(from, to) for each region of a block that carries the pattern, until it returns
// false. Every `from` is a multiple of the word.
template <typename Visit>
void for_each_region(std::size_t bytes, Visit visit) {
    if (bytes <= filled_whole_bytes_max) {
        visit(std::size_t{0}, bytes);
        return;
    }
    const std::size_t tail = (bytes - end_bytes) / word_bytes * word_bytes;
    const std::size_t stride = (tail - end_bytes) / (spread_words + 1) / word_bytes * word_bytes;
    if (!visit(std::size_t{0}, end_bytes)) {
        return;
    }
    for (std::size_t i = 1; i <= spread_words; ++i) {
        const std::size_t from = end_bytes + i * stride;
        if (!visit(from, from + word_bytes)) {
            return;
        }
    }
    visit(tail, bytes);
}

}  // namespace

void fill_pattern(void* block, std::size_t bytes, std::uint64_t seed) {
    auto* base = static_cast<std::byte*>(block);
    for_each_region(bytes, [&](std::size_t from, std::size_t to) {
        fill_region(base, from, to, seed);
        return true;
    });
}

std::size_t check_pattern(const void* block, std::size_t bytes, std::uint64_t seed,
                          std::size_t limit) {
    const auto* base = static_cast<const std::byte*>(block);
    std::size_t wrong = all_intact;
    for_each_region(bytes, [&](std::size_t from, std::size_t to) {
        if (from >= limit) {
            return false;
        }
        wrong = check_region(base, from, std::min(to, limit), seed);
        return wrong == all_intact;
    });
    return wrong;
}

std::size_t check_zero(const void* block, std::size_t bytes) {
    const auto* base = static_cast<const std::byte*>(block);
    const std::size_t whole = std::min(bytes, zero_checked_whole_bytes_max);
    if (whole > 0 && (base[0] != std::byte{0} || std::memcmp(base, base + 1, whole - 1) != 0)) {
        return static_cast<std::size_t>(
            std::find_if(base, base + whole, [](std::byte b) { return b != std::byte{0}; }) - base);
    }
    for (std::size_t offset = whole; offset < bytes; offset += zero_stride_bytes) {
        if (base[offset] != std::byte{0}) {
            return offset;
        }
    }
    if (bytes > 0 && base[bytes - 1] != std::byte{0}) {
        return bytes - 1;
    }
    return all_intact;
}

}  // namespace hakmem::model
