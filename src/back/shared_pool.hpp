/**
 * @file shared_pool.hpp
 * @box shared_pool — all superslabs, and any slot for any class (SP-SLOT)
 *
 * Allocators that give each size class its own large chunks hold a mostly empty chunk for each
 * class. Here the units of every superslab are open to every class and every heap. A heap that
 * needs a slab asks in stages:
 *
 *     1  its own empty slab of that class            front/thread_heap, no atomics
 *     2  a superslab that has room, lowest first     compare-and-swap on its word
 *     3  a superslab made for the purpose            under the lock
 *
 * Lowest first keeps the heap dense: high superslabs run empty and can be purged. The directory has
 * one bit for each superslab that may have room, so the search skips the full ones 64 at a time.
 *
 * Address space is reserved in steps that double from 64 MiB to 1 GiB, or to a sixteenth of the
 * process's limit, and are halved when the kernel refuses. It is committed one superslab at a time.
 * Programs under `ulimit -v`, strict overcommit or mlockall thus pay for what they use.
 *
 * Once the kernel has refused address space, reservations are as small as can be. Whoever finds
 * that memory has run out gives back what is reserved and not committed. Where the process has a
 * limit (RLIMIT_AS, RLIMIT_DATA) and superslabs make up more than half of it, memory is *tight*:
 * what is free in the superslabs at hand is collected before there is another one, and one that
 * runs empty is unmapped at once. The program may want the space for a thread's stack. What is
 * below that half is never given up, so that what was freed serves again even if the kernel refuses
 * everything.
 *
 * **Who takes the first unit of an untouched huge page decides what pages there will be.** They are
 * huge if what that may waste is little beside the heap (back/huge_pages). A *dense* run may waste
 * a part of what it leaves of the page. A *growing* class will fill the page soon, and may waste
 * some of the last one. *Sparse* use may waste each page, which would be resident for a few blocks.
 * Who is not sparse and would have huge pages leaves clean units of small ones to others. It takes
 * them all the same where sixteen superslabs have room and none for it; and once the kernel has
 * refused huge pages or a superslab, everybody does for good. What back/large maps by itself is a
 * part of the heap, so it is counted here.
 *
 * The option `sp_slot` turns the sharing off, so that its worth can be measured: a superslab then
 * serves the one class that came to it first, until it is wholly free.
 *
 * **The room bit.** A searcher that finds a superslab full clears its bit, then looks again;
 * whoever frees units does so first and sets the bit after. Both sides are sequentially consistent,
 * so at least one of them sees the other, and no superslab with room stays hidden.
 *
 * @owns      the directory, the reservation, the count of what is mapped beside superslabs
 * @calls     back/huge_pages back/meta_arena back/page_map back/slab back/superslab
 *            base/attributes base/bits base/lock_rank base/size_class base/units os/clock
 *            os/environment os/futex_lock os/virtual_memory
 * @threads   any; stage 2 lock-free, except for the first run in a huge page; that, stage 3 and
 *            purging under the lock
 * @invariant I1 every superslab that has a free unit has its room bit set
 * @failure   a null superslab or slab when the kernel gives no more memory; nothing is lost
 * @cost      stage 2: a search over bits and one compare-and-swap; once in 2 MiB the lock, and a
 *            system call if the size of pages changes; bench: shared_pool
 * @phase     the idea is the recorded SP-SLOT; reshaped in 16; fresh slabs in 20, the
 *            size of the heap in 21, dense and sparse use in 24, growing use in 26,
 *            clean small pages left to others in 27
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "back/slab.hpp"
#include "back/superslab.hpp"
#include "base/size_class.hpp"
#include "base/units.hpp"
#include "os/futex_lock.hpp"

namespace hakmem::back::shared_pool {

/** Whether a superslab may be made for a request. */
enum class Growth : bool {
    refused,  ///< Stage 2 only.
    allowed,  ///< Stage 3 too.
};

/** How much of some memory, and of what will be taken after it, will probably be touched. */
enum class Use : std::uint8_t {
    sparse,   ///< Perhaps little.
    dense,    ///< Most of it; of what comes after it nothing is known.
    growing,  ///< Most, and soon as much again.
};

/**
 * Takes a run of units.
 * @param count Length of the run, 1 to 64.
 * @param alignment In units; a power of two up to 64.
 * @param growth Whether stage 3 is open.
 * @param use Decides about pages that nobody has touched.
 * @param id The class of the blocks that will be there.
 * @return The run; its superslab is null when there is none.
 */
Run take(base::Units count, unsigned alignment, Growth growth, Use use = Use::sparse,
         base::ClassId id = base::ClassId::large);

/**
 * Gives units back.
 * @param run The units; no entry of the page map may lead to them any more.
 */
void give_back(const Run& run);

/**
 * Takes units and makes them a slab.
 * @param id A small class.
 * @param owner The heap that will own it.
 * @param growth Whether stage 3 is open.
 * @param use Decides about pages that nobody has touched.
 * @return The slab, all of whose blocks are free, or null.
 */
Slab* acquire_slab(base::ClassId id, SlabOwner& owner, Growth growth, Use use = Use::sparse);

/**
 * Gives a slab back. Only its owner may, and only when all its blocks are free.
 * @param slab The slab; its record lives on.
 */
void release_slab(Slab& slab);

/**
 * Gives back what is reserved and not mapped yet, and reserves in small steps again. It may be what
 * the allocator's own records or a thread's stack need.
 */
void trim_reservation();

/** @return How many superslabs there are. */
std::uint32_t superslab_count();

/**
 * @param i Below superslab_count().
 * @return The i-th superslab.
 */
Superslab& superslab_at(std::uint32_t i);

/**
 * Purges a superslab's free units; see superslab::purge.
 * @param i Below superslab_count().
 * @param extent What is to go.
 * @return Bytes given back to the system.
 */
std::size_t purge(std::uint32_t i, Extent extent);

/**
 * Gives the pages back on which all blocks of a slab are free, and breaks up huge pages for that;
 * see slab::purge_free_pages.
 * @param slab A slab whose owner's lock is held.
 * @return Bytes given back to the system.
 */
std::size_t purge_within(Slab& slab);

/**
 * @param slab A slab in use.
 * @return Whether some of it lies in a huge page, which giving back a page would break up.
 */
bool is_huge(Slab& slab);

/** @return Bytes of the superslabs that have memory. */
std::size_t mapped_bytes();

/**
 * Counts what is mapped beside the superslabs.
 * @param bytes That so many are mapped now, or, if negative, no longer are.
 */
void note_mapped(std::ptrdiff_t bytes);

/** @return Bytes that are mapped beside the superslabs. */
std::size_t noted_bytes();

/** @return Bytes of the superslabs that have memory, and of what is mapped beside them. */
std::size_t heap_bytes();

/**
 * @param others Bytes that count with the superslabs.
 * @return Whether superslabs make up more than half of what the process may map. Whoever needs one
 *         more should rather collect what is free in the ones that there are.
 */
bool is_tight(std::size_t others = 0);

/** @return Whether half of all units are free, or more. Looks at every superslab. */
bool is_sparse();

/** After fork, in the child: sets the room bits that vanished threads were about to set. */
void renew_room();

/** @return Bytes of address space reserved for superslabs. */
std::size_t reserved_bytes();

/** @return The name of the first invariant that does not hold, or null. */
const char* validate();

/** @return This box's lock, for fork; while it is held, no superslab is unmapped. */
os::FutexLock& fork_lock();

}  // namespace hakmem::back::shared_pool
