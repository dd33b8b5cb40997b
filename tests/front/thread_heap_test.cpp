#include "front/thread_heap.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "back/page_map.hpp"
#include "back/shared_pool.hpp"
#include "back/slab.hpp"
#include "middle/orphan_heaps.hpp"
#include "os/environment.hpp"
#include "os/futex_lock.hpp"
#include "phases/phase_16.hpp"
#include "tests/back/arena_room.hpp"
#include "tests/os/changed_option.hpp"
#include "tests/os/child.hpp"
#include "tests/os/fake_clock.hpp"
#include "tests/os/fault_injection.hpp"
#include "tests/os/page_advice.hpp"

namespace {

using namespace hakmem;
namespace orphans = middle::orphan_heaps;
using back::Slab;
using base::ClassId;
using front::HeapLease;
using front::ThreadHeap;
using middle::HeapState;
using os::Options;
using phases::Phase16;
using tests::ChangedOption;
using tests::FakeClock;
using tests::FaultInjection;
using tests::leave_arena_room;

constexpr unsigned first_blocks = 31;  // what a magazine of 16-byte blocks starts with
constexpr ClassId tiny = ClassId::first;
constexpr ClassId other{10};
constexpr ClassId biggest = ClassId::last;

Slab& slab_of(const void* block) { return *back::page_map::slab_of(block); }

HeapState state_of(const ThreadHeap& heap) { return heap.HeapNode::state; }

// Whether a block is free in its slab.
bool is_free(const void* block) {
    const Slab& slab = slab_of(block);
    back::BlockIndex index{};
    EXPECT_TRUE(back::slab::index_of(slab, block, index));
    return (slab.free_bits[index.word()] & index.bit()) != 0;
}

// The slabs that a heap owns, by asking every slab there can be.
unsigned slabs_of(const ThreadHeap& heap) {
    unsigned count = 0;
    for (std::uint32_t i = 0; i < back::shared_pool::superslab_count(); i++) {
        for (unsigned unit = 0; unit < base::superslab_units; unit++) {
            const Slab& slab = back::shared_pool::superslab_at(i).slabs[unit];
            if (slab.owner == static_cast<const back::SlabOwner*>(&heap)) count++;
        }
    }
    return count;
}

// malloc and free as a thread with this heap sees them.
void* take(ThreadHeap& heap, ClassId id) {
    void* const block = heap.magazine(id).pop();
    return block != nullptr ? block : heap.allocate(id);
}

void give(ThreadHeap& heap, ClassId id, void* block) {
    if (!heap.magazine(id).push(block)) heap.release(id, block);
}

std::vector<void*> take(ThreadHeap& heap, ClassId id, unsigned count) {
    std::vector<void*> blocks;
    for (unsigned i = 0; i < count; i++) blocks.push_back(take(heap, id));
    return blocks;
}

void give(ThreadHeap& heap, ClassId id, const std::vector<void*>& blocks) {
    for (void* block : blocks) give(heap, id, block);
}

void scavenge(ThreadHeap& heap) {
    os::LockGuard guard(heap.lock);
    heap.scavenge();
}

std::set<const void*> cached_blocks(const ThreadHeap& heap) {
    std::set<const void*> blocks;
    heap.operations.for_each_cached(
        heap,
        [](const void* block, void* set) {
            static_cast<std::set<const void*>*>(set)->insert(block);
        },
        &blocks);
    return blocks;
}

// Refills and flushes in turn, which is what makes a magazine grow.
void swing(ThreadHeap& heap, ClassId id, unsigned times) {
    for (unsigned i = 0; i < times; i++) {
        give(heap, id, take(heap, id, 2 * heap.statistics(id).capacity + 2));
    }
}

// A heap without a past, which is the test thread's own while the test runs.
class Own {
public:
    Own() : saved_(front::current_heap), heap_(*ThreadHeap::make()) {
        front::current_heap = &heap_;
    }
    ~Own() {
        heap_.empty_out();
        EXPECT_EQ(validate(), nullptr);
        front::current_heap = saved_;
        orphans::park(heap_);
    }
    Own(const Own&) = delete;
    Own& operator=(const Own&) = delete;
    ThreadHeap& operator*() { return heap_; }
    ThreadHeap* operator->() { return &heap_; }
    const char* validate() {
        os::LockGuard guard(heap_.lock);
        return heap_.operations.validate(heap_);
    }

private:
    front::HeapFront* saved_;
    ThreadHeap& heap_;
};

// ---- refill and flush ---------------------------------------------------------------------------

TEST(ThreadHeap, AHeapThatWasMadeIsActiveHasATagAndNothingElse) {
    Own heap;
    EXPECT_EQ(state_of(*heap), HeapState::active);
    EXPECT_EQ(heap->tag, orphans::count());
    EXPECT_EQ(orphans::newest(), &*heap);
    EXPECT_EQ(slabs_of(*heap), 0u);
    EXPECT_TRUE(cached_blocks(*heap).empty());
    EXPECT_EQ(heap->statistics(tiny).capacity, first_blocks);
    EXPECT_EQ(heap.validate(), nullptr);
}

TEST(ThreadHeap, ARefillTakesTheLowestAddressesFirstInEveryClass) {
    for (unsigned c = 1; c < base::class_count; c++) {
        Own heap;
        const ClassId id{static_cast<std::uint8_t>(c)};
        const base::SizeClass& row = base::row(id);
        char* const first = static_cast<char*>(take(*heap, id));
        ASSERT_EQ(first, slab_of(first).start);
        for (unsigned i = 1; i < std::min(row.blocks, 200u); i++) {
            ASSERT_EQ(take(*heap, id), first + i * row.block_bytes) << "class " << c;
        }
        for (unsigned i = 0; i < std::min(row.blocks, 200u); i++) {
            give(*heap, id, first + i * row.block_bytes);
        }
    }
}

TEST(ThreadHeap, WhatCameBackLowIsTakenBeforeWhatIsFreeAbove) {
    Own heap;
    const std::vector<void*> blocks = take(*heap, tiny, 100);
    give(*heap, tiny, {blocks[60], blocks[5], blocks[7]});
    heap->apply_options();  // which empties the magazines into the slabs
    EXPECT_EQ(take(*heap, tiny), blocks[5]);
    EXPECT_EQ(take(*heap, tiny), blocks[7]);
    EXPECT_EQ(take(*heap, tiny), blocks[60]);
    EXPECT_EQ(take(*heap, tiny), static_cast<char*>(blocks[0]) + 100 * 16);
    give(*heap, tiny, static_cast<char*>(blocks[0]) + 100 * 16);
    give(*heap, tiny, blocks);
}

TEST(ThreadHeap, AFlushGivesTheOldestHalfBack) {
    const ChangedOption no_growth(&Options::magazine_heap_bytes, 0);
    Own heap;
    const std::vector<void*> blocks = take(*heap, tiny, 48);  // three refills of sixteen
    ASSERT_EQ(heap->statistics(tiny).cached, 0u);
    for (unsigned i = 0; i < first_blocks; i++) give(*heap, tiny, blocks[i]);
    EXPECT_EQ(heap->statistics(tiny).flushes, 0u);
    EXPECT_EQ(heap->statistics(tiny).cached, first_blocks);
    give(*heap, tiny, blocks[first_blocks]);
    EXPECT_EQ(heap->statistics(tiny).flushes, 1u);
    EXPECT_EQ(heap->statistics(tiny).cached, first_blocks - 16 + 1);
    for (unsigned i = 0; i < 48; i++) EXPECT_EQ(is_free(blocks[i]), i < 16) << i;
    EXPECT_EQ(heap.validate(), nullptr);
    // The younger half is still in the order in which it came.
    for (unsigned i = first_blocks; i >= 16; i--) EXPECT_EQ(take(*heap, tiny), blocks[i]);
    // The older half is what the next refill finds.
    for (unsigned i = 0; i < 16; i++) EXPECT_EQ(take(*heap, tiny), blocks[i]);
    give(*heap, tiny, blocks);
}

TEST(ThreadHeap, BlocksOfManySlabsAreFlushedWholeInWhateverOrderTheyCome) {
    const auto as_they_are = [](std::vector<void*>&) {};
    const auto up = [](std::vector<void*>& blocks) { std::sort(blocks.begin(), blocks.end()); };
    const auto down = [](std::vector<void*>& blocks) { std::sort(blocks.rbegin(), blocks.rend()); };
    const auto to_and_fro = [](std::vector<void*>& blocks) {
        std::sort(blocks.begin(), blocks.end());
        for (auto at = blocks.begin(); blocks.end() - at >= 10; at += 10) {
            std::reverse(at, at + 5);
        }
    };
    const auto in_none = [](std::vector<void*>& blocks) {
        std::shuffle(blocks.begin(), blocks.end(), std::mt19937(1));
    };
    for (const auto& put_in_order : std::initializer_list<std::function<void(std::vector<void*>&)>>{
             as_they_are, up, down, to_and_fro, in_none}) {
        for (const ClassId id : {tiny, other}) {
            Own heap;
            std::vector<void*> blocks = take(*heap, id, 3 * base::row(id).blocks);
            put_in_order(blocks);
            give(*heap, id, blocks);
            EXPECT_EQ(heap.validate(), nullptr);
            heap->empty_out();
            EXPECT_EQ(slabs_of(*heap), 0u) << "a block is missing";
        }
    }
}

// What a process says that ends because it freed this block twice.
std::string double_free_of(const void* block) {
    std::ostringstream name;
    name << "double free.*" << block;
    return name.str();
}

TEST(ThreadHeap, OfNeighboursTheOneThatIsFreeAlreadyIsNamed) {
    Own heap;
    const std::vector<void*> up = take(*heap, tiny, 10);
    const std::vector<void*> down(up.rbegin(), up.rend());
    for (const std::vector<void*>& blocks : {up, down}) {
        EXPECT_DEATH(
            {
                heap->give_back(up[5]);
                give(*heap, tiny, blocks);
                heap->empty_out();
            },
            double_free_of(up[5]));
    }
    give(*heap, tiny, up);
}

TEST(ThreadHeap, ABlockThatComesTwiceInOneFlushIsNamed) {
    Own heap;
    const std::vector<void*> blocks = take(*heap, tiny, 10);
    // At a turn, side by side, and with others between.
    for (const auto& order : std::initializer_list<std::vector<unsigned>>{
             {4, 5, 6, 5}, {6, 5, 4, 5}, {4, 5, 5, 6}, {5, 9, 1, 5}}) {
        EXPECT_DEATH(
            {
                for (const unsigned i : order) give(*heap, tiny, blocks[i]);
                heap->empty_out();
            },
            double_free_of(blocks[5]));
    }
    give(*heap, tiny, blocks);
}

// One that was freed twice may lie in a magazine while its slab goes to another heap, which may use
// it for the same class. To set a bit there would be to write under another heap's lock.
TEST(ThreadHeap, ABlockWhoseSlabIsAnotherHeapsByNowIsNamed) {
    Own heap;
    Own other_heap;
    std::vector<void*> blocks = take(*heap, biggest, 3 * base::row(biggest).blocks);
    std::sort(blocks.begin(), blocks.end());
    Slab& slab = slab_of(blocks[0]);
    const auto end = std::find_if(blocks.begin(), blocks.end(),
                                  [&](const void* block) { return &slab_of(block) != &slab; });
    const auto moves_on_and_is_freed = [&](std::vector<void*> freed) {
        heap->give_back(*end);  // an empty slab goes if it is not the last that has room
        for (auto at = blocks.begin(); at != end; at++) heap->give_back(*at);
        while (slab.owner != static_cast<back::SlabOwner*>(&*other_heap)) {
            take(*other_heap, biggest);
        }
        ASSERT_EQ(slab.class_id, biggest);
        heap->apply_options();  // its magazine is empty
        give(*heap, biggest, freed);
        heap->empty_out();
    };
    EXPECT_DEATH(moves_on_and_is_freed({blocks[0]}), double_free_of(blocks[0]));
    EXPECT_DEATH(moves_on_and_is_freed({blocks[0], blocks[1]}), double_free_of(blocks[0]));
    give(*heap, biggest, blocks);
}

TEST(ThreadHeap, ARunGoesOnIntoTheNextSlabAndIsCheckedThereToo) {
    Own heap;
    const unsigned count = base::row(tiny).blocks;
    std::vector<void*> blocks = take(*heap, tiny, 8 * count);
    std::sort(blocks.begin(), blocks.end());
    // Of so many slabs some lie side by side, whatever holes there were.
    auto border = blocks.begin() + count;
    while (border < blocks.end() && *border != static_cast<char*>(*(border - 1)) + 16) {
        border += count;
    }
    ASSERT_TRUE(border < blocks.end());
    const std::vector<void*> up(border - 5, border + 5);
    const std::vector<void*> down(up.rbegin(), up.rend());
    for (const std::vector<void*>& order : {up, down}) {
        for (const unsigned twice : {2u, 7u}) {  // of the lower slab, and of the upper one
            EXPECT_DEATH(
                {
                    heap->give_back(up[twice]);
                    give(*heap, tiny, order);
                    heap->empty_out();
                },
                double_free_of(up[twice]));
        }
    }
    give(*heap, tiny, blocks);
}

TEST(ThreadHeap, AnEmptySlabGoesBackToThePoolExceptTheLastOfItsClass) {
    const ChangedOption no_growth(&Options::magazine_heap_bytes, 0);
    Own heap;
    const std::vector<void*> blocks = take(*heap, biggest, 5 * base::row(biggest).blocks);
    EXPECT_EQ(slabs_of(*heap), 5u);
    give(*heap, biggest, blocks);
    EXPECT_LE(slabs_of(*heap), 2u);  // one kept, one perhaps held by a block in the magazine
    EXPECT_GE(slabs_of(*heap), 1u);
    heap->empty_out();
    EXPECT_EQ(slabs_of(*heap), 0u);
}

using ThreadHeapDeathTest = tests::Pristine;

// In a pool where nothing is free but what the test leaves.
TEST_F(ThreadHeapDeathTest, AClassAsksForHugePagesOnceItHas256KiBInSlabs) {
    EXPECT_EXIT(
        tests::in_child([] {
            using tests::PageAdvice;
            const PageAdvice advice;
            const ChangedOption any_heap(&Options::huge_pages_from, 0);
            const ChangedOption no_magazines(&Options::magazine_blocks, 0);
            constexpr unsigned page_units = 32;
            const unsigned slab_units = base::row(biggest).slab_units;
            const unsigned sparse_slabs = 256 * base::kibibyte / base::unit_bytes / slab_units;
            const auto take_units = [](unsigned count) {
                back::shared_pool::take(base::Units{count}, 1, back::shared_pool::Growth::allowed);
            };
            Own heap;
            std::vector<void*> blocks;
            const auto take_slabs = [&](unsigned count) {
                for (void* block : take(*heap, biggest, count * base::row(biggest).blocks)) {
                    blocks.push_back(block);
                }
            };
            // All but one slab of what is sparse still, and the rest of their page.
            take_slabs(sparse_slabs - 1);
            take_units(page_units - (sparse_slabs - 1) * slab_units);
            take_slabs(1);  // the first in the second page
            CHILD_REQUIRE(PageAdvice::huge == 0);
            take_units(page_units - slab_units);
            take_slabs(1);  // the first in the third
            CHILD_REQUIRE(slabs_of(*heap) == sparse_slabs + 1);
            CHILD_REQUIRE(PageAdvice::huge == 1 && PageAdvice::small == 0);
            // Slabs that were given back count no more.
            give(*heap, biggest, blocks);
            heap->empty_out();
            CHILD_REQUIRE(slabs_of(*heap) == 0);
            for (unsigned i = 0; i < 2; i++) back::shared_pool::purge(i, back::Extent::all);
            take_units((sparse_slabs - 1) * slab_units);
            take_units(slab_units);
            take_slabs(1);  // the first in the third once more
            CHILD_REQUIRE(PageAdvice::huge == 1 && PageAdvice::small == 1);
        }),
        testing::ExitedWithCode(0), "");
}

// ---- capacity -----------------------------------------------------------------------------------

TEST(ThreadHeap, TheCapacityGrowsWhenRefillsAndFlushesAlternate) {
    Own heap;
    swing(*heap, tiny, 1);
    const unsigned once = heap->statistics(tiny).capacity;
    EXPECT_GT(once, first_blocks);
    swing(*heap, tiny, 10);
    EXPECT_EQ(heap->statistics(tiny).capacity, os::options().magazine_blocks);
    EXPECT_GT(heap->statistics(tiny).refills, 5u);
    EXPECT_GT(heap->statistics(tiny).flushes, 5u);
    EXPECT_EQ(heap.validate(), nullptr);
}

TEST(ThreadHeap, ALongRunOfRefillsGrowsItToo) {
    Own heap;
    const std::vector<void*> blocks = take(*heap, tiny, 1000);
    EXPECT_GT(heap->statistics(tiny).capacity, first_blocks);
    EXPECT_EQ(heap->statistics(tiny).flushes, 0u);
    give(*heap, tiny, blocks);
}

TEST(ThreadHeap, TrafficThatFitsTheMagazineDoesNotGrowIt) {
    Own heap;
    for (int i = 0; i < 1000; i++) give(*heap, tiny, take(*heap, tiny, 10));
    EXPECT_EQ(heap->statistics(tiny).capacity, first_blocks);
    EXPECT_EQ(heap->statistics(tiny).refills, 1u);
    EXPECT_EQ(heap->statistics(tiny).flushes, 0u);
}

TEST(ThreadHeap, GrowingLosesNoBlockAndMakesNoneTwice) {
    for (const ClassId id : {tiny, other, biggest}) {
        Own heap;
        for (unsigned wave = 1; wave < 8; wave++) {
            const std::vector<void*> blocks = take(*heap, id, wave * 40);
            const std::set<void*> distinct(blocks.begin(), blocks.end());
            ASSERT_EQ(distinct.size(), blocks.size());
            ASSERT_EQ(distinct.count(nullptr), 0u);
            for (const void* cached : cached_blocks(*heap)) {
                ASSERT_EQ(distinct.count(const_cast<void*>(cached)), 0u);
            }
            give(*heap, id, blocks);
            ASSERT_EQ(heap.validate(), nullptr);
        }
        heap->empty_out();
        EXPECT_EQ(slabs_of(*heap), 0u) << "a block is missing";
    }
}

TEST(ThreadHeap, ACapacityStaysWithinTheOptions) {
    const ChangedOption blocks(&Options::magazine_blocks, 100);
    const ChangedOption bytes(&Options::magazine_bytes, 3 * 32 * base::kibibyte);
    const ChangedOption heap_bytes(&Options::magazine_heap_bytes, base::gibibyte);
    const ChangedOption total_bytes(&Options::magazine_total_bytes, 1024 * base::gibibyte);
    Own heap;
    heap->apply_options();
    for (unsigned c = 1; c < base::class_count; c++) {
        const ClassId id{static_cast<std::uint8_t>(c)};
        const std::size_t block_bytes = base::row(id).block_bytes;
        swing(*heap, id, 12);
        const unsigned capacity = heap->statistics(id).capacity;
        EXPECT_EQ(capacity, std::min<std::size_t>(100, 3 * 32 * base::kibibyte / block_bytes));
    }
    EXPECT_EQ(heap.validate(), nullptr);
}

TEST(ThreadHeap, AllClassesTogetherStayWithinTheHeapsBudget) {
    const ChangedOption heap_bytes(&Options::magazine_heap_bytes, 100 * base::kibibyte);
    Own heap;
    std::vector<unsigned> first(base::class_count);
    for (int round = 0; round < 2; round++) {
        std::size_t most = 0;
        for (unsigned c = 1; c < base::class_count; c++) {
            const ClassId id{static_cast<std::uint8_t>(c)};
            if (round == 0) first[c] = heap->statistics(id).capacity;
            swing(*heap, id, 12);
            // Those before may have become idle meanwhile, and have given their share back.
            std::size_t grown = 0;
            for (unsigned i = 1; i <= c; i++) {
                const ClassId earlier{static_cast<std::uint8_t>(i)};
                const unsigned more = heap->statistics(earlier).capacity - first[i];
                grown += more * base::row(earlier).block_bytes;
            }
            EXPECT_LE(grown, 100 * base::kibibyte);
            most = std::max(most, grown);
        }
        EXPECT_GT(most, 50 * base::kibibyte);
        heap->apply_options();  // gives the budget back, for the second round
    }
}

TEST(ThreadHeap, AHeapGrowsWithinItsShareAndGivesBackWhatBecomesMore) {
    const FakeClock clock;
    const auto grown = [](ThreadHeap& heap) {
        return (heap.statistics(tiny).capacity - first_blocks) * base::row(tiny).block_bytes;
    };
    const std::uint32_t others = orphans::count() - orphans::parked_count();
    // With one heap more each has 40 KiB, which lets this class grow to 31 KiB.
    const ChangedOption total(&Options::magazine_total_bytes, (others + 1) * 40 * base::kibibyte);
    Own heap;
    swing(*heap, tiny, 12);
    const std::size_t alone = grown(*heap);
    EXPECT_LE(alone, 40 * base::kibibyte);
    EXPECT_GT(alone, 20 * base::kibibyte);
    std::vector<std::unique_ptr<Own>> more;
    while ((others + 1) * 40 * base::kibibyte / (others + 1 + more.size()) >= alone) {
        more.push_back(std::make_unique<Own>());
    }
    EXPECT_EQ(grown(*heap), alone);
    FakeClock::time += os::options().decay;
    give(*heap, tiny, take(*heap, tiny, 2 * heap->statistics(tiny).capacity + 2));
    EXPECT_LT(grown(*heap), alone);
    while (!more.empty()) more.pop_back();
}

TEST(ThreadHeap, OptionsThatGrewLaterDoNotOutgrowTheSlots) {
    const ChangedOption few(&Options::magazine_blocks, 40);
    Own heap;
    const ChangedOption many(&Options::magazine_blocks, 4096);
    swing(*heap, tiny, 12);
    EXPECT_EQ(heap->statistics(tiny).capacity, 40u);
}

TEST(ThreadHeap, AHeapThatWasHandedOnEmptyHasForgottenHowFarItHadGrown) {
    const ChangedOption none(&Options::parked_full, 0);
    // Both classes together want more than that, so the second owner needs it back.
    const ChangedOption budget(&Options::magazine_heap_bytes, 100 * base::kibibyte);
    const ThreadHeap* const parked = &*Own();
    for (const ClassId grows : {tiny, biggest}) {
        std::thread([&] {
            const HeapLease lease(parked);
            ThreadHeap& heap = *lease.heap();
            ASSERT_EQ(&heap, parked);
            EXPECT_EQ(heap.statistics(tiny).capacity, first_blocks);
            EXPECT_EQ(heap.statistics(biggest).capacity, 1u);
            swing(heap, grows, 12);
            EXPECT_GT(heap.statistics(grows).capacity, grows == tiny ? first_blocks : 1u);
        }).join();
    }
}

TEST(ThreadHeap, WithoutMagazinesEveryOperationReachesTheSlab) {
    for (const auto& field : {&Options::hardened, &Options::magazine_blocks}) {
        const ChangedOption off(field, field == &Options::hardened ? 1 : 0);
        Own heap;
        heap->apply_options();
        for (const ClassId id : {tiny, other, biggest}) {
            EXPECT_EQ(heap->statistics(id).capacity, 0u);
            const std::vector<void*> blocks = take(*heap, id, 20);
            EXPECT_EQ(heap->statistics(id).cached, 0u);
            for (unsigned i = 0; i < 20; i++) {
                EXPECT_FALSE(is_free(blocks[i]));
                give(*heap, id, blocks[i]);
                if (i < 3) {
                    EXPECT_TRUE(is_free(blocks[i]));
                }
            }
        }
        EXPECT_TRUE(cached_blocks(*heap).empty());
        EXPECT_EQ(heap.validate(), nullptr);
    }
}

TEST(ThreadHeap, AnIdleClassShrinksAfterTheInterval) {
    const FakeClock clock;
    const std::uint64_t interval = os::options().decay / 2;
    Own heap;
    heap->maintain();  // the first tick
    swing(*heap, tiny, 4);
    const unsigned grown = heap->statistics(tiny).capacity;
    ASSERT_GT(grown, first_blocks);
    ASSERT_GT(heap->statistics(tiny).cached, 0u);
    FakeClock::time += interval;  // a tick at which the class is not idle yet
    heap->maintain();
    EXPECT_EQ(heap->statistics(tiny).capacity, grown);
    FakeClock::time += interval - 1;
    heap->maintain();
    EXPECT_EQ(heap->statistics(tiny).capacity, grown);
    FakeClock::time += 1;
    heap->maintain();
    EXPECT_EQ(heap->statistics(tiny).capacity, first_blocks);
    EXPECT_EQ(heap->statistics(tiny).cached, 0u);
    EXPECT_EQ(slabs_of(*heap), 0u);
    EXPECT_EQ(heap.validate(), nullptr);
}

TEST(ThreadHeap, AHeapThatGrowsTakesInWhatIdleClassesHold) {
    const FakeClock clock;
    Own heap;
    heap->maintain();
    swing(*heap, tiny, 4);
    ASSERT_GT(heap->statistics(tiny).capacity, first_blocks);
    ASSERT_GT(heap->statistics(tiny).cached, 0u);
    // Each time the heap has taken some slabs; the class is idle from the second time on.
    const unsigned slabs = 40;
    const std::vector<void*> blocks = take(*heap, biggest, slabs * base::row(biggest).blocks);
    EXPECT_EQ(heap->statistics(tiny).capacity, first_blocks);
    EXPECT_EQ(heap->statistics(tiny).cached, 0u);
    give(*heap, biggest, blocks);
}

TEST(ThreadHeap, FreePagesOfASlabInUseAreGivenBackAfterAnInterval) {
    const FakeClock clock;
    const std::uint64_t interval = os::options().decay / 2;
    Own heap;
    const std::vector<void*> blocks = take(*heap, other, base::row(other).blocks);
    for (void* const block : blocks) std::memset(block, 1, base::row(other).block_bytes);
    const auto* const kept = static_cast<const char*>(blocks[0]);
    const Slab& slab = slab_of(kept);
    give(*heap, other, {blocks.begin() + 1, blocks.end()});
    heap->empty_out();
    const char* const page = slab.start + slab.block_count / 2u * slab.block_bytes;
    // A sweep takes several slow paths. The first one sees that blocks were taken lately.
    const auto sweep = [&heap] {
        for (unsigned i = 0; i < base::class_count; i++) heap->maintain();
    };
    FakeClock::time += interval;
    sweep();
    EXPECT_EQ(*page, 1);
    FakeClock::time += interval - 1;
    sweep();
    EXPECT_EQ(*page, 1);
    FakeClock::time += 1;
    sweep();
    EXPECT_EQ(*page, 0);
    EXPECT_EQ(*kept, 1);
    EXPECT_EQ(heap.validate(), nullptr);
    give(*heap, other, blocks[0]);
}

TEST(ThreadHeap, ABusyClassKeepsItsCapacity) {
    const FakeClock clock;
    Own heap;
    swing(*heap, tiny, 4);
    const unsigned grown = heap->statistics(tiny).capacity;
    for (int i = 0; i < 5; i++) {
        FakeClock::time += os::options().decay / 2;
        give(*heap, tiny, take(*heap, tiny, 3 * grown));
        EXPECT_GE(heap->statistics(tiny).capacity, grown);
    }
}

// ---- blocks of other heaps ----------------------------------------------------------------------

TEST(ThreadHeap, ARemoteFreeIsPendingUntilItIsSentAndFreeWhenItIsCollected) {
    Own owner;
    const std::vector<void*> blocks = take(*owner, tiny, 20);
    Slab& slab = slab_of(blocks[0]);
    {
        Own freer;
        for (unsigned i = 0; i < 3; i++) freer->release_remote(slab, blocks[i]);
        EXPECT_EQ(cached_blocks(*freer), (std::set<const void*>{blocks[0], blocks[1], blocks[2]}));
        EXPECT_EQ(owner->noticed, 0u);
        freer->empty_out();
        EXPECT_TRUE(cached_blocks(*freer).empty());
    }
    EXPECT_EQ(owner->notices[base::index(tiny)].sent, &slab);
    EXPECT_FALSE(is_free(blocks[1]));
    scavenge(*owner);
    EXPECT_EQ(owner->noticed, 0u);
    for (unsigned i = 0; i < 20; i++) EXPECT_EQ(is_free(blocks[i]), i < 3);
    EXPECT_EQ(owner.validate(), nullptr);
    give(*owner, tiny, {blocks.begin() + 3, blocks.end()});
}

TEST(ThreadHeap, AnIdleIntervalSendsWhatIsPending) {
    const FakeClock clock;
    Own owner;
    void* const block = take(*owner, tiny);
    Own freer;
    freer->maintain();
    freer->release_remote(slab_of(block), block);
    FakeClock::time += os::options().decay / 2;
    freer->maintain();
    EXPECT_TRUE(cached_blocks(*freer).empty());
    scavenge(*owner);
    EXPECT_TRUE(is_free(block));
}

TEST(ThreadHeap, AHeapThatHasRunOutTakesInWhatOthersFreed) {
    Own owner;
    std::vector<void*> blocks = take(*owner, biggest, base::row(biggest).blocks);
    std::thread([&] {
        const HeapLease lease;
        lease.heap()->release_remote(slab_of(blocks[3]), blocks[3]);
    }).join();  // its end sends it
    ASSERT_EQ(slabs_of(*owner), 1u);
    EXPECT_EQ(take(*owner, biggest), blocks[3]);
    EXPECT_EQ(slabs_of(*owner), 1u);
    give(*owner, biggest, blocks);
}

// What a refill does has a bound, however much others have freed.
TEST(ThreadHeap, ARefillTakesBlocksBackToAFewSlabsAndTheNextOneGoesOn) {
    constexpr unsigned slabs = 20;
    const FakeClock clock;
    Own owner;
    const unsigned each = base::row(biggest).blocks;
    std::vector<void*> blocks = take(*owner, biggest, slabs * each);
    std::sort(blocks.begin(), blocks.end());
    {
        Own freer;
        for (unsigned i = 0; i < slabs; i++) {
            freer->release_remote(slab_of(blocks[i * each]), blocks[i * each]);
        }
        freer->empty_out();
    }
    const auto waiting = [&] {
        unsigned count = 0;
        for (unsigned i = 0; i < slabs; i++) count += slab_of(blocks[i * each]).dirty ? 1u : 0u;
        return count;
    };
    ASSERT_EQ(waiting(), slabs);
    std::set<void*> again;
    for (unsigned taken = 1; taken <= slabs; taken++) {
        again.insert(take(*owner, biggest));
        EXPECT_EQ(waiting(), taken <= 8 ? 12u : taken <= 16 ? 4u : 0u) << taken;
        EXPECT_EQ(owner.validate(), nullptr);
    }
    for (unsigned i = 0; i < slabs; i++) EXPECT_EQ(again.count(blocks[i * each]), 1u) << i;
    EXPECT_EQ(slabs_of(*owner), slabs);
    give(*owner, biggest, blocks);
}

// Its thread may sleep for long with notices that it has taken and not looked at.
TEST(ThreadHeap, WhatASliceHasLeftIsCollectedByOthers) {
    const FakeClock clock;
    Own owner;
    const unsigned each = base::row(biggest).blocks;
    std::vector<void*> blocks = take(*owner, biggest, 12 * each);
    {
        Own freer;
        for (void* const block : blocks) freer->release_remote(slab_of(block), block);
        freer->empty_out();
    }
    void* const block = take(*owner, biggest);
    EXPECT_GT(slabs_of(*owner), 2u);
    orphans::scavenge(orphans::Scavenge::all);
    EXPECT_EQ(owner->noticed, 0u);
    EXPECT_LE(slabs_of(*owner), 2u);
    give(*owner, biggest, block);
}

TEST(ThreadHeap, HardenedARemoteFreeArrivesAtOnce) {
    const ChangedOption hardened(&Options::hardened, 1);
    Own owner;
    owner->apply_options();
    const std::vector<void*> blocks = take(*owner, tiny, 2);
    Own freer;
    freer->release_remote(slab_of(blocks[1]), blocks[1]);
    EXPECT_TRUE(is_free(blocks[1]));
    EXPECT_TRUE(cached_blocks(*freer).empty());
    EXPECT_DEATH(freer->release_remote(slab_of(blocks[1]), blocks[1]), "double free");
    give(*owner, tiny, blocks[0]);
}

TEST(ThreadHeap, ABlockFreedTwiceIsNamedAtTheLatestWhenItsMagazineIsFlushed) {
    Own heap;
    const std::vector<void*> blocks = take(*heap, tiny, 2);
    EXPECT_DEATH(
        {
            give(*heap, tiny, {blocks[1], blocks[1]});
            heap->empty_out();
        },
        "double free");
    EXPECT_DEATH(heap->release_remote(slab_of(blocks[1]), static_cast<char*>(blocks[1]) + 1),
                 "invalid free");
    give(*heap, tiny, blocks);
}

// ---- giving back --------------------------------------------------------------------------------

TEST(ThreadHeap, EmptyOutGivesEverythingBackThatIsFree) {
    Own heap;
    std::vector<std::vector<void*>> blocks(base::class_count);
    for (unsigned c = 1; c < base::class_count; c++) {
        blocks[c] = take(*heap, ClassId{static_cast<std::uint8_t>(c)}, 50);
    }
    void* const kept = blocks[10].back();
    blocks[10].pop_back();
    for (unsigned c = 1; c < base::class_count; c++) {
        give(*heap, ClassId{static_cast<std::uint8_t>(c)}, blocks[c]);
    }
    heap->empty_out();
    EXPECT_EQ(slabs_of(*heap), 1u);
    EXPECT_TRUE(cached_blocks(*heap).empty());
    EXPECT_EQ(Phase16::validate(), nullptr);
    give(*heap, other, kept);
    heap->empty_out();
    EXPECT_EQ(slabs_of(*heap), 0u);
    EXPECT_EQ(Phase16::validate(), nullptr);
}

TEST(ThreadHeap, WhatIsDiscardedIsNeitherCachedNorFreeAndTheHeapGoesOn) {
    Own heap;
    Own owner;
    void* const remote = take(*owner, tiny);
    const std::vector<void*> blocks = take(*heap, tiny, 10);
    heap->release_remote(slab_of(remote), remote);
    const std::set<const void*> lost = cached_blocks(*heap);
    EXPECT_EQ(lost.size(), 7u);  // six of a refill of sixteen, and the remote one
    heap->discard_cached();
    EXPECT_TRUE(cached_blocks(*heap).empty());
    for (const void* block : lost) EXPECT_FALSE(is_free(block));
    for (void* block : take(*heap, tiny, 50)) {
        EXPECT_EQ(lost.count(block), 0u);
        give(*heap, tiny, block);
    }
    {
        os::LockGuard guard(heap->lock);
        EXPECT_EQ(heap->operations.validate(*heap), nullptr);
    }
    // A program that holds them may free them: they are out, like any other.
    for (const void* block : lost) {
        ThreadHeap& home = block == remote ? *owner : *heap;
        give(home, tiny, const_cast<void*>(block));
    }
    give(*heap, tiny, blocks);
    heap->empty_out();
    owner->empty_out();
    EXPECT_EQ(slabs_of(*heap) + slabs_of(*owner), 0u);
}

TEST(ThreadHeap, WithoutMemoryAllocateIsNullAndTheHeapStaysUsable) {
    Own heap;
    std::vector<void*> blocks;
    {
        const FaultInjection faults({.calls = FaultInjection::more});
        while (void* const block = take(*heap, biggest)) blocks.push_back(block);
        EXPECT_GT(FaultInjection::failed(), 0u);
        EXPECT_EQ(take(*heap, biggest), nullptr);
        EXPECT_EQ(heap.validate(), nullptr);
        if (!blocks.empty()) {
            give(*heap, biggest, blocks.back());
            EXPECT_EQ(take(*heap, biggest), blocks.back());
        }
    }
    void* const block = take(*heap, biggest);
    ASSERT_NE(block, nullptr);
    give(*heap, biggest, block);
    give(*heap, biggest, blocks);
}

TEST(ThreadHeap, WithoutMemoryThereIsNoNewHeapAndTheListOfHeapsIsWhole) {
    std::vector<ThreadHeap*> heaps;
    {
        const FaultInjection faults({.calls = FaultInjection::more});
        while (ThreadHeap* const heap = ThreadHeap::make()) heaps.push_back(heap);
        EXPECT_GT(FaultInjection::failed(), 0u);
    }
    EXPECT_EQ(orphans::validate(), nullptr);
    heaps.push_back(ThreadHeap::make());
    ASSERT_NE(heaps.back(), nullptr);
    for (ThreadHeap* heap : heaps) orphans::park(*heap);
    EXPECT_EQ(orphans::validate(), nullptr);
}

// Their slots are many pages. Chunks of the arena that only one heap fits in would give each record
// whole pages; the first ones are such.
TEST(ThreadHeap, RecordsShareAPage) {
    std::vector<ThreadHeap*> heaps(25);
    for (ThreadHeap*& heap : heaps) heap = ThreadHeap::make();
    std::size_t neighbours = 0;
    for (std::size_t i = 1; i < heaps.size(); i++) {
        ASSERT_NE(heaps[i], nullptr);
        const auto* const behind = reinterpret_cast<const char*>(heaps[i - 1]) +
                                   base::round_up(sizeof(ThreadHeap), base::cache_line_bytes);
        neighbours += reinterpret_cast<const char*>(heaps[i]) == behind ? 1U : 0U;
    }
    EXPECT_GE(neighbours, 8u);  // two heaps a chunk, but for the first ones
    for (ThreadHeap* heap : heaps) orphans::park(*heap);
}

TEST(ThreadHeap, OneThatCouldNotBeMadeCostsNoRecords) {
    const char* const next = leave_arena_room(5 * base::round_up(sizeof(ThreadHeap), 64));
    const FaultInjection faults({.calls = FaultInjection::more});
    for (int i = 0; i < 5; i++) EXPECT_EQ(ThreadHeap::make(), nullptr);
    EXPECT_EQ(back::meta_arena::allocate(64), next);
}

// ---- threads and heaps --------------------------------------------------------------------------

TEST(ThreadHeap, AThreadWithoutAHeapHasTheEmptyOneWhichMissesAlways) {
    std::thread([] {
        EXPECT_EQ(front::own_heap(), nullptr);
        for (unsigned c = 1; c < base::class_count; c++) {
            front::Magazine& magazine =
                front::current_heap->magazine(ClassId{static_cast<std::uint8_t>(c)});
            EXPECT_EQ(magazine.pop(), nullptr);
            EXPECT_FALSE(magazine.push(&magazine));
            EXPECT_EQ(front::class_of_magazine(magazine), ClassId{static_cast<std::uint8_t>(c)});
        }
        const HeapLease lease;
        EXPECT_NE(lease.heap(), nullptr);
        EXPECT_EQ(front::own_heap(), lease.heap());
    }).join();
}

TEST(ThreadHeap, ThreadsThatLiveAtOnceHaveHeapsOfTheirOwn) {
    ThreadHeap* inner = nullptr;
    ThreadHeap* outer = nullptr;
    std::thread([&] {
        outer = HeapLease().heap();
        std::thread([&] { inner = HeapLease().heap(); }).join();
        EXPECT_EQ(state_of(*inner), HeapState::parked);
        EXPECT_EQ(state_of(*outer), HeapState::active);
    }).join();
    EXPECT_NE(inner, outer);
    EXPECT_EQ(state_of(*outer), HeapState::parked);
}

TEST(ThreadHeap, BlocksOutliveTheirThreadAndTheNextThreadGetsItsHeap) {
    std::vector<void*> blocks;
    ThreadHeap* first = nullptr;
    std::thread([&] {
        const HeapLease lease;
        first = lease.heap();
        blocks = take(*first, other, 300);
        for (void* block : blocks) std::memset(block, 0x5a, base::row(other).block_bytes);
    }).join();
    EXPECT_EQ(state_of(*first), HeapState::parked);
    const std::vector<char> expected(base::row(other).block_bytes, 0x5a);
    std::thread([&] {
        const HeapLease lease;
        ThreadHeap& heap = *lease.heap();
        EXPECT_EQ(&heap, first);
        EXPECT_EQ(state_of(heap), HeapState::active);
        const std::vector<void*> more = take(heap, other, 300);
        for (void* block : more) std::memset(block, 0x11, base::row(other).block_bytes);
        for (void* block : blocks) {
            EXPECT_EQ(std::memcmp(block, expected.data(), expected.size()), 0);
        }
        give(heap, other, more);
        give(heap, other, blocks);
    }).join();
    orphans::purge();
    EXPECT_EQ(slabs_of(*first), 0u);
    EXPECT_EQ(Phase16::validate(), nullptr);
}

// What a thread leaves in the magazine of its heap that it has made grow.
struct Left {
    const ThreadHeap* heap;
    std::set<const void*> blocks;
    unsigned capacity;
    void* last;
};

Left leave_blocks() {
    Left left{};
    std::thread([&left] {
        const HeapLease lease;
        ThreadHeap& heap = *lease.heap();
        swing(heap, tiny, 6);
        left.last = take(heap, tiny);
        give(heap, tiny, left.last);
        left.heap = &heap;
        left.blocks = cached_blocks(heap);
        left.capacity = heap.statistics(tiny).capacity;
    }).join();
    return left;
}

// It may be made for a call that comes after its thread has handed its own on, and the next thread
// takes it over as it is.
TEST(ThreadHeap, AHeapThatIsMadeInHardenedModeHasNoMagazines) {
    const ChangedOption hardened(&Options::hardened, 1);
    ThreadHeap* const heap = ThreadHeap::make();
    ASSERT_NE(heap, nullptr);
    EXPECT_EQ(heap->statistics(tiny).capacity, 0U);
    heap->take_over();
    heap->hand_on();
    EXPECT_EQ(Phase16::validate(), nullptr);
}

TEST(ThreadHeap, InHardenedModeNothingIsLeft) {
    const ChangedOption hardened(&Options::hardened, 1);
    const Left left = leave_blocks();
    EXPECT_FALSE(left.heap->leftovers);
    EXPECT_EQ(state_of(*left.heap), HeapState::parked);
    std::thread([&] {
        const HeapLease lease(left.heap);
        ASSERT_EQ(lease.heap(), left.heap);
        EXPECT_EQ(lease.heap()->statistics(tiny).capacity, 0U);
    }).join();
}

TEST(ThreadHeap, AHeapIsHandedOnWithItsMagazinesAsTheyAre) {
    orphans::purge();
    const Left left = leave_blocks();
    EXPECT_EQ(state_of(*left.heap), HeapState::parked);
    EXPECT_EQ(cached_blocks(*left.heap), left.blocks);
    EXPECT_EQ(Phase16::validate(), nullptr);
    std::thread([&] {
        const HeapLease lease(left.heap);
        ThreadHeap& heap = *lease.heap();
        ASSERT_EQ(&heap, left.heap);
        EXPECT_EQ(heap.statistics(tiny).capacity, left.capacity);
        EXPECT_GT(left.capacity, first_blocks);
        EXPECT_EQ(heap.magazine(tiny).pop(), left.last);
        heap.magazine(tiny).push(left.last);
    }).join();
    orphans::purge();
    EXPECT_TRUE(cached_blocks(*left.heap).empty());
    EXPECT_EQ(slabs_of(*left.heap), 0u);
}

TEST(ThreadHeap, SomeHeapsAreHandedOnFullAndTheOthersEmpty) {
    orphans::purge();
    for (const std::uint64_t heaps_max : {0u, 1u}) {
        const ChangedOption option(&Options::parked_full, heaps_max);
        Left outer{};
        Left inner{};
        std::thread([&] {
            const HeapLease lease;
            outer.heap = lease.heap();
            give(*lease.heap(), tiny, take(*lease.heap(), tiny));
            inner = leave_blocks();  // in another heap, while this thread has its own
        }).join();
        EXPECT_EQ(cached_blocks(*inner.heap).empty(), heaps_max == 0);
        EXPECT_TRUE(cached_blocks(*outer.heap).empty());
        orphans::purge();
    }
}

TEST(ThreadHeap, WhatAThreadLeavesIsTakenInWhenTheNextSweepBegins) {
    orphans::purge();
    const FakeClock clock;
    Own heap;
    heap->maintain();
    const Left left = leave_blocks();
    FakeClock::time += os::options().decay / 2 - 1;
    heap->maintain();
    EXPECT_EQ(cached_blocks(*left.heap), left.blocks);
    FakeClock::time++;
    heap->maintain();
    EXPECT_TRUE(cached_blocks(*left.heap).empty());
    EXPECT_EQ(slabs_of(*left.heap), 0u);
}

// Such a thread refills nothing and flushes nothing.
TEST(ThreadHeap, AThreadThatOnlyHitsLooksAtTheClockAtItsEnd) {
    orphans::purge();
    const FakeClock clock;
    Left outer{};
    Left inner{};
    std::thread([&] {
        const HeapLease lease;
        outer.heap = lease.heap();
        inner = leave_blocks();
        give(*lease.heap(), tiny, take(*lease.heap(), tiny));
    }).join();
    const auto hit = [&] {
        std::thread([&] {
            const HeapLease lease(outer.heap);
            ASSERT_EQ(lease.heap(), outer.heap);
            const std::uint64_t refills = lease.heap()->statistics(tiny).refills;
            give(*lease.heap(), tiny, take(*lease.heap(), tiny));
            EXPECT_EQ(lease.heap()->statistics(tiny).refills, refills);
        }).join();
    };
    hit();
    EXPECT_FALSE(cached_blocks(*inner.heap).empty());
    FakeClock::time += os::options().decay / 2;
    hit();
    EXPECT_TRUE(cached_blocks(*inner.heap).empty());
}

TEST(ThreadHeap, OthersMayTakeWhatThreadsLeave) {
    std::atomic<bool> done{false};
    std::vector<std::thread> others;
    others.emplace_back([&] {
        while (!done) orphans::purge();
    });
    others.emplace_back([&] {
        while (!done) orphans::scavenge(orphans::Scavenge::all);
    });
    for (unsigned i = 0; i < 300; i++) {
        std::thread([i] {
            const HeapLease lease;
            const ClassId id{static_cast<std::uint8_t>(1 + i % 40)};
            const std::vector<void*> blocks = take(*lease.heap(), id, 60);
            for (void* block : blocks) std::memset(block, 0x77, base::row(id).block_bytes);
            for (void* block : blocks) EXPECT_EQ(*static_cast<char*>(block), 0x77);
            give(*lease.heap(), id, blocks);
        }).join();
    }
    done = true;
    for (std::thread& other_thread : others) other_thread.join();
    EXPECT_EQ(Phase16::validate(), nullptr);
}

TEST(ThreadHeap, AThreadThatBeginsWithAFreeOfAnEndedThreadsBlockGetsThatThreadsHeap) {
    ThreadHeap* inner = nullptr;
    ThreadHeap* outer = nullptr;
    void* block = nullptr;
    std::thread([&] {
        outer = HeapLease().heap();
        std::thread([&] {
            inner = HeapLease().heap();
            block = inner->allocate(tiny);
        }).join();
    }).join();
    std::thread([&] {
        Phase16::deallocate(block);
        EXPECT_EQ(front::own_heap(), inner);  // although the outer one was parked last
        EXPECT_EQ(state_of(*outer), HeapState::parked);
    }).join();
    orphans::purge();
    EXPECT_EQ(slabs_of(*inner), 0u);
    EXPECT_EQ(Phase16::validate(), nullptr);
}

TEST(ThreadHeap, ADetachedThreadBorrowsAHeapForOneCallAtATime) {
    std::thread([] {
        { const HeapLease lease; }
        ThreadHeap* const own = front::own_heap();
        ASSERT_NE(own, nullptr);
        front::detach_thread();
        EXPECT_EQ(front::own_heap(), nullptr);
        EXPECT_EQ(state_of(*own), HeapState::parked);
        const std::uint32_t parked = orphans::parked_count();
        void* block = nullptr;
        {
            const HeapLease lease;
            EXPECT_EQ(lease.heap(), own);  // the one that is warm
            EXPECT_EQ(orphans::parked_count(), parked - 1);
            EXPECT_EQ(front::own_heap(), nullptr);
            block = lease.heap()->allocate(tiny);
            ASSERT_NE(block, nullptr);
        }
        EXPECT_EQ(orphans::parked_count(), parked);
        {
            const HeapLease lease;
            lease.heap()->release(tiny, block);
        }
        orphans::purge();
        EXPECT_EQ(slabs_of(*own), 0u);
    }).join();
}

TEST(ThreadHeap, AnOwnersDeathWithoutDetachingIsNoticed) {
    ThreadHeap* heap = nullptr;
    void* block = nullptr;
    std::thread([&] {
        // What a thread does whose first allocation comes after the last key destructor.
        heap = ThreadHeap::make();
        ASSERT_NE(heap, nullptr);
        heap->life.hold();
        block = heap->allocate(tiny);
        std::memset(block, 0x33, 16);
        EXPECT_EQ(state_of(*heap), HeapState::active);
        orphans::purge();
        EXPECT_EQ(state_of(*heap), HeapState::active) << "its thread is alive";
    }).join();
    ASSERT_EQ(state_of(*heap), HeapState::active);
    EXPECT_FALSE(cached_blocks(*heap).empty());
    orphans::purge();
    EXPECT_EQ(state_of(*heap), HeapState::parked);
    EXPECT_TRUE(cached_blocks(*heap).empty());
    EXPECT_EQ(static_cast<char*>(block)[15], 0x33);
    EXPECT_EQ(Phase16::validate(), nullptr);
    std::thread([&] {
        const HeapLease lease;
        EXPECT_EQ(lease.heap(), heap);
        lease.heap()->release(tiny, block);
    }).join();
    orphans::purge();
    EXPECT_EQ(slabs_of(*heap), 0u);
}

// As a fork leaves it that copies a heap just after it was published.
TEST(ThreadHeap, AHeapWhoseMakerVanishedHasItsTagWhenItIsAdopted) {
    ThreadHeap* const heap = ThreadHeap::make();
    ASSERT_NE(heap, nullptr);
    heap->tag_bits = 0;
    orphans::park(*heap);
    std::thread([&] {
        const HeapLease lease;
        ASSERT_EQ(lease.heap(), heap);
        EXPECT_EQ(heap->tag_bits, back::page_map::Entry::of(heap->tag, ClassId::external).bits);
    }).join();
}

TEST(ThreadHeap, AParkedHeapWhoseSlotsWerePurgedServesAgain) {
    ThreadHeap* first = nullptr;
    std::thread([&] {
        const HeapLease lease;
        first = lease.heap();
        swing(*first, tiny, 6);
    }).join();
    EXPECT_GT(orphans::purge(), 0u);
    EXPECT_EQ(orphans::purge(), 0u) << "what is given back is given back once";
    std::thread([&] {
        const HeapLease lease;
        ThreadHeap& heap = *lease.heap();
        EXPECT_EQ(&heap, first);
        swing(heap, tiny, 6);
        os::LockGuard guard(heap.lock);
        EXPECT_EQ(heap.operations.validate(heap), nullptr);
    }).join();
}

TEST(ThreadHeap, OthersMayScavengeAndPurgeWhileItsThreadWorks) {
    constexpr unsigned rounds = 300;
    std::atomic<bool> done{false};
    std::thread worker([&] {
        const HeapLease lease;
        ThreadHeap& heap = *lease.heap();
        for (unsigned i = 0; i < rounds; i++) {
            const ClassId id{static_cast<std::uint8_t>(1 + i % base::index(ClassId::last))};
            const std::vector<void*> blocks = take(heap, id, 60);
            for (void* block : blocks) std::memset(block, 0x77, base::row(id).block_bytes);
            for (void* block : blocks) EXPECT_EQ(*static_cast<char*>(block), 0x77);
            give(heap, id, blocks);
        }
        done = true;
    });
    while (!done) {
        orphans::purge();
        orphans::scavenge(orphans::Scavenge::all);
        for (middle::HeapNode* heap = orphans::newest(); heap; heap = heap->older) {
            os::LockGuard guard(heap->lock);
            EXPECT_EQ(heap->operations.validate(*heap), nullptr);
        }
    }
    worker.join();
    EXPECT_EQ(Phase16::validate(), nullptr);
}

// ---- invariants ---------------------------------------------------------------------------------

TEST(ThreadHeap, I1_AListedSlabThatIsNotMarkedOrHasNoFreeBlockIsNoticed) {
    Own heap;
    void* const block = take(*heap, tiny);
    Slab& slab = slab_of(block);
    ASSERT_TRUE(slab.listed);
    ASSERT_EQ(heap.validate(), nullptr);
    slab.listed = false;
    EXPECT_STREQ(heap.validate(), "thread_heap I1");
    slab.listed = true;
    const std::uint16_t free_count = slab.free_count;
    slab.free_count = 0;
    EXPECT_STREQ(heap.validate(), "thread_heap I1");
    slab.free_count = free_count;
    EXPECT_EQ(heap.validate(), nullptr);
    give(*heap, tiny, block);
}

TEST(ThreadHeap, I1_ASlabIsListedExactlyWhileItHasAFreeBlock) {
    const ChangedOption no_growth(&Options::magazine_heap_bytes, 0);
    Own heap;
    const unsigned all = base::row(biggest).blocks;
    std::vector<void*> blocks;
    for (unsigned i = 0; i < all; i++) {
        blocks.push_back(take(*heap, biggest));
        EXPECT_EQ(slab_of(blocks[0]).listed, slab_of(blocks[0]).free_count > 0);
    }
    EXPECT_FALSE(slab_of(blocks[0]).listed);
    for (void* block : blocks) {
        give(*heap, biggest, block);
        EXPECT_EQ(slab_of(blocks[0]).listed, slab_of(blocks[0]).free_count > 0);
        EXPECT_EQ(heap.validate(), nullptr);
    }
    EXPECT_TRUE(slab_of(blocks[0]).listed);
}

TEST(ThreadHeap, I3_AParkedHeapWithBlocksInItsMagazinesIsNoticedUnlessTheyWereLeft) {
    const Left left = leave_blocks();
    EXPECT_EQ(Phase16::validate(), nullptr);
    const_cast<ThreadHeap*>(left.heap)->leftovers = false;
    EXPECT_STREQ(Phase16::validate(), "thread_heap I3");
    const_cast<ThreadHeap*>(left.heap)->leftovers = true;
    EXPECT_EQ(Phase16::validate(), nullptr);
    orphans::purge();
}

TEST(ThreadHeap, I2_ASlabOfAnotherClassOrHeapInAListIsNoticed) {
    Own heap;
    void* const block = take(*heap, tiny);
    Slab& slab = slab_of(block);
    slab.class_id = other;
    EXPECT_STREQ(heap.validate(), "thread_heap I2");
    slab.class_id = tiny;
    EXPECT_EQ(heap.validate(), nullptr);
    back::SlabOwner stranger;
    for (back::SlabOwner* owner : {&stranger, static_cast<back::SlabOwner*>(nullptr)}) {
        slab.owner = owner;
        EXPECT_STREQ(heap.validate(), "thread_heap I2");
    }
    slab.owner = &*heap;
    EXPECT_EQ(heap.validate(), nullptr);
    give(*heap, tiny, block);
}

}  // namespace
