/**
 * @file orphan_heaps.hpp
 * @box orphan_heaps — all heaps, and the ones that wait for a thread
 *
 * A thread's heap outlives the thread: its slabs hold blocks that others still use. So a heap is
 * never destroyed. When its thread ends it is *parked*, slabs and all, and the next thread that
 * needs a heap *adopts* it:
 *
 *     made ──▶ active ──thread ends──▶ parked ──new thread──▶ active ──▶ …
 *
 * Nothing changes for the blocks: the heap keeps its tag, so every entry of the page map stays
 * right, and remote frees go on arriving as notices. The heap parked last is adopted first, while
 * its memory is warm.
 *
 * There is one exception. A thread whose first act is to free a block of a parked heap takes over
 * what the thread before it had: the successor in a server, say, which gets the tables of the one
 * that ended. More such blocks will come. So it adopts just that heap, and they come home. Under
 * another heap they would all be remote frees, and while these wait to be collected, the new thread
 * would take the same amount of memory from slabs that nobody has touched yet.
 *
 * Where threads come and go, most of what a thread's end gave back would be taken out again by the
 * next one. So a few heaps are parked with their magazines as they are. These *leftovers* are free
 * memory: whoever scavenges takes them in, as a rule when the next sweep begins (back/purge).
 *
 * A thread that ends without parking its heap (os/thread_exit says how that can be) is noticed by
 * its lifeline, and its heap is parked by whoever notices.
 *
 * Each heap has a lock for its slow paths. Its thread takes it uncontended; others take it to do
 * something to a heap that is not theirs: fork, reports, malloc_trim, and scavenging, by which a
 * thread that is about to ask for more memory first collects what was freed into parked heaps.
 *
 * This box knows a heap only as a node with six operations; what a heap consists of is
 * front/thread_heap's business.
 *
 * @owns      the list of heaps, the stack of parked ones, and the count of those with leftovers
 * @calls     back/page_map back/slab base/lock_rank os/futex_lock os/thread_exit
 * @threads   any; one lock for both lists. The list of heaps only grows, and may be walked without
 *            it
 * @invariant I1 every parked heap is in the list of heaps
 * @invariant I2 tags are the numbers 1, 2, … in order of making
 * @failure   publish() says when there are no more tags
 * @cost      an uncontended lock a thread start and end
 * @phase     introduced in 16
 */
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "back/slab.hpp"
#include "base/lock_rank.hpp"
#include "os/futex_lock.hpp"
#include "os/thread_exit.hpp"

namespace hakmem::middle {

/** Where a heap is in its life. */
enum class HeapState : std::uint8_t {
    active,  ///< A thread's.
    parked,  ///< Nobody's; waits for a thread.
};

/** Called for a cached block, one that is in neither the program's hands nor its slab's. */
using CachedVisitor = void (*)(const void* block, void* context);

struct HeapNode;

/** What others may do to a heap whose lock they hold, unless it says otherwise. */
struct HeapOperations {
    void (*for_each_cached)(const HeapNode& heap, CachedVisitor visitor,
                            void* context);   ///< Visits the blocks in magazines and pending frees.
    void (*scavenge)(HeapNode& heap);         ///< Collects remote frees and releases empty slabs.
    void (*empty_magazines)(HeapNode& heap);  ///< Gives back what they hold, and scavenges.
    void (*empty_out)(
        HeapNode& heap);  ///< Gives back what a dead thread had cached. Takes the lock itself.
    std::size_t (*purge)(HeapNode& heap);  ///< Gives pages back that hold nothing; says how much.
                                           ///< There are no leftovers.
    const char* (*validate)(const HeapNode& heap);  ///< Names an invariant that does not hold.
};

/** What is common to all heaps; towards slabs, a heap is their owner. */
struct HeapNode : back::SlabOwner {
    /** @param heap_operations What others may do to it. */
    constexpr explicit HeapNode(const HeapOperations& heap_operations)
        : operations(heap_operations) {}

    os::FutexLock lock{base::LockRank::heap};         ///< Held by its slow paths.
    os::Lifeline life;                                ///< Held by its thread while it is active.
    std::atomic<HeapState> state{HeapState::active};  ///< Written under the registry's lock.
    std::atomic<bool> leftovers{false};  ///< Whether the magazines hold what the last thread left,
                                         ///< and nobody uses them. Written under its own lock.
    const HeapOperations& operations;    ///< const.
    HeapNode* older = nullptr;           ///< const once published: the heap made before.
    HeapNode* next_parked = nullptr;     ///< Under the registry's lock.
};

namespace orphan_heaps {

/**
 * Takes a parked heap.
 * @param wanted The heap to take if it is parked and few were parked since; null for any.
 * @return That one or the heap parked last, active again; or null. Somebody may hold its lock, for
 *         one thing that is done to parked heaps; the new thread must take the lock once before it
 *         uses anything else of the heap.
 */
HeapNode* adopt(const HeapNode* wanted = nullptr);

/** @return Whether one more heap could get a tag. */
bool has_tag_left();

/**
 * Enters a heap that was just made, and gives it its tag.
 * @param heap The heap, active.
 * @return Whether there was a tag left.
 */
bool publish(HeapNode& heap);

/**
 * Asks whether a heap may be parked with its magazines as they are.
 * @param heap The heap, which no thread uses any more.
 * @param heaps_max How many such heaps there may be.
 * @return Whether it may, and is marked as one. Else its magazines must be emptied.
 */
bool leave_magazines(HeapNode& heap, std::uint64_t heaps_max) HAK_REQUIRES(heap.lock);

/**
 * Ends that: the magazines are the caller's, to use or to empty.
 * @param heap The heap.
 * @return Whether they were left as they are.
 */
bool end_leftovers(HeapNode& heap) HAK_REQUIRES(heap.lock);

/**
 * Parks a heap.
 * @param heap The heap, with nothing cached but leftovers, its lock not held.
 */
void park(HeapNode& heap);

/** @return The heap made last; follow `older` for the others. */
HeapNode* newest();

/** @return How many heaps there are. */
std::uint32_t count();

/** @return How many of them are parked. */
std::uint32_t parked_count();

/** Which heaps to scavenge. */
enum class Scavenge {
    parked,  ///< Those without a thread.
    all,     ///< All, since a thread may sleep for long while others free its blocks.
};

/** Collects in every heap, one after the other, whatever its thread does, and ends leftovers. */
void collect();

/**
 * Does what collect() does, and purges.
 * @return Bytes given back to the system.
 */
std::size_t purge();

/**
 * Collects in heaps that have notices waiting or leftovers, and are not locked.
 * @param which Of these.
 */
void scavenge(Scavenge which);

/** @return The name of the first invariant that does not hold, or null. */
const char* validate();

/** @return This box's lock, for fork. */
os::FutexLock& fork_lock();

}  // namespace orphan_heaps
}  // namespace hakmem::middle
