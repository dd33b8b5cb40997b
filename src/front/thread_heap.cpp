#include "front/thread_heap.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "back/meta_arena.hpp"
#include "back/page_map.hpp"
#include "back/purge.hpp"
#include "back/shared_pool.hpp"
#include "base/units.hpp"
#include "middle/misuse.hpp"
#include "os/clock.hpp"
#include "os/environment.hpp"
#include "os/futex_lock.hpp"
#include "os/thread_exit.hpp"
#include "os/virtual_memory.hpp"

namespace hakmem::front {

using back::shared_pool::Growth;
using back::shared_pool::Use;

namespace {

constinit Slot null_slot{nullptr};

// [empty_heap]
template <std::size_t... i>
constexpr HeapFront make_empty_heap(std::index_sequence<i...>) {
    return HeapFront{
        {((void)i, Magazine{{&null_slot}, &null_slot})...}, gate::nobodys_tag_bits, gate::nowhere};
}

// Every thread's first heap. Nothing is ever written to it: its magazines refuse every push and
// have nothing to pop.
constinit HeapFront empty_heap = make_empty_heap(std::make_index_sequence<base::class_count>{});
// [/empty_heap]

// Whether the thread's heap has been handed on.
constinit thread_local bool detached = false;

constexpr unsigned tight_ticks_before_emptying = 32;
// A heap that has taken so many slabs looks around for what is idle, however soon that is.
constexpr unsigned slabs_before_tick = 16;
// A class that fills so much will fill the next slab, too, and need more of them.
constexpr std::size_t growing_from_bytes = 256 * base::kibibyte;
// Slabs that one slow path sweeps.
constexpr unsigned slice_slabs = 8;
// Slabs to which a refill takes back what other threads have freed.
constexpr unsigned slice_notices = 8;
// The benches also measure a library whose refills take in all that others freed, of any class,
// and one that asks each pair of blocks whether they are neighbours.
#ifndef HAKMEM_TAKE_IN_ALL
#define HAKMEM_TAKE_IN_ALL false
#endif
#ifndef HAKMEM_LEAST_RUN
#define HAKMEM_LEAST_RUN 8
#endif

// Capacities at the start: 31 of the smallest blocks, one of the largest.
constexpr unsigned first_capacity(unsigned class_index) {
    const std::size_t bytes = base::size_classes[class_index].block_bytes;
    if (bytes == 0) return 0;  // class 0 has its null slot only
    if (bytes <= 256) return 31;
    if (bytes <= base::kibibyte) return 15;
    if (bytes <= 2 * base::kibibyte) return 7;
    return bytes <= 8 * base::kibibyte ? 3 : 1;
}

// The capacity of a magazine that has not grown; hardened mode turns magazines off. A heap's small
// array has room for it, whatever the options were when it was made.
unsigned small_capacity(unsigned class_index) {
    const os::Options& options = os::options();
    if (options.hardened != 0) return 0;
    return static_cast<unsigned>(
        std::min<std::uint64_t>(first_capacity(class_index), options.magazine_blocks));
}

// The largest capacity that the options allow; it is used unless hardened mode turns magazines off.
unsigned wide_capacity(unsigned class_index) {
    if (class_index == 0) return 0;
    const os::Options& options = os::options();
    const std::uint64_t by_bytes =
        options.magazine_bytes / base::size_classes[class_index].block_bytes;
    return static_cast<unsigned>(std::min<std::uint64_t>(
        options.magazine_blocks, std::max<std::uint64_t>(by_bytes, first_capacity(class_index))));
}

// By how much all magazines of a heap may grow. Few threads may hold much each, and many may not:
// nobody can take from a thread that sleeps what its magazines hold.
std::size_t budget_bytes() {
    const std::uint32_t heaps = middle::orphan_heaps::count();
    const std::uint32_t parked = std::min(middle::orphan_heaps::parked_count(), heaps - 1);
    return std::min(os::options().magazine_heap_bytes,
                    os::options().magazine_total_bytes / (heaps - parked));
}

// Bytes of all slots of a heap.
std::size_t slots_bytes() {
    std::size_t slots = 0;
    for (unsigned c = 0; c < base::class_count; c++) {
        slots += first_capacity(c) + 1 + wide_capacity(c) + 1;
    }
    return base::round_up(slots * sizeof(Slot), base::page_bytes);
}

back::BlockIndex index_of(const back::Slab& slab, const void* block) {
    back::BlockIndex index{};
    if (HAK_UNLIKELY(!back::slab::index_of(slab, block, index))) {
        hak_abort_invalid_free(block, base::index(slab.class_id));
    }
    return index;
}

}  // namespace

// Looks up blocks of one class that a heap's own thread has freed. What all of them share stays in
// registers: the part of the page map where the last one was, and the numbers of the class.
class OwnBlocks {
public:
    OwnBlocks(const back::SlabOwner& heap, base::ClassId id)
        : wanted_(back::page_map::Entry::of(heap.tag, id).bits),
          reciprocal_(base::row(id).reciprocal),
          block_count_(base::row(id).blocks),
          id_(id) {}

