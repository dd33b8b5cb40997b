/**
 * @file superslab.hpp
 * @box superslab — 64 units whose occupancy is one word
 *
 * A superslab is 4 MiB of address space, cut into 64 units. Which units are taken is one 64-bit
 * word, so taking a run of units is: compute where a run of zeros begins, set its bits by
 * compare-and-swap. No lock, no list, and any class of any heap may take any unit.
 *
 *     units   | 0 | 1 | 2 | 3 | 4 | …                    | 63 |   4 MiB, aligned to 4 MiB
 *     taken     1   1   0   1   0   …                      0
 *     recent    0   0   1   0   0   …      free, pages perhaps resident, freed lately
 *     old       0   0   0   0   1   …      the same, and a sweep older
 *
 * The words `recent` and `old` are the two generations of dirty units: a unit whose pages may hold
 * old contents. A free unit in neither reads as zero, which calloc uses.
 *
 * **Huge pages.** A superslab has place for two huge pages of 32 units each. A run that is the
 * first in one *opens* it, and whoever took the run says whether that page shall be huge
 * (back/shared_pool). Touching one unit of a huge page makes all 32 resident, so what a purge gives
 * back is the whole page, once none of its units is taken or was freed lately. If some are, a page
 * of which half is free is *broken up*: the free units are given back, and the rest stays in small
 * pages, which the kernel is told not to join again. With less, it stays: a few units are not worth
 * the faults that all others would cost from then on. `malloc_trim` breaks up every page of which
 * there is something to give. What was given back whole is opened anew. Who wants huge pages can
 * leave clean units of small ones to others (`Within`). Where the kernel takes the wish and has no
 * huge pages, all this holds all the same, for nothing.
 *
 * Where address space is short a wholly free superslab gives its memory up. Its record stays, with
 * all units taken, until it gets memory again.
 *
 * Whoever wants to do something to free units *takes* them first, purging included. That one rule
 * replaces a lock: a taken unit has one master.
 *
 * The records of its slabs and their bitmaps lie outside the superslab, on pages of their own. Most
 * slabs have few blocks, so each unit has a place for bitmaps of 8, 16, 32 and 64 words, and those
 * of one length share pages: free bits have one, and the remote bits that belong to them the next.
 * What is never touched is never resident.
 *
 *     | records | 8 words: 64 units | 16 words: 32 units | 32 more | 32 words: 16 units | …
 *                  free     remote     free      remote
 *
 * All zero is a valid state of a page of these while no slab on it is in use, so it too is given
 * back when all units that it serves are free.
 *
 * @owns      its words; its slab records while they are unused
 * @calls     base/bits base/size_class base/units back/huge_pages back/meta_arena back/page_map
 *            back/slab os/virtual_memory
 * @threads   any; the words are atomic. Taking is acquire, giving back is release: what the last
 *            master wrote to a unit is seen by the next
 * @invariant I1 a unit is in at most one of the two dirty generations
 * @invariant I2 the record of a slab in use leads to the bitmaps of its unit, of its length
 * @failure   take() gives a run without a superslab when there is none
 * @cost      one compare-and-swap a run; bench: superslab
 * @phase     introduced in 16; huge pages in 18, bitmaps by length in 21, one page at a time in 24,
 *            runs within huge pages in 27
 */
#pragma once

#include <atomic>
#include <cstdint>

#include "back/slab.hpp"
#include "base/size_class.hpp"
#include "base/units.hpp"
#include "os/virtual_memory.hpp"

namespace hakmem::back {

/** The record of a superslab. */
struct Superslab {
    std::atomic<char*>
        start;            ///< First byte, aligned to superslab_bytes; null while it has no memory.
    std::uint32_t index;  ///< const: its number in the pool's directory.
    alignas(base::cache_line_bytes) std::atomic<std::uint64_t> taken;  ///< Units with a master.
    std::atomic<std::uint64_t> recent;      ///< Dirty units of the younger generation.
    std::atomic<std::uint64_t> old;         ///< Dirty units of the older generation.
    std::atomic<std::uint64_t> huge;        ///< Units whose pages are to be huge.
    std::atomic<base::ClassId> only_class;  ///< Whose it is where superslabs are not shared.
    Slab* slabs;  ///< const: record i serves a slab that begins at unit i; the bitmaps follow.
};

/** Some units of a superslab, all of them the holder's. */
struct Run {
    Superslab* superslab = nullptr;  ///< Null means "none could be had".
    unsigned first = 0;              ///< First unit.
    base::Units count{0};            ///< How many.
    bool zero = false;               ///< Whether the memory reads as zero.
    std::uint64_t opened = 0;        ///< All units of the huge pages that it is the first in.

