#include "middle/orphan_heaps.hpp"
#include "base/attributes.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/os/child.hpp"

// A heap that was published stays in the registry for ever, so each test has a process of its own.
// Not tested is the end of the tags: more than four million heaps would have to be made.

namespace {

using namespace hakmem;
namespace orphan_heaps = middle::orphan_heaps;
using middle::HeapNode;
using middle::HeapOperations;
using middle::HeapState;
using orphan_heaps::Scavenge;
using tests::in_child;

struct FakeHeap : HeapNode {
    FakeHeap() : HeapNode(fake_operations) { life.reset(); }
    // As if there were a notice of some class. Nobody here looks for it.
    void notice() { noticed = 0x10; }

    // What a thread does that hands it on.
    bool leave(std::uint64_t heaps_max) {
        os::LockGuard guard(lock);
        return orphan_heaps::leave_magazines(*this, heaps_max);
    }
    // And one that adopts it.
    bool take() {
        os::LockGuard guard(lock);
        return orphan_heaps::end_leftovers(*this);
    }

    std::atomic<unsigned> scavenged{0};
    std::atomic<unsigned> magazines_emptied{0};
    std::atomic<unsigned> emptied{0};
    std::atomic<unsigned> purged{0};
    static const HeapOperations fake_operations;
};

FakeHeap& fake(HeapNode& node) { return static_cast<FakeHeap&>(node); }

const HeapOperations FakeHeap::fake_operations = {
    nullptr,
    [](HeapNode& node) {
        CHILD_REQUIRE(os::locks_held() > 0);
        fake(node).scavenged++;
    },
    [](HeapNode& node) {
        CHILD_REQUIRE(os::locks_held() > 0);
        fake(node).magazines_emptied++;
    },
    [](HeapNode& node) {
        os::LockGuard guard(node.lock);  // it takes the lock itself
        fake(node).emptied++;
    },
    [](HeapNode& node) -> std::size_t {
        CHILD_REQUIRE(os::locks_held() > 0);
        fake(node).purged++;
        return 1000;
    },
    nullptr,
};

#define EXPECT_IN_CHILD(...) EXPECT_EXIT(in_child([] __VA_ARGS__), testing::ExitedWithCode(0), "")

// ---- the list -----------------------------------------------------------------------------------

TEST(OrphanHeapsDeathTest, HeapsAreListedNewestFirstWithTheTagsOneTwoThree) {
    EXPECT_IN_CHILD({
        CHILD_REQUIRE(orphan_heaps::count() == 0 && orphan_heaps::newest() == nullptr);
        static FakeHeap heaps[3];
        for (std::uint32_t i = 0; i < 3; i++) {
            CHILD_REQUIRE(orphan_heaps::publish(heaps[i]));
            CHILD_REQUIRE(heaps[i].tag == i + 1);
            CHILD_REQUIRE(orphan_heaps::count() == i + 1);
            CHILD_REQUIRE(orphan_heaps::newest() == &heaps[i]);
        }
        CHILD_REQUIRE(heaps[2].older == &heaps[1] && heaps[1].older == &heaps[0]);
        CHILD_REQUIRE(heaps[0].older == nullptr);
        CHILD_REQUIRE(orphan_heaps::validate() == nullptr);
    });
}

TEST(OrphanHeapsDeathTest, ThreadsThatPublishAtOnceGetTagsOfTheirOwn) {
    EXPECT_IN_CHILD({
        static FakeHeap heaps[200];
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; t++) {
            threads.emplace_back([t] {
                for (int i = t; i < 200; i += 4) CHILD_REQUIRE(orphan_heaps::publish(heaps[i]));
            });
        }
        for (std::thread& thread : threads) thread.join();
        CHILD_REQUIRE(orphan_heaps::count() == 200);
        CHILD_REQUIRE(orphan_heaps::validate() == nullptr);
    });
}

// ---- parking and adopting -----------------------------------------------------------------------

