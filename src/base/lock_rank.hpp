/**
 * @file lock_rank.hpp
 * @box lock_rank — the order in which locks are taken
 *
 * A thread that holds a lock may only take locks of a higher rank. Two threads can then never wait
 * for each other in a circle, which is the whole proof that HAKMEM does not deadlock. The enum is
 * the order; a debug build checks each lock against it and aborts at the first that is out of turn.
 *
 * @owns      nothing
 * @calls     —
 * @threads   not applicable: there is no state
 * @invariant none
 * @failure   none
 * @cost      none at run time
 * @phase     introduced in 16
 */
#pragma once

#include <cstdint>

namespace hakmem::base {

// [order]
/** Outermost first. fork takes all of them, in this order. */
enum class LockRank : std::uint8_t {
    heap_registry,  ///< middle/orphan_heaps: the list of heaps, and the parked ones.
    heap,           ///< front/thread_heap: one heap's slow paths. Several only in fork.
    purge,          ///< back/purge: the sweep over the superslabs.
    large,          ///< back/large: list and cache of own mappings.
    pool,           ///< back/shared_pool: creation of superslabs.
    page_map,       ///< back/page_map: creation of leaves.
    meta_arena,     ///< back/meta_arena: all metadata.
    leaf,           ///< Locks under which nothing else is locked.
};
// [/order]

constexpr unsigned lock_ranks = static_cast<unsigned>(LockRank::leaf) + 1;  ///< How many there are.

/** By rank: its name, for reports. */
constexpr const char* lock_rank_names[lock_ranks] = {
    "heap_registry", "heap", "purge", "large", "pool", "page_map", "meta_arena", "leaf"};

}  // namespace hakmem::base
