/**
 * @file slab.hpp
 * @box slab — blocks of one size, and the bits that say which are free
 *
 * A slab is a span of one to four units cut into equal blocks, or one large block of any length.
 * The blocks are the user's from the first byte to the last. What the allocator knows about them
 * lies in a record elsewhere:
 *
 *     units   | block 0 | block 1 | block 2 | …                       | slack |
 *               ▲ start
 *     record  start, block_bytes, class …     const while the slab is in use
 *             free_bits    1 1 0 1 …          owner: block i is free in the slab
 *             remote_bits  0 0 1 0 …          anybody: another thread freed block i
 *
 * Since a free block is a bit and not a link inside the block, allocating, freeing, flushing and
 * refilling touch no user memory, and what a program writes past the end of a block hurts the next
 * block and no record. A bit that is set twice is a double free, and a pointer that is not `start +
 * i * block_bytes` never came from malloc; both show when the bit is set, at no extra cost.
 *
 * A block that lies in a magazine counts as *not* free here: it has left the slab.
 *
 * Records are type-stable. A thread may hold a pointer to one while the slab goes out of use and
 * comes back for another class and heap; the remote protocol (middle/remote_bits) is built for
 * that. A record that is all zero is an unused one, so the pages of unused records can be given
 * back to the system.
 *
 * @owns      the free bits
 * @calls     back/page_map base/attributes base/bits base/size_class base/units os/environment
 *            os/virtual_memory
 * @threads   free bits and counts: the owner heap's lock. remote_bits, owner, dirty:
 *            middle/remote_bits. The rest is const from format() until the slab is released
 * @invariant I1 free_count is the number of free bits
 * @invariant I2 no bit is set beyond block_count
 * @invariant I3 no block is free and remotely freed at once
 * @invariant I4 every block from fresh_from on is free
 * @invariant I5 no word below first_word has a free bit; it is no_word when there is none at all
 * @failure   put() says "double free" instead of setting a bit twice
 * @cost      take: a few instructions a block, and a system call for some fresh pages; put: a few
 *            instructions a block or a word; bench: slab
 * @phase     introduced in 16; fresh pages in 20, remote bits a page away in 21, one product in 25
 */
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "back/page_map.hpp"
#include "base/attributes.hpp"
#include "base/bits.hpp"
#include "base/size_class.hpp"
#include "base/units.hpp"

namespace hakmem::back {

struct Superslab;

/** What a slab knows of the heap that owns it. Lives as long as the process. */
struct SlabOwner {
    /** Slabs of one class that have remote bits. */
    struct Notices {
        std::atomic<Slab*> sent{nullptr};  ///< Stack: anybody pushes, the owner takes all.
        Slab* taken = nullptr;  ///< What is left of those that were taken. Under the owner's lock.
    };
    std::atomic<std::uint64_t> noticed{0};  ///< Bit c: there may be notices of class c.
    std::uint32_t tag = 0;                  ///< const: the heap's tag in the page map.
    Notices notices[base::class_count];     ///< By class.
};

constexpr unsigned slab_words_max = base::slab_blocks_max / base::word_bits;  ///< 64.
constexpr unsigned no_word = slab_words_max;  ///< Above all words of a bitmap.

/**
 * @param blocks Blocks of a slab.
 * @return The words that a bitmap of them has.
 */
constexpr unsigned words_of(unsigned blocks) {
    return (blocks + base::word_bits - 1) / base::word_bits;
}

/** A word of remote bits lies so many words behind that of free bits: one page. */
constexpr unsigned remote_words_ahead = base::page_bytes / sizeof(std::uint64_t);

/** The record of a slab: two cache lines. All zero is the state of an unused one. */
struct alignas(base::cache_line_bytes) Slab {
    // const while in use
    char* start;                ///< First byte of block 0; unit-aligned.
    std::size_t block_bytes;    ///< Usable bytes of a block; for a large one, all that it has.
    Superslab* superslab;       ///< Where its units come from; null for an own mapping.
    std::uint64_t* free_bits;   ///< As many words as it has; the remote bits lie apart.
    std::uint32_t reciprocal;   ///< As in the class's row; 0 for a large block.
    std::uint16_t block_count;  ///< Blocks in the slab; 1 for a large one.
    base::ClassId class_id;     ///< A small class, or large.
    std::uint8_t unit_count;    ///< Units of the superslab that it covers; 0 for an own mapping.