    // The slab of a block. If that is the heap's no more, or serves another class by now, all its
    // blocks had come back already, and this one came back twice.
    HAK_FAST back::Slab& slab_of(const void* block) {
        const auto address = reinterpret_cast<std::uintptr_t>(block);
        const std::uintptr_t root = back::page_map::root_index(address);
        if (HAK_UNLIKELY(root != root_)) {
            const back::page_map::Leaf& leaf = back::page_map::leaf_of(address);
            root_ = root;
            entries_ = leaf.entries;
            slabs_ = leaf.slabs;
        }
        const std::uint32_t unit = back::page_map::unit_in_leaf(address);
        // No block's address has the first root_, so there are entries by now.
        // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage)
        if (HAK_UNLIKELY(entries_[unit].load(std::memory_order_relaxed) != wanted_)) twice(block);
        return *slabs_[unit].load(std::memory_order_relaxed);
    }

    HAK_FAST back::BlockIndex index_of(const back::Slab& slab, const void* block) const {
        back::BlockIndex index{};
        const auto offset =
            static_cast<std::uint64_t>(static_cast<const char*>(block) - slab.start);
        if (HAK_UNLIKELY(!back::slab::index_at(offset, reciprocal_, block_count_, index))) {
            hak_abort_invalid_free(block, base::index(id_));
        }
        return index;
    }

