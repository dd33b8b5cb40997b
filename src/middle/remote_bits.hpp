/**
 * @file remote_bits.hpp
 * @box remote_bits — freeing a block that belongs to another thread's heap
 *
 * Only its owner may touch a slab's free bits, which is what makes the common case cheap. A block
 * freed by another thread takes a detour: a second bitmap that anybody may set bits in, and a
 * notice to the owner.
 *
 *     freeing thread                     slab                      owner
 *     ──────────────                     ────                      ─────
 *     collect bits by (slab, word)
 *     remote_bits[w] |= mask     ──▶     remote_bits
 *     dirty: 0 → 1 ?             ──▶     dirty
 *       push slab on owner's stack ───────────────────────▶  stack of notices, one for each class
 *       leave a mark unless there is one ─────────────────▶  which of them are worth a look
 *                                                             take the whole stack of a class
 *                                        dirty := 0    ◀──     clear, then ask who owns it
 *                                        remote_bits   ──▶     merge into free_bits
 *
 * A program that frees remotely does so in runs: a consumer frees what a producer allocated
 * together. So the freeing thread first collects bits in a small table, and neighbours share one
 * atomic.
 *
 * **A few at a time.** A heap that has run out of blocks of a class takes back those of that class,
 * and to a few slabs only: what it does for one malloc does not grow with what others have freed
 * meanwhile. The notices that it has taken and not looked at it keeps for the next time. All that
 * waits is taken back now and then, when a heap is looked over or taken care of by others.
 *
 * **Who may see what.** Seven rules, and why they suffice:
 *
 * 1. *Bits before flag.* The freeing thread sets bits (release), then exchanges the flag (acq_rel).
 *    Whoever clears the flag by exchange and reads that 1, or a later one, sees the bits.
 * 2. *One pusher.* Only the thread that turns the flag from 0 to 1 pushes, so a slab stands in at
 *    most one stack, and next_dirty has one writer. Whoever purges records (back/superslab) wins
 *    their flags first, like a pusher.
 * 3. *Clear, then look.* The consumer clears the flag by exchange *before* it reads owner and bits.
 *    A thread that sets bits after that finds the flag 0 and sends a notice of its own. No bit
 *    stays without a notice.
 * 4. *The owner alone releases.* A slab is released only by its owner under the heap's lock, when
 *    every block is back, and `owner` becomes null before the pool may hand the slab out. No
 *    correct program has a remote free in flight then; what may be in flight is a *notice* that
 *    lost the race.
 * 5. *Late notices are forwarded or dropped.* A thread that pushes reads the owner after it won the
 *    flag. If the slab has gone to another heap, the notice reaches a heap that does not own it;
 *    that heap clears the flag and notifies again. If the slab is in the pool there is no owner,
 *    and the notice is dropped: the flag is cleared by exchange and the owner read once more,
 *    since a heap may have taken the slab meanwhile and somebody may rely on this flag. The
 *    exchange reads that somebody's 1 and thereby sees the heap.
 * 6. *The class is read before the bits are set.* After that the slab may go out of use and serve
 *    another class. So the notice stands with the class that the slab had. A late one may stand
 *    with a class that it has no more; it is found there when all that waits is taken back.
 * 7. *Mark after push, wipe before take.* Who pushes marks the class after that, unless it sees a
 *    mark; the owner wipes the mark off before it takes the stack, and leaves it again if it keeps
 *    some. Push and look, wipe and take are sequentially consistent. So a push is taken, or it
 *    has a mark. One that comes late may find no notice, which does no harm.
 *
 * Slab records and owners are type-stable, so every pointer that a late thread holds is a pointer
 * to a record. The stack is only ever pushed to and taken whole, so there is no ABA. A model in
 * tests/interleaving checks these rules in every interleaving.
 *
 * @owns      each heap's table of pending frees
 * @calls     back/slab base/attributes base/bits base/size_class middle/misuse
 * @threads   PendingFrees: its heap's thread, except for_each, which any thread may call and which
 *            may then miss a block on its way. free_blocks and notify: any. collect, collect_all
 *            and validate: the holder of the heap's lock
 * @invariant I1 a pending entry without bits has no group
 * @invariant I2 the bytes that are counted are those of the pending blocks
 * @invariant I3 a class of which notices were taken and not looked at is marked
 * @failure   a bit that is set already is a double free, and ends the process with its name
 * @cost      a few instructions a block, two to four atomics a group; bench: remote_bits
 * @phase     introduced in 16; groups sent in turns since 19, notices sorted by class since 25
 */
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "back/slab.hpp"
#include "base/attributes.hpp"