    // under the owner's lock
    std::uint16_t free_count;  ///< Free blocks.
    std::uint16_t first_word;  ///< No word below this one has a free bit; no_word if none has.
    std::uint16_t reach;       ///< No block from this one on was taken since the last sweep.
    std::uint16_t fresh_from;  ///< Blocks from here on were never taken; block_count if not known.
    bool listed;               ///< Whether it stands in its heap's list of slabs with free blocks.
    bool stale;                ///< Whether blocks came back since its free pages were purged.
    bool kept_length;          ///< Of a large block: whether it is longer for want of memory.
    Slab* next;                ///< Towards the end of that list.

    // shared by the remote protocol, hence on a cache line of their own
    alignas(base::cache_line_bytes) std::atomic<SlabOwner*> owner;  ///< The heap, or null.
    std::atomic<Slab*> next_dirty;  ///< Next in a stack of notices, or in what is left of one.
    std::atomic<bool> dirty;        ///< Whether there is a notice that was not looked at.
    Slab* previous;                 ///< Under the owner's lock: towards the beginning of the list.

    /**
     * @param word Below word_count().
     * @return The remote bits of that word.
     */
    std::atomic<std::uint64_t>& remote_bits(unsigned word) const {
        return reinterpret_cast<std::atomic<std::uint64_t>*>(free_bits)[remote_words_ahead + word];
    }
    /** @return Words in use of each bitmap. */
    unsigned word_count() const { return words_of(block_count); }
    /** @return Whether no block is out. */
    bool empty() const { return free_count == block_count; }
};

static_assert(sizeof(Slab) == 2 * base::cache_line_bytes, "two lines, as the text says");

/** A block's place in its slab. */
struct BlockIndex {
    std::uint32_t value;  ///< Number of the block.
    /** @return The word of a bitmap that has its bit. */
    constexpr unsigned word() const { return value / base::word_bits; }
    /** @return Its bit in that word. */
    constexpr std::uint64_t bit() const { return std::uint64_t{1} << (value % base::word_bits); }
};

namespace slab {

// [index]
/**
 * Finds the block that an offset leads to, by multiplication with the reciprocal. The upper half of
 * the product is the block's index. The lower half is how far the offset lies into the block, as a
 * fraction of it: at the start of a block that is less than a byte's share, which is the reciprocal
 * (base/size_class has the proof).
 * @param offset Distance from the start of a slab; within its units.
 * @param reciprocal Of the slab's class.
 * @param block_count Blocks of the slab.
 * @param index Receives the block's index.
 * @return Whether a block starts there.
 */
HAK_FAST bool index_at(std::uint64_t offset, std::uint32_t reciprocal, unsigned block_count,
                       BlockIndex& index) {
    const std::uint64_t product = offset * reciprocal;
    index.value = static_cast<std::uint32_t>(product >> 32);
    return static_cast<std::uint32_t>(product) < reciprocal && index.value < block_count;
}

/**
 * Finds the block that a pointer points to.
 * @param slab A slab of a small class.
 * @param pointer A pointer into its units.
 * @param index Receives the block's index.
 * @return Whether the pointer is the start of a block.
 */
HAK_FAST bool index_of(const Slab& slab, const void* pointer, BlockIndex& index) {
    const auto offset = static_cast<std::uint64_t>(static_cast<const char*>(pointer) - slab.start);
    return index_at(offset, slab.reciprocal, slab.block_count, index);
}
// [/index]

/** What is known of the memory of a slab. */
enum class Pages : bool {
    unknown,  ///< Some may be resident, or part of a huge one.
    fresh,    ///< Nobody has touched one, and they were not asked for in huge ones.
};

/**
 * Makes an unused record the record of a slab whose blocks are all free.
 * @param slab The record; its place is described already (superslab::describe).
 * @param id A small class.
 * @param pages What is known of its memory.
 */
void format(Slab& slab, base::ClassId id, Pages pages = Pages::unknown);

/**
 * Takes free blocks out, lowest addresses first. Where that is the first use of several pages, they
 * are made resident together (os::populate).
 * @param slab The slab.
 * @param wanted Most blocks to take.
 * @param blocks Receives them, highest address first, so that a stack hands out the lowest first.
 * @return How many were taken.
 */
unsigned take(Slab& slab, unsigned wanted, std::atomic<void*>* blocks);

// [put]
/** What came of putting blocks back. */
enum class Put {
    done,    ///< They are free.
    lowest,  ///< They are free, and in front of all others; perhaps there were no others.
    twice,   ///< One of them was free already, and nothing has changed.
};

/**
 * Counts blocks that have just been put back.
 * @param slab The slab.
 * @param word The lowest word that has one of them.
 * @param count How many.
 * @return Put::lowest if no word below had a free bit, else Put::done.
 */
HAK_FAST Put note_put(Slab& slab, unsigned word, unsigned count) {
    slab.stale = true;
    slab.free_count = static_cast<std::uint16_t>(slab.free_count + count);
    // Most often it does not change, and a branch that is foreseen costs less than a store.
    if (HAK_LIKELY(word >= slab.first_word)) return Put::done;
    slab.first_word = static_cast<std::uint16_t>(word);
    return Put::lowest;
}

/**
 * Puts blocks back.
 * @param slab The slab.
 * @param word Index of a bitmap word.
 * @param bits The blocks of that word.
 * @return What came of it.
 */
HAK_FAST Put put(Slab& slab, unsigned word, std::uint64_t bits) {
    if (HAK_UNLIKELY((slab.free_bits[word] & bits) != 0)) return Put::twice;
    slab.free_bits[word] |= bits;
    return note_put(slab, word, base::bit_count(bits));
}

/**
 * Puts one block back.
 * @param slab The slab.
 * @param index The block.
 * @return What came of it.
 */
HAK_FAST Put put(Slab& slab, BlockIndex index) {
    std::uint64_t& word = slab.free_bits[index.word()];
    std::uint64_t bits = word;
    if (HAK_UNLIKELY(base::test_and_set(bits, index.value))) return Put::twice;
    word = bits;
    return note_put(slab, index.word(), 1);
}

/**
 * Puts blocks back that lie side by side.
 * @param slab The slab.
 * @param first The first of them.
 * @param count How many; the slab has so many from there on.
 * @return How many of them lie before the first that was free already; count if none was, and
 *         otherwise nothing has changed.
 */
inline unsigned put_run(Slab& slab, BlockIndex first, unsigned count) {
    const auto for_each_word = [&](auto visit) {
        for (unsigned done = 0; done < count;) {
            const unsigned block = first.value + done;
            const unsigned place = block % base::word_bits;
            const unsigned here = std::min(count - done, base::word_bits - place);
            visit(block / base::word_bits, base::bit_run(place, here));
            done += here;
        }
    };
    unsigned free_block = first.value + count;
    for_each_word([&](unsigned word, std::uint64_t bits) {
        const std::uint64_t twice = slab.free_bits[word] & bits;
        if (HAK_LIKELY(twice == 0)) return;
        free_block = std::min(free_block, word * base::word_bits + base::lowest_bit(twice));
    });
    if (HAK_UNLIKELY(free_block != first.value + count)) return free_block - first.value;
    for_each_word([&](unsigned word, std::uint64_t bits) { slab.free_bits[word] |= bits; });
    note_put(slab, first.word(), count);
    return count;
}
// [/put]

/**
 * Gives the pages on which every block is free back to the system. No other allocator record lies
 * on them, so this is possible while other blocks of the slab are in use.
 * @param slab A slab whose owner's lock is held.
 * @return Bytes given back.
 */
std::size_t purge_free_pages(Slab& slab);

/**
 * The same for those pages from which no block was taken since this was last called. Since takes
 * begin at the lowest address, they are the upper ones.
 * @param slab A slab whose owner's lock is held.
 */
void purge_quiet_pages(Slab& slab);

/**
 * @param slab A slab whose owner's lock is held.
 * @return The name of the first invariant that does not hold, or null.
 */
const char* validate(const Slab& slab);

}  // namespace slab
}  // namespace hakmem::back