TEST(OrphanHeapsDeathTest, TheHeapParkedLastIsAdoptedFirst) {
    EXPECT_IN_CHILD({
        static FakeHeap heaps[3];
        for (FakeHeap& heap : heaps) CHILD_REQUIRE(orphan_heaps::publish(heap));
        CHILD_REQUIRE(orphan_heaps::adopt() == nullptr);  // all are threads'
        orphan_heaps::park(heaps[1]);
        orphan_heaps::park(heaps[0]);
        orphan_heaps::park(heaps[2]);
        CHILD_REQUIRE(orphan_heaps::parked_count() == 3);
        CHILD_REQUIRE(heaps[1].state == HeapState::parked);
        CHILD_REQUIRE(orphan_heaps::validate() == nullptr);
        CHILD_REQUIRE(orphan_heaps::adopt() == &heaps[2]);
        CHILD_REQUIRE(heaps[2].state == HeapState::active);
        CHILD_REQUIRE(heaps[2].tag == 3);  // a heap keeps its tag
        orphan_heaps::park(heaps[2]);
        CHILD_REQUIRE(orphan_heaps::adopt() == &heaps[2]);
        CHILD_REQUIRE(orphan_heaps::adopt() == &heaps[0]);
        CHILD_REQUIRE(orphan_heaps::adopt() == &heaps[1]);
        CHILD_REQUIRE(orphan_heaps::adopt() == nullptr);
        CHILD_REQUIRE(orphan_heaps::parked_count() == 0);
        CHILD_REQUIRE(orphan_heaps::count() == 3);
    });
}

TEST(OrphanHeapsDeathTest, AHeapThatIsWantedIsAdoptedFirstIfItIsParkedAndNotTooDeep) {
    EXPECT_IN_CHILD({
        static FakeHeap heaps[100];
        for (FakeHeap& heap : heaps) {
            CHILD_REQUIRE(orphan_heaps::publish(heap));
            orphan_heaps::park(heap);
        }
        CHILD_REQUIRE(orphan_heaps::adopt(&heaps[97]) == &heaps[97]);  // from the middle
        CHILD_REQUIRE(heaps[97].state == HeapState::active);
        CHILD_REQUIRE(orphan_heaps::parked_count() == 99);
        CHILD_REQUIRE(orphan_heaps::adopt(&heaps[97]) == &heaps[99]);  // it is a thread's by now
        CHILD_REQUIRE(orphan_heaps::adopt(&heaps[98]) == &heaps[98]);  // the top
        CHILD_REQUIRE(orphan_heaps::adopt(&heaps[0]) == &heaps[96]);   // too deep
        CHILD_REQUIRE(orphan_heaps::validate() == nullptr);
        for (int i = 95; i > 0; i--) CHILD_REQUIRE(orphan_heaps::adopt() == &heaps[i]);
        CHILD_REQUIRE(orphan_heaps::adopt(&heaps[0]) == &heaps[0]);  // the last one
        CHILD_REQUIRE(orphan_heaps::adopt(&heaps[0]) == nullptr);
        CHILD_REQUIRE(orphan_heaps::parked_count() == 0);
    });
}

