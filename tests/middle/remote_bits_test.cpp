#include "middle/remote_bits.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "back/shared_pool.hpp"
#include "back/superslab.hpp"
#include "middle/orphan_heaps.hpp"

namespace {

using namespace hakmem;
namespace pool = back::shared_pool;
namespace remote_bits = middle::remote_bits;
using back::BlockIndex;
using back::Slab;
using back::SlabOwner;
using base::ClassId;
using middle::PendingFrees;

ClassId class_at(unsigned c) { return ClassId{static_cast<std::uint8_t>(c)}; }

// Owners are nodes, because a report that walks the superslabs takes every owner for one.
const middle::HeapOperations no_operations{};

struct Owner : middle::HeapNode {
    Owner() : HeapNode(no_operations) {
        static std::atomic<std::uint32_t> next{3100000};
        tag = next++;
    }
};

// A slab all of whose blocks are out, or the first so many.
Slab& slab_of(Owner& owner, ClassId id, unsigned out = base::slab_blocks_max) {
    Slab* const slab = pool::acquire_slab(id, owner, pool::Growth::allowed);
    std::vector<std::atomic<void*>> blocks(base::slab_blocks_max);
    back::slab::take(*slab, out, blocks.data());
    return *slab;
}

void note_merged(Slab& slab, void* slabs) {
    static_cast<std::vector<Slab*>*>(slabs)->push_back(&slab);
}

std::vector<Slab*> collect(Owner& owner) {
    std::vector<Slab*> merged;
    remote_bits::collect_all(owner, note_merged, &merged);
    return merged;
}

std::vector<Slab*> collect(Owner& owner, ClassId id, unsigned most) {
    std::vector<Slab*> merged;
    remote_bits::collect(owner, id, most, note_merged, &merged);
    return merged;
}

// The notice of a class that was sent last.
Slab* sent(const Owner& owner, ClassId id) { return owner.notices[base::index(id)].sent; }

std::uint64_t marks(std::initializer_list<ClassId> classes) {
    std::uint64_t bits = 0;
    for (const ClassId id : classes) bits |= std::uint64_t{1} << base::index(id);
    return bits;
}

// Gives all that is out back and the slab to the pool.
void release(Owner& owner, Slab& slab) {
    collect(owner);
    for (unsigned b = 0; b < slab.block_count; b++) {
        const BlockIndex index{b};
        if ((slab.free_bits[index.word()] & index.bit()) == 0) {
            back::slab::put(slab, index.word(), index.bit());
        }
    }
    pool::release_slab(slab);
}

// ---- the protocol, step by step -----------------------------------------------------------------

TEST(RemoteBits, AFreedBlockComesBackWithTheNextCollection) {
    Owner owner;
    Slab& slab = slab_of(owner, ClassId::first, 100);
    remote_bits::free_blocks(slab, 1, 0x5);
    EXPECT_EQ(slab.remote_bits(1), 0x5u);
    EXPECT_TRUE(slab.dirty);
    EXPECT_EQ(sent(owner, ClassId::first), &slab);
    EXPECT_EQ(slab.free_count, 4096u - 100u);  // the owner's bits are untouched
    EXPECT_EQ(collect(owner), std::vector<Slab*>{&slab});
    EXPECT_EQ(slab.remote_bits(1), 0u);
    EXPECT_FALSE(slab.dirty);
    EXPECT_EQ(sent(owner, ClassId::first), nullptr);
    EXPECT_EQ(slab.free_count, 4096u - 98u);
    EXPECT_EQ(slab.free_bits[1] & 0xfu, 0x5u);
    EXPECT_EQ(back::slab::validate(slab), nullptr);
    EXPECT_TRUE(collect(owner).empty());
    release(owner, slab);
}

TEST(RemoteBits, OneNoticeServesAllBitsUntilItIsCollected) {
    Owner owner;
    Slab& one = slab_of(owner, ClassId::first);
    Slab& other = slab_of(owner, ClassId::first);
    remote_bits::free_blocks(one, 0, 0x1);
    remote_bits::free_blocks(other, 0, 0x1);
    remote_bits::free_blocks(one, 63, 0xff00);
    remote_bits::free_blocks(one, 0, 0x2);
    EXPECT_EQ(sent(owner, ClassId::first), &other);
    EXPECT_EQ(other.next_dirty, &one);
    EXPECT_EQ(one.next_dirty, nullptr);
    EXPECT_EQ(collect(owner), (std::vector<Slab*>{&other, &one}));
    EXPECT_EQ(one.free_count, 10u);
    EXPECT_EQ(other.free_count, 1u);
    remote_bits::free_blocks(one, 0, 0x4);  // and a new notice after that
    EXPECT_EQ(sent(owner, ClassId::first), &one);
    release(owner, one);
    release(owner, other);
}

TEST(RemoteBits, ANoticeWithoutBitsIsHarmless) {
    Owner owner;
    Slab& slab = slab_of(owner, ClassId::last);
    remote_bits::notify(slab, ClassId::last);
    EXPECT_EQ(sent(owner, ClassId::last), &slab);
    EXPECT_TRUE(collect(owner).empty());  // nothing was merged: the slab may be full
    EXPECT_EQ(sent(owner, ClassId::last), nullptr);
    EXPECT_EQ(slab.free_count, 0u);
    EXPECT_FALSE(slab.dirty);
    release(owner, slab);
}

TEST(RemoteBits, ASlabMayBeReleasedWhileItIsCollected) {
    Owner owner;
    Slab& keep = slab_of(owner, ClassId::last);
    Slab& go = slab_of(owner, ClassId::last, 3);
    remote_bits::free_blocks(keep, 0, 0x1);
    remote_bits::free_blocks(go, 0, 0x7);
    remote_bits::collect_all(
        owner,
        [](Slab& slab, void*) {
            if (slab.empty()) pool::release_slab(slab);
        },
        nullptr);
    EXPECT_EQ(go.owner, nullptr);
    EXPECT_EQ(keep.free_count, 1u);
    release(owner, keep);
}

// ---- classes and slices -------------------------------------------------------------------------

TEST(RemoteBits, NoticesAreSortedByClassAndMarked) {
    Owner owner;
    Slab& small = slab_of(owner, ClassId::first);
    Slab& large = slab_of(owner, ClassId::last);
    EXPECT_EQ(owner.noticed, 0u);
    remote_bits::free_blocks(small, 0, 0x1);
    remote_bits::free_blocks(large, 0, 0x1);
    EXPECT_EQ(owner.noticed, marks({ClassId::first, ClassId::last}));
    EXPECT_EQ(collect(owner, ClassId::last, 8), std::vector<Slab*>{&large});
    EXPECT_EQ(owner.noticed, marks({ClassId::first}));
    EXPECT_TRUE(collect(owner, ClassId::last, 8).empty());
    EXPECT_EQ(small.free_count, 0u);
    EXPECT_EQ(collect(owner), std::vector<Slab*>{&small});
    EXPECT_EQ(owner.noticed, 0u);
    release(owner, small);
    release(owner, large);
}

TEST(RemoteBits, ASliceLeavesTheRestForTheNextOneAndItsMark) {
    Owner owner;
    std::vector<Slab*> slabs;
    for (int i = 0; i < 5; i++) slabs.push_back(&slab_of(owner, ClassId::last));
    for (unsigned i = 0; i < 4; i++) remote_bits::free_blocks(*slabs[i], 0, 0x1);
    EXPECT_EQ(collect(owner, ClassId::last, 2), (std::vector<Slab*>{slabs[3], slabs[2]}));
    EXPECT_EQ(owner.noticed, marks({ClassId::last}));
    EXPECT_TRUE(slabs[1]->dirty);  // its notice has arrived, and was not looked at
    EXPECT_EQ(slabs[1]->free_count, 0u);
    // Whoever frees more of it need not say so again.
    remote_bits::free_blocks(*slabs[1], 0, 0x2);
    EXPECT_EQ(sent(owner, ClassId::last), nullptr);
    // What comes meanwhile waits until the rest was looked at.
    remote_bits::free_blocks(*slabs[4], 0, 0x1);
    EXPECT_EQ(collect(owner, ClassId::last, 1), std::vector<Slab*>{slabs[1]});
    EXPECT_EQ(slabs[1]->free_count, 2u);
    EXPECT_EQ(collect(owner, ClassId::last, 2), (std::vector<Slab*>{slabs[0], slabs[4]}));
    EXPECT_EQ(owner.noticed, 0u);
    for (Slab* slab : slabs) release(owner, *slab);
}

// Whoever pushes leaves the mark after that, and the notice may be gone by then.
TEST(RemoteBits, AMarkWithoutANoticeIsWipedOff) {
    Owner owner;
    owner.noticed = marks({ClassId::first, ClassId::last});
    EXPECT_TRUE(collect(owner, ClassId::last, 1).empty());
    EXPECT_EQ(owner.noticed, marks({ClassId::first}));
    EXPECT_TRUE(collect(owner).empty());
    EXPECT_EQ(owner.noticed, 0u);
}

TEST(RemoteBits, NoticesThatBringNothingDoNotUseASliceUp) {
    Owner owner;
    Slab& full = slab_of(owner, ClassId::last);
    Slab& other = slab_of(owner, ClassId::last);
    remote_bits::free_blocks(other, 0, 0x1);
    remote_bits::notify(full, ClassId::last);
    EXPECT_EQ(collect(owner, ClassId::last, 1), std::vector<Slab*>{&other});
    EXPECT_EQ(owner.noticed, 0u);
    release(owner, full);
    release(owner, other);
}

// ---- late notices -------------------------------------------------------------------------------

TEST(RemoteBits, ALateNoticeOfASlabInThePoolIsDropped) {
    Owner owner;
    Slab& slab = slab_of(owner, ClassId::last, 0);
    remote_bits::notify(slab, ClassId::last);  // reaches the owner's stack
    pool::release_slab(slab);
    EXPECT_TRUE(collect(owner).empty());
    EXPECT_FALSE(slab.dirty);
    // Sent when the slab is in the pool already:
    remote_bits::notify(slab, ClassId::last);
    EXPECT_FALSE(slab.dirty);
    EXPECT_EQ(sent(owner, ClassId::last), nullptr);
}

TEST(RemoteBits, ALateNoticeOfASlabThatMovedOnIsForwarded) {
    Owner before;
    Owner after;
    Slab& slab = slab_of(before, ClassId::last, 0);
    remote_bits::notify(slab, ClassId::last);
    pool::release_slab(slab);
    Slab* again = nullptr;
    std::vector<Slab*> others;
    while (again != &slab) {  // the same units, for another heap and class
        again = pool::acquire_slab(class_at(50), after, pool::Growth::allowed);
        ASSERT_NE(again, nullptr);
        if (again != &slab) others.push_back(again);
        ASSERT_LT(others.size(), 10000u);
    }
    std::atomic<void*> blocks[4];
    ASSERT_EQ(back::slab::take(slab, 4, blocks), 4u);
    // A thread frees blocks of the slab as it is now; the flag of the late notice is still set.
    remote_bits::free_blocks(slab, 0, 0x3);
    EXPECT_EQ(sent(after, ClassId::last), nullptr);
    EXPECT_TRUE(collect(before).empty());
    EXPECT_EQ(sent(after, ClassId::last), &slab);
    EXPECT_EQ(slab.remote_bits(0), 0x3u);
    EXPECT_EQ(collect(after), std::vector<Slab*>{&slab});
    EXPECT_EQ(slab.remote_bits(0), 0u);
    release(after, slab);
    for (Slab* other : others) release(after, *other);
}

// Whoever frees behind a late notice does not send one. The slab stands with the class that it had.
TEST(RemoteBits, BitsBehindALateNoticeOfAnotherClassAreFoundWithAllThatWaits) {
    Owner owner;
    Slab& slab = slab_of(owner, ClassId::last, 0);
    remote_bits::notify(slab, ClassId::last);
    pool::release_slab(slab);
    std::vector<Slab*> slabs{&slab_of(owner, class_at(50), 4)};
    while (slabs.back() != &slab) {
        ASSERT_LT(slabs.size(), 10000u);
        slabs.push_back(&slab_of(owner, class_at(50), 4));
    }
    remote_bits::free_blocks(slab, 0, 0x3);
    EXPECT_TRUE(collect(owner, class_at(50), 8).empty());
    EXPECT_EQ(owner.noticed, marks({ClassId::last}));
    EXPECT_EQ(collect(owner), std::vector<Slab*>{&slab});
    EXPECT_EQ(owner.noticed, 0u);
    for (Slab* each : slabs) release(owner, *each);
}

// ---- pending frees ------------------------------------------------------------------------------

using Groups = std::map<std::pair<Slab*, unsigned>, std::uint64_t>;

Groups groups(const PendingFrees& pending) {
    Groups all;
    pending.for_each(
        [](Slab& slab, unsigned word, std::uint64_t bits, void* context) {
            (*static_cast<Groups*>(context))[{&slab, word}] |= bits;
        },
        &all);
    return all;
}

TEST(RemoteBits, NeighboursWaitTogetherAndGoTogether) {
    Owner owner;
    Slab& slab = slab_of(owner, ClassId::first);
    PendingFrees pending;
    for (std::uint32_t i = 0; i < 10; i++) pending.add(slab, BlockIndex{64 + i});
    EXPECT_EQ(groups(pending), (Groups{{{&slab, 1}, 0x3ff}}));
    EXPECT_FALSE(slab.dirty);
    EXPECT_EQ(pending.validate(), nullptr);
    pending.flush();
    EXPECT_TRUE(groups(pending).empty());
    EXPECT_EQ(slab.remote_bits(1), 0x3ffu);
    EXPECT_EQ(pending.validate(), nullptr);
    release(owner, slab);
}

TEST(RemoteBits, EveryBlockIsEitherPendingOrSent) {
    Owner owner;
    std::vector<Slab*> slabs;
    for (int i = 0; i < 6; i++) slabs.push_back(&slab_of(owner, class_at(4)));
    PendingFrees pending;
    Groups freed;
    std::mt19937 random(1);
    for (int i = 0; i < 3000; i++) {
        Slab& slab = *slabs[random() % slabs.size()];
        const BlockIndex index{static_cast<std::uint32_t>(random() % slab.block_count)};
        std::uint64_t& bits = freed[{&slab, index.word()}];
        if ((bits & index.bit()) != 0) continue;
        bits |= index.bit();
        pending.add(slab, index);
        ASSERT_EQ(pending.validate(), nullptr);
    }
    for (const auto& [place, bits] : freed) {
        const Groups waiting = groups(pending);
        const auto it = waiting.find(place);
        const std::uint64_t waits = it == waiting.end() ? 0 : it->second;
        const std::uint64_t sent = place.first->remote_bits(place.second);
        EXPECT_EQ(waits & sent, 0u);
        EXPECT_EQ(waits | sent, bits);
    }
    pending.flush();
    for (const auto& [place, bits] : freed) EXPECT_EQ(place.first->remote_bits(place.second), bits);
    for (Slab* slab : slabs) release(owner, *slab);
}

TEST(RemoteBits, NoMoreThanSixtyFourKibibytesWait) {
    Owner owner;
    Slab& slab = slab_of(owner, ClassId::last);
    ASSERT_GE(slab.block_count, 4u);
    PendingFrees pending;
    pending.add(slab, BlockIndex{0});
    pending.add(slab, BlockIndex{1});
    EXPECT_FALSE(slab.dirty);
    pending.add(slab, BlockIndex{2});
    EXPECT_EQ(slab.remote_bits(0), 0x7u);
    EXPECT_TRUE(groups(pending).empty());
    release(owner, slab);
}

TEST(RemoteBits, AndWhoeverFreesSendsNoMoreGroupsThanMustGo) {
    Owner owner;
    std::vector<Slab*> slabs;
    for (int i = 0; i < 5; i++) slabs.push_back(&slab_of(owner, ClassId::last));
    PendingFrees pending;
    const auto sent = [&] {
        return std::count_if(slabs.begin(), slabs.end(),
                             [](const Slab* s) { return s->dirty.load(); });
    };
    int added = 0;
    for (Slab* slab : slabs) {
        pending.add(*slab, BlockIndex{0});
        added++;
        EXPECT_EQ(sent(), std::max(0, added - 2)) << "of " << added;
    }
    // Those that were sent make room, and leave it to those that follow.
    pending.flush();
    EXPECT_EQ(sent(), 5);
    collect(owner);
    pending.add(*slabs[0], BlockIndex{1});
    pending.add(*slabs[1], BlockIndex{1});
    EXPECT_EQ(sent(), 0);
    pending.flush();
    for (Slab* slab : slabs) release(owner, *slab);
}

// After a double free a slab may go to another class while blocks of it are pending. What is
// counted here must not suffer from it, or make_room would never end.
TEST(RemoteBitsDeathTest, ASlabThatChangesItsClassMeanwhileDoesNotSpoilTheCount) {
    EXPECT_EXIT(
        {
            Owner owner;
            Slab& slab = slab_of(owner, ClassId::first);
            PendingFrees pending;
            for (std::uint32_t i = 0; i < 10; i++) pending.add(slab, BlockIndex{i});
            release(owner, slab);
            const bool same = &slab_of(owner, class_at(40)) == &slab;
            const bool other_size = slab.block_bytes > 16;
            const bool counted = pending.validate() == nullptr;
            pending.flush();
            std::_Exit(same && other_size && counted && pending.validate() == nullptr ? 0 : 1);
        },
        testing::ExitedWithCode(0), "");
}

TEST(RemoteBits, WhatIsDiscardedIsForgotten) {
    Owner owner;
    Slab& slab = slab_of(owner, ClassId::first);
    PendingFrees pending;
    pending.add(slab, BlockIndex{7});
    pending.discard();
    EXPECT_TRUE(groups(pending).empty());
    pending.flush();
    EXPECT_EQ(slab.remote_bits(0), 0u);
    EXPECT_EQ(pending.validate(), nullptr);
    release(owner, slab);
}

// ---- double frees -------------------------------------------------------------------------------

TEST(RemoteBitsDeathTest, ABlockFreedTwiceIsNamedWhereverTheTwoMeet) {
    Owner owner;
    Slab& slab = slab_of(owner, class_at(2), 10);
    char address[40];
    std::snprintf(address, sizeof address, "double free of 0x%lx ",
                  reinterpret_cast<std::uintptr_t>(slab.start) + 3 * 32);
    const std::string message = std::string(address) + ".size class 2, 32 bytes.";
    // In the remote bitmap:
    EXPECT_EXIT(
        {
            remote_bits::free_blocks(slab, 0, 0x8);
            remote_bits::free_blocks(slab, 0, 0xc);
        },
        testing::KilledBySignal(SIGABRT), message);
    // In the table of one thread:
    EXPECT_EXIT(
        {
            PendingFrees pending;
            pending.add(slab, BlockIndex{3});
            pending.add(slab, BlockIndex{3});
        },
        testing::KilledBySignal(SIGABRT), message);
    // In the tables of two:
    EXPECT_EXIT(
        {
            PendingFrees pending;
            PendingFrees others;
            pending.add(slab, BlockIndex{3});
            others.add(slab, BlockIndex{3});
            pending.flush();
            others.flush();
        },
        testing::KilledBySignal(SIGABRT), message);
    // Where the owner has freed it too:
    EXPECT_EXIT(
        {
            remote_bits::free_blocks(slab, 0, 0xc);
            back::slab::put(slab, 0, 0x8);
            collect(owner);
        },
        testing::KilledBySignal(SIGABRT), message);
    // Where it was collected in between:
    EXPECT_EXIT(
        {
            remote_bits::free_blocks(slab, 0, 0x8);
            collect(owner);
            remote_bits::free_blocks(slab, 0, 0x8);
            collect(owner);
        },
        testing::KilledBySignal(SIGABRT), message);
    release(owner, slab);
}

// Its word lies beyond the new bitmap, among the bits of slabs that have nothing to do with it.
TEST(RemoteBitsDeathTest, ABlockThatWasFreedTwiceSpoilsNoOtherSlabWhenItsOwnHasFewerBlocksByNow) {
    EXPECT_EXIT(
        {
            Owner owner;
            Slab& slab = slab_of(owner, ClassId::first);
            PendingFrees pending;
            pending.add(slab, BlockIndex{64 * base::word_bits - 1});
            release(owner, slab);
            if (&slab_of(owner, class_at(40)) != &slab) std::_Exit(1);
            pending.flush();
        },
        testing::KilledBySignal(SIGABRT), "double free of 0x[0-9a-f]+ .size class 40, 4096 bytes.");
}

// ---- threads ------------------------------------------------------------------------------------

// A heap reduced to what the protocol needs: slabs, a lock, and pending frees.
class MiniHeap : public Owner {
public:
    void* allocate(ClassId id) HAK_NO_THREAD_ANALYSIS {
        os::LockGuard guard(lock);
        for (Slab* slab : slabs_) {
            if (slab->class_id != id || slab->free_count == 0) continue;
            return take_one(*slab);
        }
        Slab* const slab = pool::acquire_slab(id, *this, pool::Growth::allowed);
        if (slab == nullptr) return nullptr;
        slabs_.push_back(slab);
        return take_one(*slab);
    }
    void free(void* block) {
        Slab& slab = *back::page_map::slab_of(block);
        BlockIndex index{};
        ASSERT_TRUE(back::slab::index_of(slab, block, index));
        if (slab.owner == this) {
            os::LockGuard guard(lock);
            ASSERT_NE(back::slab::put(slab, index.word(), index.bit()), back::slab::Put::twice);
            settle(slab);
        } else {
            pending_.add(slab, index);
        }
    }
    void maintain() {
        pending_.flush();
        os::LockGuard guard(lock);
        const remote_bits::Merged merged = [](Slab& slab, void* self) {
            static_cast<MiniHeap*>(self)->settle(slab);
        };
        // As a refill does it, or all.
        if (++turns_ % 4 != 0) {
            remote_bits::collect(*this, class_at(46 + turns_ % 7), 1, merged, this);
        } else {
            remote_bits::collect_all(*this, merged, this);
        }
    }
    std::size_t slabs() const { return slabs_.size(); }

private:
    static void* take_one(Slab& slab) {
        std::atomic<void*> block{nullptr};
        back::slab::take(slab, 1, &block);
        return block;
    }
    // An empty slab goes at once, so that records change hands as often as can be.
    void settle(Slab& slab) {
        if (!slab.empty()) return;
        slabs_.erase(std::find(slabs_.begin(), slabs_.end(), &slab));
        pool::release_slab(slab);
    }
    std::vector<Slab*> slabs_;
    PendingFrees pending_;
    unsigned turns_ = 0;
};

// Blocks on their way from the thread that allocated them to the one that frees them.
class Mailbox {
public:
    void put(void* block) {
        const std::lock_guard guard(mutex_);
        blocks_.push_back(block);
    }
    std::vector<void*> take() {
        const std::lock_guard guard(mutex_);
        return std::exchange(blocks_, {});
    }

private:
    std::mutex mutex_;
    std::vector<void*> blocks_;
};

TEST(RemoteBits, OfManyBlocksThatThreadsAllocateAndOthersFreeNoneIsLost) {
    constexpr unsigned threads = 4;
    constexpr int rounds = 6000;
    std::vector<MiniHeap> heaps(threads);
    std::vector<Mailbox> mailboxes(threads);
    std::vector<std::thread> all;
    for (unsigned t = 0; t < threads; t++) {
        all.emplace_back([&, t] {
            std::mt19937 random(t);
            MiniHeap& heap = heaps[t];
            for (int i = 0; i < rounds; i++) {
                // Few blocks a slab, so that slabs run empty and change hands.
                const ClassId id = class_at(46 + static_cast<unsigned>(random() % 7));
                void* const block = heap.allocate(id);
                ASSERT_NE(block, nullptr);
                // The block's own address in it: two masters would overwrite each other.
                std::memcpy(block, &block, sizeof block);
                mailboxes[random() % threads].put(block);
                for (void* other : mailboxes[t].take()) {
                    void* stamp = nullptr;
                    std::memcpy(&stamp, other, sizeof stamp);
                    ASSERT_EQ(stamp, other);
                    std::memset(other, 0, sizeof stamp);
                    heap.free(other);
                }
                if (random() % 16 == 0) heap.maintain();
            }
        });
    }
    for (std::thread& thread : all) thread.join();
    for (unsigned t = 0; t < threads; t++) {
        for (void* block : mailboxes[t].take()) heaps[t].free(block);
        heaps[t].maintain();
    }
    // What was flushed last is collected now; a late notice may take one step more.
    for (int i = 0; i < 8; i++) {
        for (MiniHeap& heap : heaps) heap.maintain();
    }
    for (MiniHeap& heap : heaps) {
        EXPECT_EQ(heap.slabs(), 0u);
        EXPECT_EQ(heap.noticed, 0u);
    }
    EXPECT_EQ(pool::validate(), nullptr);
}

// ---- the invariant ------------------------------------------------------------------------------

// An entry, as remote_bits.hpp has it.
struct RawEntry {
    std::uintptr_t group;
    std::uint64_t bits;
    std::uint32_t block_bytes;
};

std::uintptr_t group_of(const Slab& slab, unsigned word) {
    return reinterpret_cast<std::uintptr_t>(&slab) + word;
}

TEST(RemoteBits, I1_AnEntryThatHasOnlyAGroupOrOnlyBitsIsNoticed) {
    Owner owner;
    Slab& slab = slab_of(owner, ClassId::first);
    PendingFrees pending;
    auto* const entries = reinterpret_cast<RawEntry*>(&pending);
    ASSERT_EQ(pending.validate(), nullptr);
    for (const unsigned i : {0u, 17u, PendingFrees::entries_max - 1}) {
        entries[i].group = group_of(slab, 63);
        EXPECT_STREQ(pending.validate(), "remote_bits I1");
        entries[i].bits = 1;
        EXPECT_EQ(pending.validate(), nullptr);
        entries[i].group = 0;
        EXPECT_STREQ(pending.validate(), "remote_bits I1");
        entries[i].bits = 0;
        EXPECT_EQ(pending.validate(), nullptr);
    }
    release(owner, slab);
}

TEST(RemoteBits, I3_NoticesThatWereLeftWithoutAMarkAreNoticed) {
    Owner owner;
    Slab& one = slab_of(owner, ClassId::last);
    Slab& other = slab_of(owner, ClassId::last);
    remote_bits::free_blocks(one, 0, 0x1);
    remote_bits::free_blocks(other, 0, 0x1);
    ASSERT_EQ(collect(owner, ClassId::last, 1).size(), 1u);
    EXPECT_EQ(remote_bits::validate(owner), nullptr);
    owner.noticed = marks({ClassId::first});
    EXPECT_STREQ(remote_bits::validate(owner), "remote_bits I3");
    owner.noticed = marks({ClassId::last});
    EXPECT_EQ(remote_bits::validate(owner), nullptr);
    release(owner, one);
    release(owner, other);
}

TEST(RemoteBits, I2_ABlockThatIsNotCountedIsNoticed) {
    Owner owner;
    Slab& slab = slab_of(owner, ClassId::first);
    PendingFrees pending;
    reinterpret_cast<RawEntry*>(&pending)[5] = {group_of(slab, 0), 1, 16};
    EXPECT_STREQ(pending.validate(), "remote_bits I2");
    pending.discard();
    EXPECT_EQ(pending.validate(), nullptr);
    release(owner, slab);
}

}  // namespace
