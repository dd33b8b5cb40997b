/**
 * @file thread_heap.hpp
 * @box thread_heap — one thread's magazines, and the slabs behind them
 *
 * A heap is what lets threads allocate without asking each other. It has a magazine for each class,
 * and for each class a list of the slabs that it owns and that have free blocks:
 *
 *     magazines  [16] [32] [48] …            hits: no lock, no atomics
 *        │ empty: refill      ▲ full: flush the oldest half
 *        ▼                    │
 *     slabs      ▣ ─ ▣ ─ ▣ ───┘              slow path: the heap's own lock
 *        │ none has room      ▲ all blocks back
 *        ▼                    │
 *     shared_pool ────────────┘
 *
 * **The empty heap.** Each thread's pointer starts at a constant heap whose magazines are empty,
 * have capacity zero, and whose tag nobody has. Every operation on it misses, and the slow path
 * then attaches a real heap. So the fast path never asks whether there is a heap. A thread past its
 * end goes back to the empty heap, and each late call borrows a parked heap for just that call.
 *
 * **A heap changes hands as it is.** What a thread leaves in the magazines serves the next one, as
 * long as few heaps wait like that (middle/orphan_heaps).
 *
 * **Capacity learns.** Magazines start small. When one shall double, give more back than its older
 * half, or go back to where it started, is the tuner's decision (middle/tuner), which this box
 * carries out within the limits of the options: for a class, for the heap, and for all heaps.
 *
 * **Growing looks around first.** A few cached blocks that were freed in no order hold as many
 * slabs, empty otherwise. So the classes are looked at once an interval, and whenever the heap has
 * taken some slabs more: what idle ones hold is taken in before memory is that was never touched.
 *
 * **Free pages age inside slabs as well.** Blocks are taken from a slab at its lowest addresses.
 * The pages above those that an interval took from are given back, a few slabs on each slow path,
 * unless they are part of a huge page.
 *
 * **A class that has many slabs fills them.** Most classes of a program have a few blocks, and a
 * slab that is hardly used; its memory lies in a few classes. A heap asks for a slab only when
 * those that it has of the class are full. So a class that has 256 KiB in slabs has as much in
 * blocks, and asks for the next slab as one that grows, which may then come in a huge page
 * (back/shared_pool).
 *
 * **Where address space is tight,** superslabs that nobody needs are unmapped, and what a magazine
 * keeps may be all that holds one. So a heap empties its magazines there now and then, while half
 * of the pool is free.
 *
 * The slots lie apart from the heap, all classes' in one stretch of address space, small arrays
 * first:
 *
 *     | first arrays, 1 to 31 blocks a class | wide 1 | wide 2 | …            |
 *       packed: two pages for all classes     up to the largest capacity, touched as far as used
 *
 * A class moves from its first array to its wide one when it first grows; after that growing is
 * moving `limit`.
 *
 * @owns      its magazines, its pending remote frees, the free bits of its slabs
 * @calls     back/meta_arena back/page_map back/purge back/shared_pool back/slab base/attributes
 *            base/size_class base/units front/magazine gate/page_gate middle/misuse
 *            middle/orphan_heaps middle/remote_bits middle/tuner os/clock os/environment
 *            os/futex_lock os/thread_exit os/virtual_memory
 * @threads   magazines: the heap's thread. Slow paths: under the heap's lock, by its thread or, for
 *            scavenging, trimming and fork, by others, who leave the magazines alone
 *            unless they hold leftovers
 * @invariant I1 a slab is listed exactly when it has a free block
 * @invariant I2 the slabs of a list are of its class and this heap's
 * @invariant I3 the magazines of a parked heap are empty, unless they hold leftovers
 * @failure   null when no memory can be had; the heap stays usable
 * @cost      refill and flush: bench: thread_heap; hits: front/magazine
 * @phase     introduced in 16; handed on as it is in 23, dense classes in 24, short flushes in 25,
 *            growing classes in 26
 */
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "back/shared_pool.hpp"
#include "back/slab.hpp"
#include "base/attributes.hpp"
#include "base/size_class.hpp"
#include "front/magazine.hpp"
#include "gate/page_gate.hpp"
#include "middle/orphan_heaps.hpp"
#include "middle/remote_bits.hpp"
#include "middle/tuner.hpp"

namespace hakmem::front {

/** The part of a heap that hits need; the empty heap has nothing else. */
struct HeapFront {
    Magazine magazines[base::class_count];  ///< By class; the place of class 0 stays empty.
    std::uint32_t tag_bits;                 ///< The heap's tag, where an entry has it.
    gate::Home home;  ///< Where its latest slab is. Written and read by its thread alone.

    /**
     * @param id A small class.
     * @return Its magazine.
     */
    HAK_FAST Magazine& magazine(base::ClassId id) { return magazines[base::index(id)]; }

    /**
     * @param scaled A small class, scaled.
     * @return Its magazine.
     */
    HAK_FAST Magazine& magazine(base::ScaledClass scaled) {
        return *reinterpret_cast<Magazine*>(reinterpret_cast<std::uintptr_t>(magazines) +
                                            scaled.value);
    }