    [[noreturn]] HAK_SLOW void twice(const void* block) const {
        hak_abort_double_free(block, base::index(id_));
    }

private:
    std::uintptr_t root_ = back::page_map::Map::roots;  // that of no leaf
    const std::atomic<std::uint32_t>* entries_ = nullptr;
    const std::atomic<back::Slab*>* slabs_ = nullptr;
    const std::uint32_t wanted_;
    const std::uint32_t reciprocal_;
    const std::uint32_t block_count_;
    const base::ClassId id_;
};

constinit thread_local HeapFront* current_heap = &empty_heap;

// Weak, so that the library of a recorded phase can define its own.
[[gnu::weak]] extern const OuterFront outer_front;
constinit const OuterFront outer_front{0, nullptr, nullptr, nullptr, nullptr};

const middle::HeapOperations ThreadHeap::heap_operations = {
    for_each_cached,
    [](middle::HeapNode& node) { static_cast<ThreadHeap&>(node).scavenge(); },
    [](middle::HeapNode& node) HAK_NO_THREAD_ANALYSIS {  // the caller holds the lock
        static_cast<ThreadHeap&>(node).empty_magazines();
    },
    [](middle::HeapNode& node) { static_cast<ThreadHeap&>(node).empty_out(); },
    [](middle::HeapNode& node) HAK_NO_THREAD_ANALYSIS {  // the caller holds the lock
        return static_cast<ThreadHeap&>(node).purge();
    },
    validate,
};

ThreadHeap::ThreadHeap(Slot* slots)
    : HeapFront{{}, 0, gate::nowhere}, HeapNode(heap_operations), slots_(slots) {
    for (unsigned c = 0; c < base::class_count; c++) {
        const base::ClassId id{static_cast<std::uint8_t>(c)};
        states_[c].first = slots;
        slots += first_capacity(c) + 1;
        use_array(id, states_[c].first, small_capacity(c));
    }
    for (unsigned c = 0; c < base::class_count; c++) {
        states_[c].wide = slots;
        states_[c].wide_capacity = wide_capacity(c);
        slots += states_[c].wide_capacity + 1;
    }
    slots_bytes_ = slots_bytes();
}

ThreadHeap* ThreadHeap::make() {
    if (!middle::orphan_heaps::has_tag_left()) return nullptr;
    const auto [memory, slots] =
        back::meta_arena::allocate_both(outer_offset() + outer_front.bytes, slots_bytes());
    if (memory == nullptr) return nullptr;
    auto* const heap = new (memory) ThreadHeap(static_cast<Slot*>(slots));
    heap->life.reset();
    return middle::orphan_heaps::publish(*heap) ? heap : nullptr;
}

// ---- capacities -------------------------------------------------------------------------------

unsigned ThreadHeap::capacity(base::ClassId id) {
    return static_cast<unsigned>(magazine(id).limit - state(id).base);
}

// What the options allow, as far as there are slots: the options may be read after a heap was made.
unsigned ThreadHeap::capacity_max(base::ClassId id) {
    if (os::options().hardened != 0) return 0;
    return std::min(wide_capacity(base::index(id)), state(id).wide_capacity);
}

// Points a magazine at an array of slots; it is empty then.
void ThreadHeap::use_array(base::ClassId id, Slot* array, unsigned capacity) {
    array[0].store(nullptr, std::memory_order_relaxed);
    state(id).base = array;
    magazine(id).top.store(array, std::memory_order_relaxed);
    magazine(id).limit = array + capacity;
}

// [grow]
// What a class has taken of the heap's budget.
std::size_t ThreadHeap::grown_bytes(base::ClassId id) {
    const unsigned first = first_capacity(base::index(id));
    return capacity(id) <= first ? 0 : (capacity(id) - first) * base::row(id).block_bytes;
}

void ThreadHeap::grow(base::ClassId id) {
    ClassState& s = state(id);
    const unsigned new_capacity = std::min(capacity(id) * 2 + 1, capacity_max(id));
    if (new_capacity <= capacity(id)) return;
    const std::size_t more_bytes = (new_capacity - capacity(id)) * base::row(id).block_bytes;
    if (grown_bytes_ + more_bytes > budget_bytes()) return;
    grown_bytes_ += more_bytes;
    if (s.base == s.wide) {
        magazine(id).limit = s.base + new_capacity;
        return;
    }
    const unsigned held = magazine(id).count(s.base);
    use_array(id, s.wide, new_capacity);
    for (unsigned i = 1; i <= held; i++) {
        s.wide[i].store(s.first[i].load(std::memory_order_relaxed), std::memory_order_relaxed);
    }
    magazine(id).top.store(s.wide + held, std::memory_order_relaxed);
}
// [/grow]

// Empties a magazine and gives its capacity back.
void ThreadHeap::shrink(base::ClassId id) {
    if (const unsigned held = magazine(id).count(state(id).base); held > 0) flush(id, held);
    grown_bytes_ -= grown_bytes(id);
    use_array(id, state(id).first, small_capacity(base::index(id)));
}

void ThreadHeap::apply_options() {
    if (outer_front.bytes != 0) outer_front.empty_out(*this);
    os::LockGuard guard(lock);
    for (unsigned c = 1; c < base::class_count; c++) {
        shrink(base::ClassId{static_cast<std::uint8_t>(c)});
    }
}

// ---- slabs ------------------------------------------------------------------------------------

void ThreadHeap::list(back::Slab& slab) {
    ClassState& s = state(slab.class_id);
    slab.listed = true;
    slab.next = nullptr;
    slab.previous = s.tail;
    (s.tail != nullptr ? s.tail->next : s.head) = &slab;
    s.tail = &slab;
}

void ThreadHeap::unlist(back::Slab& slab) {
    ClassState& s = state(slab.class_id);
    slab.listed = false;
    if (&slab == swept_next_) swept_next_ = &slab == swept_last_ ? nullptr : slab.next;
    if (&slab == swept_last_) swept_last_ = slab.previous;
    (slab.previous != nullptr ? slab.previous->next : s.head) = slab.next;
    (slab.next != nullptr ? slab.next->previous : s.tail) = slab.previous;
}

// Gives an empty slab back to the pool.
void ThreadHeap::drop(back::Slab& slab) {
    unlist(slab);
    state(slab.class_id).slabs--;
    back::shared_pool::release_slab(slab);
    if (acquired_ > 0) acquired_--;
}

// [settle]
// A slab got blocks back: it can serve refills, or it is empty and can go. It may be unlisted only
// if it had no free block, and then the first that comes is the lowest.
inline void ThreadHeap::settle(back::Slab& slab, bool may_be_unlisted) {
    if (HAK_UNLIKELY(may_be_unlisted) && !slab.listed) list(slab);
    // The last empty slab of a class is kept: the next refill may want it (stage 1).
    if (HAK_UNLIKELY(slab.empty())) {
        const ClassState& s = state(slab.class_id);
        if (s.head != s.tail) drop(slab);
    }
}
// [/settle]

inline void ThreadHeap::put_block(OwnBlocks& own, void* block) {
    back::Slab& slab = own.slab_of(block);
    const back::slab::Put put = back::slab::put(slab, own.index_of(slab, block));
    if (HAK_UNLIKELY(put == back::slab::Put::twice)) own.twice(block);
    settle(slab, put == back::slab::Put::lowest);
}

void ThreadHeap::put_block(base::ClassId id, void* block) {
    OwnBlocks own(*this, id);
    put_block(own, block);
}

// Blocks that lie side by side; the slabs that they are of may lie side by side, too. It makes an
// OwnBlocks of its own, so that its caller's stays in registers.
void ThreadHeap::put_run(base::ClassId id, char* first, unsigned count) {
    OwnBlocks own(*this, id);
    while (count > 0) {
        back::Slab& slab = own.slab_of(first);
        const back::BlockIndex index = own.index_of(slab, first);
        const unsigned here = std::min(count, slab.block_count - index.value);
        const unsigned done = back::slab::put_run(slab, index, here);
        first += done * slab.block_bytes;
        if (HAK_UNLIKELY(done < here)) own.twice(first);
        settle(slab, true);
        count -= here;
    }
}

void ThreadHeap::merged(back::Slab& slab, void* heap) HAK_NO_THREAD_ANALYSIS {
    // Who collects holds the lock.
    static_cast<ThreadHeap*>(heap)->settle(slab, true);
}

void ThreadHeap::collect() { middle::remote_bits::collect_all(*this, merged, this); }

void ThreadHeap::release_empty_slabs(base::ClassId id) {
    for (back::Slab* slab = state(id).head; slab != nullptr;) {
        back::Slab* const next = slab->next;
        if (slab->empty()) {
            drop(*slab);
        }
        slab = next;
    }
}

// [slab_with_room]
back::Slab* ThreadHeap::slab_with_room(base::ClassId id, Growth growth) {
    ClassState& s = state(id);
    // Look among the slabs at hand.
    if (s.head != nullptr) return s.head;
    // Take in what other threads have freed of the class.
    if constexpr (HAKMEM_TAKE_IN_ALL) {
        collect();
    } else {
        middle::remote_bits::collect(*this, id, slice_notices, merged, this);
    }
    if (s.head != nullptr) return s.head;
    // Ask the pool for a slot; then once more after taking in what was freed of any class, and into
    // parked heaps.
    const base::Units held{s.slabs * base::row(id).slab_units};
    const Use use = held.bytes() >= growing_from_bytes ? Use::growing : Use::sparse;
    back::Slab* slab = back::shared_pool::acquire_slab(id, *this, Growth::refused, use);
    if (slab == nullptr) {
        collect();
        if (s.head != nullptr) return s.head;
        middle::orphan_heaps::scavenge(middle::orphan_heaps::Scavenge::parked);
        slab = back::shared_pool::acquire_slab(id, *this, growth, use);
    }
    if (slab == nullptr) return nullptr;
    s.slabs++;
    acquired_++;
    list(*slab);
    home = gate::home_of(slab->start);
    return slab;
}
// [/slab_with_room]

std::size_t ThreadHeap::purge() {
    std::size_t purged = 0;
    for (const ClassState& s : states_) {
        for (back::Slab* slab = s.head; slab != nullptr; slab = slab->next) {
            purged += back::shared_pool::purge_within(*slab);
        }
    }
    // Zeros are a valid state of a parked heap's slots: every slot 0 is null, and no magazine holds
    // anything, since there are no leftovers.
    const bool parked =
        HeapNode::state.load(std::memory_order_relaxed) == middle::HeapState::parked;
    if (parked && slots_used_ && os::purge(slots_, slots_bytes_)) {
        slots_used_ = false;
        purged += slots_bytes_;
    }
    return purged;
}

// ---- refill and flush -------------------------------------------------------------------------

unsigned ThreadHeap::take_blocks(base::ClassId id, unsigned wanted, Slot* blocks, Growth growth) {
    unsigned taken = 0;
    while (taken < wanted) {
        back::Slab* const slab = taken == 0 ? slab_with_room(id, growth) : state(id).head;
        if (slab == nullptr) break;
        taken += back::slab::take(*slab, wanted - taken, blocks + taken);
        if (slab->free_count == 0) unlist(*slab);
    }
    return taken;
}

// [refill]
// Fills half of the magazine; for one of capacity zero allocate() takes a block past it.
bool ThreadHeap::refill(base::ClassId id, Growth growth) {
    ClassState& s = state(id);
    if (s.tuner.refilled()) grow(id);
    const unsigned wanted = (capacity(id) + 1) / 2;
    const unsigned taken = take_blocks(id, wanted, s.base + 1, growth);
    magazine(id).top.store(s.base + taken, std::memory_order_relaxed);
    return taken > 0;
}
// [/refill]

// [flush]
// Gives the oldest blocks of a magazine back. What was freed in the order of addresses, up or down,
// lies side by side in the magazine as well, and shares the update of a word. Whether that is so is
// asked of a few blocks at a time; where they come in no order, it is not so for any.
void ThreadHeap::flush(base::ClassId id, unsigned count) {
    constexpr std::ptrdiff_t least_run = HAKMEM_LEAST_RUN;
    const std::ptrdiff_t bytes = base::row(id).block_bytes;
    const auto block_at = [](const Slot* slot) {
        return static_cast<char*>(slot->load(std::memory_order_relaxed));
    };
    // Blocks may lie in different slabs, and the difference of such pointers is undefined.
    const auto distance = [](const char* block, const char* other) {
        return static_cast<std::ptrdiff_t>(reinterpret_cast<std::uintptr_t>(other) -
                                           reinterpret_cast<std::uintptr_t>(block));
    };
    Slot* const first = state(id).base + 1;
    const Slot* const end = first + count;
    const Slot* const last = magazine(id).top.load(std::memory_order_relaxed);
    // Meanwhile the magazine is empty: should one of the blocks turn out to be misused, the handler
    // of SIGABRT may allocate and free, and is not to come upon them again.
    magazine(id).top.store(first - 1, std::memory_order_relaxed);
    OwnBlocks own(*this, id);
    Slot* from = first;
    while (from != end) {
        const std::ptrdiff_t group = std::min(end - from, least_run);
        char* const block = block_at(from);
        const std::ptrdiff_t step = group > 1 ? distance(block, block_at(from + 1)) : 0;
        if (HAK_LIKELY((step != bytes && step != -bytes) ||
                       distance(block, block_at(from + group - 1)) != (group - 1) * step)) {
            for (const Slot* const stop = from + group; from != stop; from++) {
                put_block(own, block_at(from));
            }
            continue;
        }
        unsigned run = 0;
        char* next = block;
        for (; from != end && block_at(from) == next; from++, next += step) run++;
        put_run(id, std::min(block, next - step), run);
    }
    Slot* to = first;
    // To move a slot takes two instructions, and to count it three more.
#pragma GCC unroll 4
    for (; from <= last; from++, to++) {
        to->store(from->load(std::memory_order_relaxed), std::memory_order_relaxed);
    }
    magazine(id).top.store(to - 1, std::memory_order_relaxed);
}
// [/flush]

// ---- what the phases call -----------------------------------------------------------------------

void* ThreadHeap::allocate(base::ClassId id, Growth growth) {
    os::LockGuard guard(lock);
    Magazine& m = magazine(id);
    // The call may have come for want of a heap, and this heap's magazine may hold something.
    if (void* const block = m.pop()) return block;
    void* block = nullptr;
    if (capacity_max(id) == 0) {
        Slot one{nullptr};
        take_blocks(id, 1, &one, growth);
        block = one.load(std::memory_order_relaxed);
    } else if (refill(id, growth)) {
        block = m.pop();
    }
    tick();
    return block;
}

void ThreadHeap::release(base::ClassId id, void* block) {
    os::LockGuard guard(lock);
    Magazine& m = magazine(id);
    // The call may have come for want of a heap, and there may be room.
    if (m.push(block)) return;
    ClassState& s = state(id);
    if (capacity(id) == 0) {
        put_block(id, block);
    } else {
        const middle::MagazineTuner::Flush decided = s.tuner.flushed();
        if (decided.grow) grow(id);
        if (!m.push(block)) {
            flush(id, decided.empty ? capacity(id) : (capacity(id) + 1) / 2);
            m.push(block);
        }
    }
    tick();
}

unsigned ThreadHeap::take(base::ClassId id, unsigned wanted, Slot* blocks, Growth growth) {
    os::LockGuard guard(lock);
    const unsigned taken = take_blocks(id, wanted, blocks, growth);
    tick();
    return taken;
}

void ThreadHeap::give_back(void* block) {
    back::Slab* const slab = back::page_map::slab_of(block);
    if (slab == nullptr) hak_abort_double_free(block, 0);
    if (slab->owner.load(std::memory_order_relaxed) != static_cast<back::SlabOwner*>(this)) {
        release_remote(*slab, block);
        return;
    }
    os::LockGuard guard(lock);
    put_block(slab->class_id, block);
    tick();
}

void ThreadHeap::release_remote(back::Slab& slab, void* block) {
    const back::BlockIndex index = index_of(slab, block);
    if (HAK_UNLIKELY(os::options().hardened != 0)) return release_remote_now(slab, block);
    pending_.add(slab, index);
}

// Hardened: the block goes into its bitmap now, so that a second free is seen now. The slab cannot
// change hands meanwhile, since this block is out.
HAK_SLOW void ThreadHeap::release_remote_now(back::Slab& slab, void* block) {
    back::SlabOwner* const owner = slab.owner.load(std::memory_order_acquire);
    if (owner == nullptr) hak_abort_double_free(block, base::index(slab.class_id));
    auto& heap = static_cast<ThreadHeap&>(static_cast<middle::HeapNode&>(*owner));
    // free leaves errno alone, and where address space is tight, a slab that goes may be unmapped.
    const int saved_errno = errno;
    {
        os::LockGuard guard(heap.lock);
        heap.put_block(slab.class_id, block);
    }
    errno = saved_errno;
}

// Gives back what lies beside the magazines.
void ThreadHeap::send_out() {
    if (outer_front.bytes != 0) outer_front.empty_out(*this);
    pending_.flush();
}

void ThreadHeap::empty_out() {
    send_out();
    os::LockGuard guard(lock);
    empty_magazines();
}

// [hand on]
bool ThreadHeap::take_over() {
    // Here and not when it is made: a fork may copy a heap that has just been published.
    tag_bits = back::page_map::Entry::of(tag, base::ClassId::external).bits;
    // Somebody may still be at what was a parked heap a moment ago.
    os::LockGuard guard(lock);
    slots_used_ = true;
    return middle::orphan_heaps::end_leftovers(*this);
}

void ThreadHeap::hand_on() {
    send_out();
    {
        os::LockGuard guard(lock);
        // Threads may come and go without any other slow path.
        tick();
        // In hardened mode there is nothing to leave.
        const bool leaves = os::options().hardened == 0 && !back::shared_pool::is_tight();
        const std::uint64_t heaps_max = leaves ? os::options().parked_full : 0;
        if (!middle::orphan_heaps::leave_magazines(*this, heaps_max)) empty_magazines();
    }
    middle::orphan_heaps::park(*this);
}
// [/hand on]

void ThreadHeap::empty_magazines() {
    for (unsigned c = 1; c < base::class_count; c++) {
        shrink(base::ClassId{static_cast<std::uint8_t>(c)});
    }
    scavenge();
}

void ThreadHeap::scavenge() HAK_NO_THREAD_ANALYSIS {
    collect();
    for (unsigned c = 1; c < base::class_count; c++) {
        release_empty_slabs(base::ClassId{static_cast<std::uint8_t>(c)});
    }
}

// Lets idle classes shrink, once an interval and while the heap grows, and gives the sweeps their
// slices. Says whether it was time to look at the classes.
bool ThreadHeap::tick() {
    const std::uint64_t now = os::milliseconds();
    const std::uint64_t interval = std::max<std::uint64_t>(os::options().decay / 2, 1);
    const bool grows = acquired_ >= slabs_before_tick;
    const bool due = grows || os::has_passed(now, last_tick_, interval);
    if (due) {
        last_tick_ = now;
        acquired_ = 0;
        collect();
        for (unsigned c = 1; c < base::class_count; c++) {
            const base::ClassId id{static_cast<std::uint8_t>(c)};
            // A heap that grew while there were fewer may hold more than its share.
            const bool has_grown = capacity(id) > first_capacity(c);
            if (state(id).tuner.idle() || (has_grown && grown_bytes_ > budget_bytes())) {
                shrink(id);
                release_empty_slabs(id);
            }
        }
        pending_.flush();
        // What was freed into parked heaps is memory, too, that is there already.
        if (grows) middle::orphan_heaps::scavenge(middle::orphan_heaps::Scavenge::parked);
    }
    sweep(now, interval);
    if (HAK_UNLIKELY(back::shared_pool::is_tight()) &&
        ++tight_ticks_ % tight_ticks_before_emptying == 0 && back::shared_pool::is_sparse()) {
        empty_magazines();
    }
    if (back::purge::tick(now)) {
        middle::orphan_heaps::scavenge(middle::orphan_heaps::Scavenge::all);
    }
    return due;
}

// [sweep]
// Gives free pages inside slabs back that were not wanted for an interval, a slice of slabs at a
// time.
void ThreadHeap::sweep(std::uint64_t now, std::uint64_t interval) {
    constexpr unsigned last_class = base::class_count - 1;
    if (swept_next_ == nullptr && swept_class_ == last_class) {
        if (!os::has_passed(now, sweep_started_, interval)) return;
        sweep_started_ = now;
        swept_class_ = 0;
    }
    for (unsigned i = 0; i < slice_slabs; i++) {
        if (back::Slab* const slab = swept_next_) {
            swept_next_ = slab == swept_last_ ? nullptr : slab->next;
            if (!back::shared_pool::is_huge(*slab)) back::slab::purge_quiet_pages(*slab);
        } else if (swept_class_ < last_class) {
            // What is listed from now on waits for the next sweep.
            swept_next_ = states_[++swept_class_].head;
            swept_last_ = states_[swept_class_].tail;
        } else {
            return;
        }
    }
}
// [/sweep]

void ThreadHeap::maintain() {
    lock.lock();
    const bool due = tick();
    lock.unlock();
    if (due && outer_front.bytes != 0) outer_front.empty_out(*this);
}

void ThreadHeap::discard_cached() {
    for (unsigned c = 1; c < base::class_count; c++) {
        const base::ClassId id{static_cast<std::uint8_t>(c)};
        magazine(id).top.store(state(id).base, std::memory_order_relaxed);
    }
    pending_.discard();
    std::memset(outer(), 0, outer_front.bytes);
}

// ---- reports ------------------------------------------------------------------------------------

ClassStatistics ThreadHeap::statistics(base::ClassId id) {
    os::LockGuard guard(lock);
    const ClassState& s = state(id);
    return {s.tuner.refills, s.tuner.flushes, capacity(id), magazine(id).count(s.base)};
}

void ThreadHeap::for_each_cached(const middle::HeapNode& node, middle::CachedVisitor visitor,
                                 void* context) {
    const auto& heap = static_cast<const ThreadHeap&>(node);
    if (outer_front.bytes != 0) outer_front.for_each_cached(heap, visitor, context);
    for (unsigned c = 1; c < base::class_count; c++) {
        const Slot* const base = heap.states_[c].base;
        const unsigned held = heap.magazines[c].count(base);
        for (unsigned i = 1; i <= held; i++) {
            if (const void* const block = base[i].load(std::memory_order_relaxed)) {
                visitor(block, context);
            }
        }
    }
    struct Pass {
        middle::CachedVisitor visitor;
        void* context;
    } pass{visitor, context};
    heap.pending_.for_each(
        [](back::Slab& slab, unsigned word, std::uint64_t bits, void* pass_context) {
            const Pass& p = *static_cast<Pass*>(pass_context);
            for (; bits != 0; bits &= bits - 1) {
                const unsigned block = word * base::word_bits + base::lowest_bit(bits);
                p.visitor(slab.start + block * slab.block_bytes, p.context);
            }
        },
        &pass);
}

const char* ThreadHeap::validate(const middle::HeapNode& node) {
    const auto& heap = static_cast<const ThreadHeap&>(node);
    const bool parked = node.state.load(std::memory_order_relaxed) == middle::HeapState::parked;
    const bool must_be_empty = parked && !node.leftovers.load(std::memory_order_relaxed);
    const bool quiet = &heap == current_heap || parked;
    if (const char* const broken = middle::remote_bits::validate(node)) return broken;
    for (unsigned c = 1; c < base::class_count; c++) {
        const ClassState& s = heap.states_[c];
        for (const back::Slab* slab = s.head; slab != nullptr; slab = slab->next) {
            if (!slab->listed || slab->free_count == 0) return "thread_heap I1";
            if (base::index(slab->class_id) != c ||
                slab->owner.load(std::memory_order_relaxed) != &node) {
                return "thread_heap I2";
            }
        }
        // The magazines of a running thread change while they are looked at.
        if (!quiet) continue;
        if (const char* const broken = heap.magazines[c].validate(s.base)) return broken;
        if (must_be_empty && heap.magazines[c].count(s.base) > 0) return "thread_heap I3";
    }
    if (!quiet) return nullptr;
    if (outer_front.bytes != 0) {
        if (const char* const broken = outer_front.validate(heap)) return broken;
    }
    return heap.pending_.validate();
}

// ---- a thread and its heap ----------------------------------------------------------------------

namespace {

ThreadHeap* adopt_or_make(const back::SlabOwner* wanted) {
    middle::HeapNode* const node =
        middle::orphan_heaps::adopt(static_cast<const middle::HeapNode*>(wanted));
    return node != nullptr ? static_cast<ThreadHeap*>(node) : ThreadHeap::make();
}

// A vanished thread may have been about to send a notice, or to drop one. Begin anew: empty all
// stacks, and notify for each slab whose flag says that somebody was to be told.
void renew_notices() {
    for (middle::HeapNode* heap = middle::orphan_heaps::newest(); heap != nullptr;
         heap = heap->older) {
        heap->noticed.store(0, std::memory_order_relaxed);
        for (back::SlabOwner::Notices& notices : heap->notices) {
            notices.sent.store(nullptr, std::memory_order_relaxed);
            notices.taken = nullptr;
        }
    }
    for (std::uint32_t i = 0; i < back::shared_pool::superslab_count(); i++) {
        for (unsigned unit = 0; unit < base::superslab_units; unit++) {
            back::Slab& slab = back::shared_pool::superslab_at(i).slabs[unit];
            if (!slab.dirty.load(std::memory_order_relaxed)) continue;
            slab.dirty.store(false, std::memory_order_relaxed);
            if (slab.owner.load(std::memory_order_relaxed) != nullptr) {
                middle::remote_bits::notify(slab, slab.class_id);
            }
        }
    }
}

}  // namespace

HeapLease::HeapLease(const back::SlabOwner* wanted) : heap_(own_heap()) {
    if (HAK_LIKELY(heap_ != nullptr)) return;
    // A heap that is active and no thread's own would be parked by a fork, as a vanished thread's.
    // And what waits for this thread's locks may allocate, which needs a heap.
    os::begin_steps();
    os::load_options();
    heap_ = adopt_or_make(wanted);
    const bool left = heap_ != nullptr && heap_->take_over();
    borrowed_ = detached;
    if (borrowed_) return;
    if (heap_ != nullptr) {
        heap_->life.hold();
        if (!left) heap_->apply_options();
        current_heap = heap_;
        os::arm_thread_exit();
    }
    os::end_steps();
}

HeapLease::~HeapLease() {
    if (HAK_LIKELY(!borrowed_)) return;
    if (heap_ != nullptr) heap_->hand_on();
    os::end_steps();
}

void detach_thread() {
    ThreadHeap* const heap = own_heap();
    detached = true;
    if (heap == nullptr) return;
    os::begin_steps();
    current_heap = &empty_heap;
    heap->life.drop();
    heap->hand_on();
    os::end_steps();
}

void park_vanished_heaps() {
    bool any = false;
    for (middle::HeapNode* node = middle::orphan_heaps::newest(); node != nullptr;
         node = node->older) {
        auto& heap = static_cast<ThreadHeap&>(*node);
        heap.life.reset();
        if (node->state.load(std::memory_order_relaxed) == middle::HeapState::parked) continue;
        if (&heap == own_heap()) {
            heap.life.hold();
            continue;
        }
        any = true;
        // Unless its thread was about to begin with it, or to park it, it was at its magazines.
        if (!heap.leftovers.load(std::memory_order_relaxed)) heap.discard_cached();
        middle::orphan_heaps::park(*node);
    }
    if (any) renew_notices();
    // A thread without a heap may have vanished between freeing units and saying so.
    back::shared_pool::renew_room();
}

}  // namespace hakmem::front
