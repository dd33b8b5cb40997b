#include "middle/orphan_heaps.hpp"

#include "back/page_map.hpp"

namespace hakmem::middle::orphan_heaps {

namespace {

constinit os::FutexLock lock{base::LockRank::heap_registry};
constinit std::atomic<HeapNode*> newest_heap{nullptr};
constinit std::atomic<std::uint32_t> heap_count{0};
constinit HeapNode* parked HAK_GUARDED_BY(lock) = nullptr;
constinit std::atomic<std::uint32_t> parked_heaps{0};
constinit std::atomic<std::uint32_t> heaps_with_leftovers{0};

// A new thread looks at so many heaps before it makes one more, or takes another than it wants.
constexpr std::uint32_t heaps_examined_max = 64;
constinit HeapNode* next_examined HAK_GUARDED_BY(lock) = nullptr;

void push_parked(HeapNode& heap) HAK_REQUIRES(lock) {
    heap.state.store(HeapState::parked, std::memory_order_relaxed);
    heap.next_parked = parked;
    parked = &heap;
    parked_heaps.fetch_add(1, std::memory_order_relaxed);
}

// Goes on where it stopped last time, so that in the end every heap is looked at.
void park_heaps_of_the_dead(std::uint32_t examined_max) HAK_REQUIRES(lock) {
    for (std::uint32_t i = 0; i < examined_max; i++) {
        if (next_examined == nullptr) next_examined = newest_heap.load(std::memory_order_relaxed);
        if (next_examined == nullptr) return;
        HeapNode& heap = *next_examined;
        next_examined = heap.older;
        const bool active = heap.state.load(std::memory_order_relaxed) == HeapState::active;
        if (!active || !heap.life.take_from_dead()) continue;
        heap.operations.empty_out(heap);
        push_parked(heap);
    }
}

// Where the stack has the heap that is wanted; its top if that is not parked, or lies deep.
HeapNode** place_of(const HeapNode* wanted) HAK_REQUIRES(lock) {
    if (wanted == nullptr || wanted->state.load(std::memory_order_relaxed) != HeapState::parked) {
        return &parked;
    }
    HeapNode** place = &parked;
    for (std::uint32_t i = 0; i < heaps_examined_max && *place != nullptr; i++) {
        if (*place == wanted) return place;
        place = &(*place)->next_parked;
    }
    return &parked;
}

// [collect]
// Takes in what is free and in nobody's hands.
void collect_one(HeapNode& heap) HAK_REQUIRES(heap.lock) {
    if (end_leftovers(heap)) {
        heap.operations.empty_magazines(heap);
    } else {
        heap.operations.scavenge(heap);
    }
}
// [/collect]

}  // namespace

// [adopt]
HeapNode* adopt(const HeapNode* wanted) {
    os::LockGuard guard(lock);
    if (parked == nullptr) park_heaps_of_the_dead(heaps_examined_max);
    HeapNode** const place = place_of(wanted);
    HeapNode* const heap = *place;
    if (heap == nullptr) return nullptr;
    *place = heap->next_parked;
    parked_heaps.fetch_sub(1, std::memory_order_relaxed);
    heap->state.store(HeapState::active, std::memory_order_relaxed);
    return heap;
}
// [/adopt]

std::uint32_t count() { return heap_count.load(std::memory_order_relaxed); }

// The last tag is the empty heap's.
bool has_tag_left() { return count() + 1 < back::page_map::tag_max; }

bool publish(HeapNode& heap) {
    os::LockGuard guard(lock);
    if (!has_tag_left()) return false;
    const std::uint32_t tag = count() + 1;
    heap.tag = tag;
    heap.older = newest_heap.load(std::memory_order_relaxed);
    newest_heap.store(&heap, std::memory_order_release);
    heap_count.store(tag, std::memory_order_relaxed);
    return true;
}

// [leftovers]
bool leave_magazines(HeapNode& heap, std::uint64_t heaps_max) {
    if (heaps_with_leftovers.fetch_add(1, std::memory_order_relaxed) >= heaps_max) {
        heaps_with_leftovers.fetch_sub(1, std::memory_order_relaxed);
        return false;
    }
    heap.leftovers.store(true, std::memory_order_relaxed);
    return true;
}

bool end_leftovers(HeapNode& heap) {
    if (!heap.leftovers.load(std::memory_order_relaxed)) return false;
    heap.leftovers.store(false, std::memory_order_relaxed);
    heaps_with_leftovers.fetch_sub(1, std::memory_order_relaxed);
    return true;
}
// [/leftovers]

// [park]
void park(HeapNode& heap) {
    os::LockGuard guard(lock);
    push_parked(heap);
}
// [/park]

HeapNode* newest() { return newest_heap.load(std::memory_order_acquire); }

std::uint32_t parked_count() { return parked_heaps.load(std::memory_order_relaxed); }

// [scavenge]
void scavenge(Scavenge which) {
    if (which == Scavenge::parked && parked_count() == 0) return;
    for (HeapNode* heap = newest(); heap != nullptr; heap = heap->older) {
        if (heap->noticed.load(std::memory_order_relaxed) == 0 &&
            !heap->leftovers.load(std::memory_order_relaxed)) {
            continue;
        }
        if (which == Scavenge::parked &&
            heap->state.load(std::memory_order_relaxed) != HeapState::parked) {
            continue;
        }
        // Its thread, or its next one, may want it at this moment; the lock makes them take turns.
        if (!heap->lock.try_lock()) continue;
        collect_one(*heap);
        heap->lock.unlock();
    }
}
// [/scavenge]

void collect() {
    for (HeapNode* heap = newest(); heap != nullptr; heap = heap->older) {
        os::LockGuard guard(heap->lock);
        collect_one(*heap);
    }
}

std::size_t purge() {
    {
        os::LockGuard guard(lock);
        park_heaps_of_the_dead(count());
    }
    std::size_t purged = 0;
    for (HeapNode* heap = newest(); heap != nullptr; heap = heap->older) {
        os::LockGuard guard(heap->lock);
        collect_one(*heap);
        purged += heap->operations.purge(*heap);
    }
    return purged;
}

const char* validate() {
    os::LockGuard guard(lock);
    std::uint32_t tag = count();
    for (const HeapNode* heap = newest(); heap != nullptr; heap = heap->older, tag--) {
        if (heap->tag != tag) return "orphan_heaps I2";
    }
    for (const HeapNode* heap = parked; heap != nullptr; heap = heap->next_parked) {
        const HeapNode* listed = newest();
        while (listed != nullptr && listed != heap) listed = listed->older;
        if (listed == nullptr) return "orphan_heaps I1";
    }
    return nullptr;
}

os::FutexLock& fork_lock() { return lock; }

}  // namespace hakmem::middle::orphan_heaps