    // [push]
    /**
     * Pushes a block on a magazine of which only the offset is known.
     * @param scaled A small class, scaled.
     * @param block A block of the class.
     * @return Whether there was room for it.
     */
    HAK_FAST bool push(base::ScaledClass scaled, void* block) {
        // The same as magazine(scaled).push(block), with heap and offset in each of the accesses:
        // one instruction less than an addition before them, which compilers prefer where they know
        // that the address is the same.
        HeapFront* heap = this;
        Slot* const slot = heap->magazine(scaled).top.load(std::memory_order_relaxed);
        asm("" : "+r"(heap));
        if (HAK_UNLIKELY(slot == heap->magazine(scaled).limit)) return false;
        slot[1].store(block, std::memory_order_relaxed);
        asm("" : "+r"(heap));
        heap->magazine(scaled).raise_top();
        return true;
    }
    // [/push]
};
static_assert(sizeof(Magazine) == std::size_t{1} << base::class_shift,
              "a scaled class is the offset of its magazine");

/** The calling thread's heap; the empty heap if it has none. Never null. */
extern constinit thread_local HeapFront* current_heap;

/**
 * @param magazine A magazine of the calling thread's heap, be it the empty one.
 * @return Its class.
 */
inline base::ClassId class_of_magazine(const Magazine& magazine) {
    return base::ClassId{static_cast<std::uint8_t>(&magazine - current_heap->magazines)};
}

/** What the magazines' hits and misses add up to, for reports. */
struct ClassStatistics {
    std::uint64_t refills;  ///< Times that the magazine was empty.
    std::uint64_t flushes;  ///< Times that it was full.
    unsigned capacity;      ///< Blocks that it may hold.
    unsigned cached;        ///< Blocks that it holds.
};

class OwnBlocks;
class ThreadHeap;

/**
 * What a phase keeps in front of the magazines: a state in each heap, which is empty when it is all
 * zero. Production keeps nothing; the composition of a recorded phase defines another one.
 */
struct OuterFront {
    std::size_t bytes;  ///< Size of the state; 0 for none.
    void (*empty_out)(
        ThreadHeap& heap);  ///< Gives its blocks back; the options are read anew after that.
                            ///< Called by the heap's thread.
    void (*for_each_cached)(const ThreadHeap& heap, middle::CachedVisitor visitor,
                            void* context);           ///< Visits its blocks. Any thread may call.
    const char* (*validate)(const ThreadHeap& heap);  ///< Names an invariant that does not hold.
    void (*print_statistics)();                       ///< At exit: prints what options ask for.
};
/** What this library has. */
extern const OuterFront outer_front;

/** A heap. */
class ThreadHeap : public HeapFront, public middle::HeapNode {
public:
    /**
     * Makes a heap.
     * @return The heap, entered in the registry and active; or null.
     */
    static ThreadHeap* make();

    /**
     * Allocates a block when the magazine has none.
     * @param id A small class.
     * @param growth Whether a superslab may be made for it.
     * @return The block, or null.
     */
    void* allocate(base::ClassId id,
                   back::shared_pool::Growth growth = back::shared_pool::Growth::allowed);

    /**
     * Frees a block of this heap when its magazine is full.
     * @param id Its class.
     * @param block The block.
     */
    void release(base::ClassId id, void* block);

    /**
     * Frees a block of another heap.
     * @param slab Its slab.
     * @param block The block.
     */
    void release_remote(back::Slab& slab, void* block);

    /**
     * Takes blocks past the magazine, for an outer front.
     * @param id A small class.
     * @param wanted How many, at least 1.
     * @param blocks Receives them. Those of one slab are in order of falling addresses.
     * @param growth Whether a superslab may be made for them.
     * @return How many were taken; 0 without memory.
     */
    unsigned take(base::ClassId id, unsigned wanted, Slot* blocks,
                  back::shared_pool::Growth growth);

    /**
     * Gives a block of any heap back past the magazine.
     * @param block A block of a slab. If it is none, or free, the process ends with its name.
     */
    void give_back(void* block);

    /** @return The state of the outer front. */
    void* outer() { return reinterpret_cast<char*>(this) + outer_offset(); }
    /** @return The state of the outer front. */
    const void* outer() const { return reinterpret_cast<const char*>(this) + outer_offset(); }

    /** Gives what is cached back, and releases empty slabs. Called by the heap's thread. */
    void empty_out();

    /**
     * Makes a heap that was made or adopted the calling thread's, and sets its tag.
     * @return Whether its magazines are as another thread left them.
     */
    bool take_over();

    /**
     * Parks the heap, with its magazines as they are if few heaps are. Called by the thread that
     * used it, which does not do so any more.
     */
    void hand_on();

    /** Collects remote frees and releases empty slabs; the magazines stay. The lock is held. */
    void scavenge();

    /** Does what is due: idle classes shrink, free memory ages. Called by the heap's thread. */
    void maintain();

    /** Sets the magazines' capacities by the options in force. Called by the heap's thread. */
    void apply_options();

    /** Forgets what is cached: the heap of a thread that a fork child does not have. */
    void discard_cached();