TEST(OrphanHeapsDeathTest, NoHeapIsTwoThreadsAtATime) {
    EXPECT_IN_CHILD({
        static FakeHeap heaps[3];
        static std::atomic<unsigned> masters[3];
        for (FakeHeap& heap : heaps) {
            CHILD_REQUIRE(orphan_heaps::publish(heap));
            orphan_heaps::park(heap);
        }
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; t++) {
            threads.emplace_back([] {
                for (int i = 0; i < 5000; i++) {
                    HeapNode* const heap = orphan_heaps::adopt();
                    if (heap == nullptr) continue;
                    const std::ptrdiff_t n = static_cast<FakeHeap*>(heap) - heaps;
                    CHILD_REQUIRE(masters[n].fetch_add(1) == 0);
                    CHILD_REQUIRE(heap->state == HeapState::active);
                    masters[n].fetch_sub(1);
                    orphan_heaps::park(*heap);
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
        CHILD_REQUIRE(orphan_heaps::parked_count() == 3);
        CHILD_REQUIRE(orphan_heaps::validate() == nullptr);
    });
}

// ---- threads that end without a word ------------------------------------------------------------

TEST(OrphanHeapsDeathTest, TheHeapOfAThreadThatDiedIsParkedByWhoeverNoticesIt) {
    EXPECT_IN_CHILD({
        static FakeHeap dead;
        static FakeHeap alive;
        CHILD_REQUIRE(orphan_heaps::publish(dead));
        CHILD_REQUIRE(orphan_heaps::publish(alive));
        alive.life.hold();
        std::thread([] { dead.life.hold(); }).join();
        CHILD_REQUIRE(orphan_heaps::adopt() == &dead);
        CHILD_REQUIRE(dead.emptied == 1);
        CHILD_REQUIRE(dead.state == HeapState::active);
        CHILD_REQUIRE(orphan_heaps::adopt() == nullptr);
        CHILD_REQUIRE(alive.emptied == 0);
        // The next thread holds it, and dies too: now the purge notices.
        std::thread([] { dead.life.hold(); }).join();
        orphan_heaps::purge();
        CHILD_REQUIRE(dead.emptied == 2);
        CHILD_REQUIRE(dead.state == HeapState::parked);
        CHILD_REQUIRE(orphan_heaps::parked_count() == 1);
        CHILD_REQUIRE(orphan_heaps::validate() == nullptr);
    });
}

TEST(OrphanHeapsDeathTest, AmongMoreHeapsThanAreLookedAtTheDeadOneIsFoundInTheEnd) {
    EXPECT_IN_CHILD({
        static FakeHeap heaps[300];
        for (FakeHeap& heap : heaps) CHILD_REQUIRE(orphan_heaps::publish(heap));
        std::thread([] { heaps[10].life.hold(); }).join();
        HeapNode* found = nullptr;
        for (int i = 0; i < 10 && found == nullptr; i++) found = orphan_heaps::adopt();
        CHILD_REQUIRE(found == &heaps[10]);
    });
}

// ---- scavenging and purging ---------------------------------------------------------------------

TEST(OrphanHeapsDeathTest, ScavengingIsForHeapsWithNoticesThatNobodyHasLocked) {
    EXPECT_IN_CHILD({
        static FakeHeap parked;
        static FakeHeap parked_silent;
        static FakeHeap parked_locked;
        static FakeHeap active;
        for (FakeHeap* heap : {&parked, &parked_silent, &parked_locked, &active}) {
            CHILD_REQUIRE(orphan_heaps::publish(*heap));
            if (heap != &parked_silent) heap->notice();
            if (heap != &active) orphan_heaps::park(*heap);
        }
        std::thread([]() HAK_NO_THREAD_ANALYSIS { parked_locked.lock.lock_for_fork(); }).join();
        orphan_heaps::scavenge(Scavenge::parked);
        CHILD_REQUIRE(parked.scavenged == 1);
        CHILD_REQUIRE(parked_silent.scavenged == 0);
        CHILD_REQUIRE(parked_locked.scavenged == 0);
        CHILD_REQUIRE(active.scavenged == 0);
        orphan_heaps::scavenge(Scavenge::all);
        CHILD_REQUIRE(parked.scavenged == 2);
        CHILD_REQUIRE(parked_silent.scavenged == 0);
        CHILD_REQUIRE(parked_locked.scavenged == 0);
        CHILD_REQUIRE(active.scavenged == 1);
        CHILD_REQUIRE(parked.lock.try_lock());  // it was given back
        parked.lock.unlock();
    });
}

TEST(OrphanHeapsDeathTest, PurgingGoesToEveryHeapAndAddsUp) {
    EXPECT_IN_CHILD({
        static FakeHeap heaps[5];
        for (FakeHeap& heap : heaps) CHILD_REQUIRE(orphan_heaps::publish(heap));
        orphan_heaps::park(heaps[1]);
        orphan_heaps::park(heaps[3]);
        CHILD_REQUIRE(orphan_heaps::purge() == 5000);
        for (const FakeHeap& heap : heaps) {
            CHILD_REQUIRE(heap.scavenged == 1 && heap.purged == 1);
        }
    });
}

// ---- leftovers ----------------------------------------------------------------------------------

TEST(OrphanHeapsDeathTest, SoManyHeapsKeepWhatTheirMagazinesHoldAndNoMore) {
    EXPECT_IN_CHILD({
        static FakeHeap heaps[4];
        for (FakeHeap& heap : heaps) CHILD_REQUIRE(orphan_heaps::publish(heap));
        CHILD_REQUIRE(!heaps[0].leave(0));
        CHILD_REQUIRE(heaps[0].leave(2) && heaps[1].leave(2) && !heaps[2].leave(2));
        CHILD_REQUIRE(!heaps[2].take());  // nothing was left in it
        CHILD_REQUIRE(!heaps[3].leave(2));
        CHILD_REQUIRE(heaps[0].take() && !heaps[0].take());
        CHILD_REQUIRE(heaps[2].leave(2) && !heaps[3].leave(2));
        CHILD_REQUIRE(heaps[3].leave(3));
    });
}

TEST(OrphanHeapsDeathTest, WhatIsLeftIsTakenInByWhoeverScavenges) {
    for (const Scavenge which : {Scavenge::parked, Scavenge::all}) {
        EXPECT_EXIT(in_child([which] {
                        static FakeHeap heap;
                        CHILD_REQUIRE(orphan_heaps::publish(heap));
                        CHILD_REQUIRE(heap.leave(1));
                        orphan_heaps::park(heap);
                        CHILD_REQUIRE(heap.leftovers);
                        orphan_heaps::scavenge(which);
                        CHILD_REQUIRE(heap.magazines_emptied == 1 && !heap.leftovers);
                        orphan_heaps::scavenge(which);  // and now there is nothing to do
                        CHILD_REQUIRE(heap.scavenged == 0 && heap.magazines_emptied == 1);
                        CHILD_REQUIRE(!heap.take());
                        CHILD_REQUIRE(heap.leave(1));  // it does not count any more
                    }),
                    testing::ExitedWithCode(0), "");
    }
}

TEST(OrphanHeapsDeathTest, WhatAThreadHasTakenNobodyElseTakes) {
    EXPECT_IN_CHILD({
        static FakeHeap heap;
        CHILD_REQUIRE(orphan_heaps::publish(heap));
        CHILD_REQUIRE(heap.leave(1));
        orphan_heaps::park(heap);
        CHILD_REQUIRE(orphan_heaps::adopt() == &heap && heap.take());
        heap.notice();
        orphan_heaps::scavenge(Scavenge::all);
        orphan_heaps::collect();
        orphan_heaps::purge();
        CHILD_REQUIRE(heap.scavenged == 3 && heap.magazines_emptied == 0);
    });
}

TEST(OrphanHeapsDeathTest, CollectingAndPurgingTakeWhatIsLeftInEveryHeap) {
    EXPECT_IN_CHILD({
        static FakeHeap heaps[3];
        for (FakeHeap& heap : heaps) {
            CHILD_REQUIRE(orphan_heaps::publish(heap));
            CHILD_REQUIRE(heap.leave(3));
            orphan_heaps::park(heap);
        }
        orphan_heaps::collect();
        for (const FakeHeap& heap : heaps) {
            CHILD_REQUIRE(heap.magazines_emptied == 1 && heap.scavenged == 0 && !heap.leftovers);
        }
        CHILD_REQUIRE(heaps[1].leave(3));
        CHILD_REQUIRE(orphan_heaps::purge() == 3000);
        CHILD_REQUIRE(heaps[0].scavenged == 1 && heaps[0].magazines_emptied == 1);
        CHILD_REQUIRE(heaps[1].scavenged == 0 && heaps[1].magazines_emptied == 2);
    });
}

// ---- invariants ---------------------------------------------------------------------------------

TEST(OrphanHeapsDeathTest, I1_AParkedHeapThatWasNeverPublishedIsNoticed) {
    EXPECT_IN_CHILD({
        static FakeHeap known;
        static FakeHeap stranger;
        CHILD_REQUIRE(orphan_heaps::publish(known));
        orphan_heaps::park(known);
        CHILD_REQUIRE(orphan_heaps::validate() == nullptr);
        orphan_heaps::park(stranger);
        const char* const broken = orphan_heaps::validate();
        CHILD_REQUIRE(broken != nullptr && std::string(broken) == "orphan_heaps I1");
        CHILD_REQUIRE(orphan_heaps::adopt() == &stranger);
        CHILD_REQUIRE(orphan_heaps::validate() == nullptr);
    });
}

TEST(OrphanHeapsDeathTest, I2_ATagOutOfOrderIsNoticed) {
    EXPECT_IN_CHILD({
        static FakeHeap heaps[3];
        for (FakeHeap& heap : heaps) CHILD_REQUIRE(orphan_heaps::publish(heap));
        for (FakeHeap& heap : heaps) {
            heap.tag += 1;
            const char* const broken = orphan_heaps::validate();
            CHILD_REQUIRE(broken != nullptr && std::string(broken) == "orphan_heaps I2");
            heap.tag -= 1;
            CHILD_REQUIRE(orphan_heaps::validate() == nullptr);
        }
    });
}

}  // namespace
