#include "base/lock_rank.hpp"

#include <gtest/gtest.h>

#include <iterator>
#include <mutex>
#include <string>

#include "back/large.hpp"
#include "back/meta_arena.hpp"
#include "back/page_map.hpp"
#include "back/purge.hpp"
#include "back/shared_pool.hpp"
#include "middle/orphan_heaps.hpp"
#include "os/futex_lock.hpp"
#include "tests/os/locks_taken_freely.hpp"

namespace {

using namespace hakmem;
using base::LockRank;

constexpr LockRank order[] = {LockRank::heap_registry, LockRank::heap, LockRank::purge,
                              LockRank::large,         LockRank::pool, LockRank::page_map,
                              LockRank::meta_arena,    LockRank::leaf};

TEST(LockRank, RanksRiseFromTheRegistryToTheLeaves) {
    for (std::size_t i = 0; i < std::size(order); i++) {
        EXPECT_EQ(static_cast<std::size_t>(order[i]), i);
    }
}

TEST(LockRank, EachHasItsNameForReports) {
    EXPECT_EQ(base::lock_ranks, std::size(order));
    const std::string last = base::lock_rank_names[static_cast<unsigned>(LockRank::leaf)];
    EXPECT_EQ(last, "leaf");
    const std::string heap = base::lock_rank_names[static_cast<unsigned>(LockRank::heap)];
    EXPECT_EQ(heap, "heap");
}

TEST(LockRank, EveryRankHasItsBitInTheMaskOfHeldLocks) {
    // os/futex_lock keeps one bit a rank in 16 bits.
    EXPECT_LT(static_cast<unsigned>(LockRank::leaf), 16u);
}

os::FutexLock* const locks_in_rank_order[] = {
    &middle::orphan_heaps::fork_lock(), &back::purge::fork_lock(),
    &back::large::fork_lock(),          &back::shared_pool::fork_lock(),
    &back::page_map::fork_lock(),       &back::meta_arena::fork_lock()};

TEST(LockRank, AllBoxesCanBeLockedInTheOrderOfTheEnum) {
    for (os::FutexLock* lock : locks_in_rank_order) lock->lock();
    EXPECT_EQ(os::locks_held(), std::size(locks_in_rank_order));
    for (os::FutexLock* lock : locks_in_rank_order) lock->unlock();
    EXPECT_EQ(os::locks_held(), 0u);
}

#ifndef NDEBUG
// Which box has which rank is thereby checked for each neighbouring pair, and so for all.
TEST(LockRankDeathTest, ABoxOfALowerRankIsRefused) {
    for (std::size_t i = 1; i < std::size(locks_in_rank_order); i++) {
        EXPECT_DEATH(
            {
                locks_in_rank_order[i]->lock();
                locks_in_rank_order[i - 1]->lock();
            },
            "lock order: ")
            << i;
    }
}
#endif

}  // namespace