    /**
     * @param id A small class.
     * @return What its magazine did and holds. Any thread may ask.
     */
    ClassStatistics statistics(base::ClassId id);

private:
    // What a class needs beyond its magazine.
    struct ClassState {
        Slot* base;   // slot 0 of the magazine, in the first array or the wide one
        Slot* first;  // const: slot 0 of the small array that every class starts with
        Slot* wide;   // const: slot 0 of the array that holds the largest capacity
        std::uint32_t wide_capacity;  // const: capacity of the wide array
        back::Slab* head;             // slabs with free blocks; the first serves refills
        back::Slab* tail;
        std::uint32_t slabs;          // how many there are, full ones too; under the lock
        middle::MagazineTuner tuner;  // under the lock
    };

    explicit ThreadHeap(Slot* slots);
    // The state begins a cache line, as the record of a heap does.
    static constexpr std::size_t outer_offset() {
        return base::round_up(sizeof(ThreadHeap), base::cache_line_bytes);
    }
    unsigned take_blocks(base::ClassId id, unsigned wanted, Slot* blocks,
                         back::shared_pool::Growth growth) HAK_REQUIRES(lock);
    ClassState& state(base::ClassId id) { return states_[base::index(id)]; }
    unsigned capacity(base::ClassId id);
    unsigned capacity_max(base::ClassId id);
    std::size_t grown_bytes(base::ClassId id);
    std::size_t purge() HAK_REQUIRES(lock);

    bool refill(base::ClassId id, back::shared_pool::Growth growth) HAK_REQUIRES(lock);
    back::Slab* slab_with_room(base::ClassId id, back::shared_pool::Growth growth)
        HAK_REQUIRES(lock);
    void flush(base::ClassId id, unsigned count) HAK_REQUIRES(lock);
    void settle(back::Slab& slab, bool may_be_unlisted) HAK_REQUIRES(lock);
    void drop(back::Slab& slab) HAK_REQUIRES(lock);
    void put_run(base::ClassId id, char* first, unsigned count) HAK_REQUIRES(lock);
    void put_block(OwnBlocks& own, void* block) HAK_REQUIRES(lock);
    void put_block(base::ClassId id, void* block) HAK_REQUIRES(lock);
    static void release_remote_now(back::Slab& slab, void* block);
    void grow(base::ClassId id) HAK_REQUIRES(lock);
    void shrink(base::ClassId id) HAK_REQUIRES(lock);
    void use_array(base::ClassId id, Slot* array, unsigned capacity);
    static void merged(back::Slab& slab, void* heap);
    void collect() HAK_REQUIRES(lock);
    void release_empty_slabs(base::ClassId id) HAK_REQUIRES(lock);
    void send_out();
    void empty_magazines() HAK_REQUIRES(lock);
    bool tick() HAK_REQUIRES(lock);
    void sweep(std::uint64_t now, std::uint64_t interval) HAK_REQUIRES(lock);
    void list(back::Slab& slab);
    void unlist(back::Slab& slab);

    static void for_each_cached(const middle::HeapNode& node, middle::CachedVisitor visitor,
                                void* context);
    static const char* validate(const middle::HeapNode& node);
    static const middle::HeapOperations heap_operations;

    middle::PendingFrees pending_;
    std::uint64_t last_tick_ = 0;
    std::uint64_t sweep_started_ = 0;
    back::Slab* swept_next_ = nullptr;                   // the sweep's next slab of a class
    back::Slab* swept_last_ = nullptr;                   // and its last one of that class
    std::uint32_t swept_class_ = base::class_count - 1;  // that class; the last one between sweeps
    std::uint32_t acquired_ = 0;                         // by how many slabs it grew since a tick
    std::uint32_t tight_ticks_ = 0;                      // ticks while address space was tight
    std::size_t grown_bytes_ = 0;  // what the magazines may hold beyond their first capacities
    ClassState states_[base::class_count] = {};
    bool slots_used_ = true;   // whether a thread had the heap since the slots were purged
    Slot* slots_;              // const: all arrays of slots, on pages of their own
    std::size_t slots_bytes_;  // const: their length
};

/** The heap that a slow path works on: the thread's own, or one borrowed for this call. */
class HeapLease {
public:
    /** @param wanted The heap that the thread had better get if it has none; null for any. */
    explicit HeapLease(const back::SlabOwner* wanted = nullptr);
    ~HeapLease();
    HeapLease(const HeapLease&) = delete;
    HeapLease& operator=(const HeapLease&) = delete;

    /** @return The heap, or null when none could be made. */
    ThreadHeap* heap() const { return heap_; }

private:
    ThreadHeap* heap_;
    bool borrowed_ = false;
};

/** @return The calling thread's own heap, or null while it has none. */
inline ThreadHeap* own_heap() {
    HeapFront* const heap = current_heap;
    return heap->tag_bits == gate::nobodys_tag_bits ? nullptr : static_cast<ThreadHeap*>(heap);
}

/** Hands the calling thread's heap on. Its later calls borrow one. */
void detach_thread();

/** After fork, in the child: parks the heaps of the threads that are not there. */
void park_vanished_heaps();

}  // namespace hakmem::front
