#include "base/lock_rank.hpp"

#include <gtest/gtest.h>

#include <iterator>
#include <mutex>
#include <string>
#include <utility>

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

// Both compilers end this with "Rank = hakmem::base::LockRank::heap]": the enumerator as the header
// spells it, which no list here could forget to follow.
template <LockRank Rank>
const char* function_of() {
    return __PRETTY_FUNCTION__;
}

std::string spelling(const std::string& function) {
    const std::size_t name = function.rfind("::") + 2;
    return function.substr(name, function.rfind(']') - name);
}

template <std::size_t... Ranks>
void expect_names(std::index_sequence<Ranks...>) {
    const char* const functions[] = {function_of<static_cast<LockRank>(Ranks)>()...};
    for (std::size_t i = 0; i < base::lock_ranks; i++) {
        EXPECT_EQ(spelling(functions[i]), base::lock_rank_names[i]);
    }
}

TEST(LockRank, EachHasItsNameForReports) {
    EXPECT_EQ(base::lock_ranks, std::size(order));
    EXPECT_EQ(spelling(function_of<LockRank::meta_arena>()), "meta_arena");
    expect_names(std::make_index_sequence<base::lock_ranks>());
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
