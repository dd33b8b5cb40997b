#include "back/slab.hpp"

#include <algorithm>

#include "os/environment.hpp"
#include "os/virtual_memory.hpp"

namespace hakmem::back::slab {

void format(Slab& slab, base::ClassId id, Pages pages) {
    const base::SizeClass& row = base::row(id);
    slab.block_bytes = row.block_bytes;
    slab.reciprocal = row.reciprocal;
    slab.block_count = static_cast<std::uint16_t>(row.blocks);
    slab.class_id = id;
    slab.free_count = slab.block_count;
    slab.first_word = slab.reach = 0;
    slab.fresh_from = pages == Pages::fresh ? std::uint16_t{0} : slab.block_count;
    slab.listed = slab.stale = false;
    slab.next = slab.previous = nullptr;
    const unsigned words = slab.word_count();
    std::fill_n(slab.free_bits, words, ~std::uint64_t{0});
    const unsigned used_bits = slab.block_count - (words - 1) * base::word_bits;
    slab.free_bits[words - 1] = base::bit_run(0, used_bits);
}

namespace {

// [populate]
// Blocks below `end` are about to be handed out, and whoever gets them will write to them. Each
// page would cost a fault. A block of more than a page may be meant for something shorter, so its
// pages wait for what is written.
void populate(Slab& slab, unsigned end) {
    constexpr std::size_t least_bytes = 4 * base::page_bytes;  // fewer are not worth the call
    const std::size_t first = base::round_up(slab.fresh_from * slab.block_bytes, base::page_bytes);
    const std::size_t last = base::round_up(end * slab.block_bytes, base::page_bytes);
    slab.fresh_from = static_cast<std::uint16_t>(end);
    if (slab.block_bytes > base::page_bytes) return;
    const std::size_t bytes = std::min<std::size_t>(last - first, os::options().populate);
    if (bytes >= least_bytes) os::populate(slab.start + first, bytes - bytes % base::page_bytes);
}
// [/populate]

}  // namespace

// [take]
unsigned take(Slab& slab, unsigned wanted, std::atomic<void*>* blocks) {
    wanted = std::min(wanted, unsigned{slab.free_count});
    // The lowest address goes to the end of the array. Where that is depends on how many there are,
    // which is known before the first is taken.
    std::atomic<void*>* place = blocks + wanted;
    // Locals: the compiler would read the record anew after each store.
    const std::size_t block_bytes = slab.block_bytes;
    char* const start = slab.start;
    std::uint64_t* const free_bits = slab.free_bits;
    unsigned word = slab.first_word;
    while (place > blocks) {
        std::uint64_t bits = free_bits[word];
        char* const word_start = start + word * base::word_bits * block_bytes;
        if (bits == ~std::uint64_t{0} && place - blocks >= std::ptrdiff_t{base::word_bits}) {
            char* block = word_start;
#pragma GCC unroll 8
            for (unsigned i = 0; i < base::word_bits; i++, block += block_bytes) {
                (--place)->store(block, std::memory_order_relaxed);
            }
            free_bits[word++] = 0;
            continue;
        }
        while (bits != 0 && place > blocks) {
            (--place)->store(word_start + base::lowest_bit(bits) * block_bytes,
                             std::memory_order_relaxed);
            bits &= bits - 1;
        }
        free_bits[word] = bits;
        if (bits == 0) word++;
    }
    slab.free_count = static_cast<std::uint16_t>(slab.free_count - wanted);
    slab.first_word = static_cast<std::uint16_t>(slab.free_count > 0 ? word : no_word);
    BlockIndex highest{};
    if (wanted > 0 && index_of(slab, blocks[0].load(std::memory_order_relaxed), highest)) {
        slab.reach = std::max(slab.reach, static_cast<std::uint16_t>(highest.value + 1));
        if (highest.value >= slab.fresh_from) populate(slab, highest.value + 1);
    }
    return wanted;
}
// [/take]

namespace {

// Whether the blocks from `first` to `last` are all free.
bool all_free(const Slab& slab, unsigned first, unsigned last) {
    for (unsigned word = first / base::word_bits; word <= last / base::word_bits; word++) {
        const unsigned begin = std::max(first, word * base::word_bits) % base::word_bits;
        const unsigned end = std::min(last, word * base::word_bits + 63) % base::word_bits;
        const std::uint64_t wanted = base::bit_run(begin, end - begin + 1);
        if ((slab.free_bits[word] & wanted) != wanted) return false;
    }
    return true;
}

// [purge]
// Purges the free pages from an offset on, which is a page's.
std::size_t purge_from(Slab& slab, std::size_t run) {
    const std::size_t span = base::Units{slab.unit_count}.bytes();
    const unsigned last_block = slab.block_count - 1u;
    std::size_t purged = 0;
    while (run < span) {
        std::size_t end = run;
        for (; end < span; end += base::page_bytes) {
            // What lies behind the last block belongs to the last block's pages.
            const auto first = static_cast<unsigned>(end / slab.block_bytes);
            const auto last =
                static_cast<unsigned>((end + base::page_bytes - 1) / slab.block_bytes);
            if (!all_free(slab, std::min(first, last_block), std::min(last, last_block))) break;
        }
        if (end > run) {
            if (os::purge(slab.start + run, end - run)) {
                purged += end - run;
            } else {
                slab.stale = true;  // to be offered again
            }
        }
        run = end + base::page_bytes;
    }
    return purged;
}

}  // namespace

std::size_t purge_free_pages(Slab& slab) {
    if (!slab.stale) return 0;
    slab.stale = false;
    return purge_from(slab, 0);
}

void purge_quiet_pages(Slab& slab) {
    const std::size_t reach = base::round_up(slab.reach * slab.block_bytes, base::page_bytes);
    slab.reach = 0;
    if (!slab.stale || slab.free_count * slab.block_bytes < base::page_bytes) return;
    // What lies below is looked at again.
    slab.stale = reach != 0;
    purge_from(slab, reach);
}
// [/purge]

const char* validate(const Slab& slab) {
    unsigned free_count = 0;
    const unsigned words = slab.word_count();
    for (unsigned w = 0; w < words; w++) {
        free_count += base::bit_count(slab.free_bits[w]);
        if ((slab.free_bits[w] & slab.remote_bits(w).load(std::memory_order_relaxed)) != 0) {
            return "slab I3";
        }
    }
    if (free_count != slab.free_count) return "slab I1";
    const bool has_fresh = slab.fresh_from < slab.block_count;
    if (has_fresh && !all_free(slab, slab.fresh_from, slab.block_count - 1u)) return "slab I4";
    const std::uint64_t beyond = ~base::bit_run(0, slab.block_count - (words - 1) * 64);
    const std::uint64_t remote = slab.remote_bits(words - 1).load(std::memory_order_relaxed);
    if (((slab.free_bits[words - 1] | remote) & beyond) != 0) return "slab I2";
    const auto* const first_free = std::find_if(slab.free_bits, slab.free_bits + words,
                                                [](std::uint64_t bits) { return bits != 0; });
    const bool any_free = first_free < slab.free_bits + words;
    if (any_free ? slab.first_word > first_free - slab.free_bits : slab.first_word != no_word) {
        return "slab I5";
    }
    return nullptr;
}

}  // namespace hakmem::back::slab