namespace hakmem::middle {

/** Remote frees of one thread that were not sent yet. */
class PendingFrees {
public:
    /**
     * Groups collected at a time. A producer's blocks are of many classes, which mix; with less
     * room their groups, filled in turns, would drive each other out at every other block.
     */
    static constexpr unsigned entries_max = 128;

    /**
     * Notes that a block of another heap is free.
     * @param slab Its slab.
     * @param index Its index.
     */
    void add(back::Slab& slab, back::BlockIndex index);

    /** Sends everything. */
    void flush();

    /** Forgets everything: the table of a thread that a fork child does not have. */
    void discard();

    /**
     * Visits the pending blocks.
     * @param visitor Called with slab, word and bits of each group.
     * @param context Passed through.
     */
    void for_each(void (*visitor)(back::Slab& slab, unsigned word, std::uint64_t bits,
                                  void* context),
                  void* context) const;

    /** @return The name of the first invariant that does not hold, or null. */
    const char* validate() const;

private:
    // Written by one thread; atomic because reports of other threads read along.
    struct Entry {
        std::atomic<std::uintptr_t> group{0};  // slab and word; 0: the entry is empty
        std::atomic<std::uint64_t> bits{0};    // blocks of the word
        std::uint32_t block_bytes = 0;         // of the slab when the entry began
        void set(std::uintptr_t new_group, std::uint64_t new_bits);
    };
    void begin(Entry& entry, back::Slab& slab, back::BlockIndex index);
    void count(const Entry& entry);
    void make_room();
    void send(Entry& entry);
    // Blocks wait here at most until their bytes reach this bound: a slab that lacks them cannot be
    // released.
    static constexpr std::size_t pending_bytes_max = 64 * base::kibibyte;

    Entry entries_[entries_max];
    std::size_t pending_bytes_ = 0;
    unsigned next_ = 0;  // the group that is sent next to make room
};

namespace remote_bits {

/**
 * Sets remote bits of a slab and notifies its owner.
 * @param slab The slab.
 * @param word Word of its bitmap.
 * @param bits The blocks.
 */
void free_blocks(back::Slab& slab, unsigned word, std::uint64_t bits);

/**
 * Sends a notice to the slab's owner, whoever that is by now.
 * @param slab A slab with remote bits.
 * @param id Its class when they were set.
 */
void notify(back::Slab& slab, base::ClassId id);

/** Called for a slab that got blocks back. */
using Merged = void (*)(back::Slab& slab, void* context);

/**
 * Takes notices of one class, and merges the remote bits of their slabs. The heap's lock is held.
 * @param owner The heap.
 * @param id The class.
 * @param most How many slabs get blocks back. Notices of others wait for the next time.
 * @param merged Called for each slab that got blocks back.
 * @param context Passed through.
 */
void collect(back::SlabOwner& owner, base::ClassId id, unsigned most, Merged merged, void* context);

/**
 * Takes all notices of a heap, and merges the remote bits of their slabs. The heap's lock is held.
 * @param owner The heap.
 * @param merged Called for each slab that got blocks back.
 * @param context Passed through.
 */
void collect_all(back::SlabOwner& owner, Merged merged, void* context);

/**
 * @param owner A heap whose lock is held.
 * @return The name of the first invariant that does not hold of its notices, or null.
 */
const char* validate(const back::SlabOwner& owner);

}  // namespace remote_bits
}  // namespace hakmem::middle