    /** @return First byte. */
    char* start() const {
        return superslab->start.load(std::memory_order_relaxed) + base::Units{first}.bytes();
    }
    /** @return The bits of the units in the superslab's words. */
    std::uint64_t bits() const { return base::bit_run(first, count.value); }
};

/** Where a run may be taken. */
enum class Within : unsigned char {
    all,   ///< Anywhere.
    huge,  ///< In huge pages, in untouched ones, which it opens, and in dirty units of any.
};

/** Which free units a purge gives back. */
enum class Extent : unsigned char {
    due,    ///< Those of the older generation.
    dirty,  ///< Those of both.
    all,    ///< These, and what is free of huge pages that are partly in use, even if it is clean.
};

namespace superslab {

/**
 * Makes the record of a superslab, which has no memory yet: all its units are taken.
 * @param index Its number in the directory.
 * @return The record, or null without memory.
 */
Superslab* create(std::uint32_t index);

/**
 * Gives a superslab memory. All its units are free and clean then.
 * @param superslab One without memory.
 * @param start superslab_bytes, mapped, zero, and with a leaf in the page map. Its pages are to be
 *        those that `huge` says.
 */
void occupy(Superslab& superslab, char* start);

/**
 * Takes the memory of a wholly free superslab away. What `huge` says of it stays.
 * @param superslab The superslab.
 * @return The memory, which is now the caller's to unmap; null when a unit is taken.
 */
char* vacate(Superslab& superslab);

/**
 * Takes a run of free units.
 * @param superslab The superslab.
 * @param count Length of the run, 1 to 64.
 * @param alignment The run begins at a multiple of so many units; a power of two up to 64.
 * @param within Where it may lie. While others take units or purge them, it may lie elsewhere.
 * @return The run; its superslab is null when there is none.
 */
Run take(Superslab& superslab, base::Units count, unsigned alignment, Within within = Within::all);

/**
 * Takes the units just behind a run, in the pages that are there.
 * @param run The run; it grows.
 * @param count How long it shall be.
 * @return Whether it is so long now.
 */
bool extend(Run& run, base::Units count);

/**
 * Prepares the record of the slab that begins where a run begins.
 * @param run The units, which the caller has taken.
 * @param words How many words each of its bitmaps has, 1 to slab_words_max.
 * @return The record, with its place and its bitmaps' described.
 */
Slab& describe(const Run& run, unsigned words);

/**
 * @param slab A slab in use, of a superslab.
 * @return The units that it covers.
 */
Run run_of(Slab& slab);

/**
 * Gives units back.
 * @param run The units; those of their pages that were touched may be resident.
 */
void give_back(const Run& run);

/**
 * Says in which pages memory comes from now on. What is resident stays as it is, and so does all if
 * the kernel refuses.
 * @param superslab The superslab. Only one thread at a time may do this, break up or purge.
 * @param units All units of some huge pages.
 * @param size The pages that they shall come in.
 */
void prefer(Superslab& superslab, std::uint64_t units, os::PageSize size);

/**
 * Breaks up the huge pages that some units lie in, so that a part of them can be given back. The
 * free units of these pages go at once: they are resident even if nobody has touched them.
 * @param run The units. Only one thread at a time may do this, prefer or purge.
 * @return Bytes given back to the system.
 */
std::size_t break_up(const Run& run);

/**
 * @param superslab The superslab.
 * @param extent What is to go.
 * @return The units that a purge would give back or let age.
 */
std::uint64_t purgeable(const Superslab& superslab, Extent extent);

/**
 * Gives free units back to the system, and lets those of the younger generation age that stay.
 * @param superslab The superslab. Only one thread at a time may do this, prefer or break up.
 * @param extent What is to go.
 * @return Bytes given back to the system.
 */
std::size_t purge(Superslab& superslab, Extent extent);

/**
 * @param superslab The superslab.
 * @return The name of the first invariant that does not hold, or null.
 */
const char* validate(const Superslab& superslab);

/**
 * @param slab A slab in use whose owner's lock is held.
 * @return The name of the first invariant of superslabs that its record breaks, or null.
 */
const char* validate_record(const Slab& slab);

}  // namespace superslab
}  // namespace hakmem::back
