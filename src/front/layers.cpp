#include "front/layers.hpp"

#include <cerrno>

#include "back/page_map.hpp"
#include "back/shared_pool.hpp"
#include "back/slab.hpp"
#include "base/size_class.hpp"
#include "middle/misuse.hpp"
#include "middle/orphan_heaps.hpp"
#include "os/environment.hpp"
#include "os/futex_lock.hpp"
#include "os/raw_log.hpp"

namespace hakmem::front {

namespace {

constexpr unsigned refill_blocks = 16;
constexpr std::size_t list_bytes_max = 64 * base::kibibyte;
static_assert(refill_blocks <= Bump::blocks_max);
static_assert(refill_blocks <= Layers::Older::small_mag_capacity);

// Whether a pointer is the start of a block of the class: only such a one may be linked or
// followed.
bool is_block(const void* pointer, unsigned tiny_class) {
    const base::ClassId id = base::slab_class_of(tiny_class);
    if (back::page_map::entry_of(pointer).class_id() != id) return false;
    const back::Slab* const slab = back::page_map::slab_of(pointer);
    back::BlockIndex index{};
    return slab != nullptr && back::slab::index_of(*slab, pointer, index);
}

void require_block(const void* pointer, unsigned tiny_class) {
    if (HAK_LIKELY(is_block(pointer, tiny_class))) return;
    hak_abort_invalid_free(pointer, base::index(base::slab_class_of(tiny_class)));
}

// Whether there is nothing where a refill puts blocks.
bool is_empty(const Layers::Older& fronts) {
    return fronts.bump.next.load(std::memory_order_relaxed) ==
               fronts.bump.end.load(std::memory_order_relaxed) &&
           fronts.small_mag.top.load(std::memory_order_relaxed) == 0;
}

// Whether each block is the lower neighbour of the one before. The ends alone do not tell: they may
// be of two slabs, with blocks of a third between them in the array but not in memory.
bool is_falling_run(const Slot* blocks, unsigned count, std::size_t stride) {
    for (unsigned i = 1; i < count; i++) {
        const char* const above =
            static_cast<const char*>(blocks[i - 1].load(std::memory_order_relaxed));
        if (blocks[i].load(std::memory_order_relaxed) != above - stride) return false;
    }
    return true;
}

}  // namespace

// [decide]
void Layers::decide() {
    const os::Options& options = os::options();
    asked = {true, 0, 0, options.tiny_heap_v2_leftover_mode != 0, options.tiny_sll_drain_interval};
    for (unsigned m = 0; m < 2; m++) {
        const bool on = options.tiny_ultra_hot != 0 && !ultra_hot_tuners[m].rests;
        asked.ultra_hot |= static_cast<std::uint8_t>(on << m);
    }
    for (unsigned k = 0; k < HeapV2::class_count; k++) {
        const bool on = options.tiny_heap_v2 != 0 && !heap_v2_tuners[k].rests &&
                        HeapV2::takes(k, options.tiny_heap_v2_class_mask);
        asked.heap_v2 |= static_cast<std::uint8_t>(on << k);
    }
}

void Layers::learn(const FrontCounts& counts, middle::FrontTuner& tuner) {
    if (os::options().tiny_tuner == 0) return;
    tuner.window_ended(counts.hits.load(std::memory_order_relaxed));
    decide();
}
// [/decide]

// [refill]
void* Layers::refill(ThreadHeap& heap, unsigned tiny_class, back::shared_pool::Growth growth) {
    for (auto& tuner : ultra_hot_tuners) tuner.refilled();
    for (auto& tuner : heap_v2_tuners) tuner.refilled();
    decide();
    const std::size_t stride = base::stride_of(tiny_class);
    Slot blocks[refill_blocks] = {};
    const unsigned taken =
        heap.take(base::slab_class_of(tiny_class), refill_blocks, blocks, growth);
    if (taken == 0) return nullptr;
    // What waited for the heap's lock to be free (os/futex_lock) may have refilled it meanwhile.
    if (!is_empty(older[tiny_class])) {
        for (unsigned i = 1; i < taken; i++) {
            heap.give_back(blocks[i].load(std::memory_order_relaxed));
        }
        return blocks[0].load(std::memory_order_relaxed);
    }
    if (is_falling_run(blocks, taken, stride)) {
        auto* const lowest = static_cast<char*>(blocks[taken - 1].load(std::memory_order_relaxed));
        older[tiny_class].bump.refill(lowest, stride, taken);
        return older[tiny_class].bump.take(stride);
    }
    for (unsigned i = 0; i < taken; i++) {
        older[tiny_class].small_mag.push(blocks[i].load(std::memory_order_relaxed));
    }
    return older[tiny_class].small_mag.pop();
}
// [/refill]

// [list]
void* Layers::allocate_from_list(unsigned tiny_class) {
    TlsSll& list = older[tiny_class].tls_sll;
    if (void* const block = list.fast.pop()) return block;
    // The program may have overwritten the link that led here.
    const void* const linked = list.head.load(std::memory_order_relaxed);
    if (linked != nullptr) require_block(linked, tiny_class);
    return list.pop();
}

void Layers::release_to_list(ThreadHeap& heap, unsigned tiny_class, void* block) {
    // What is no block must not be written to.
    require_block(block, tiny_class);
    TlsSll& list = older[tiny_class].tls_sll;
    const bool due = list.push(block, asked.drain_interval);
    // The record counts frees alone. Then two thousand blocks of C7 may stay with a thread that
    // goes to sleep, and nobody else can drain them.
    const bool heavy =
        list.count.load(std::memory_order_relaxed) * base::stride_of(tiny_class) > list_bytes_max;
    if (due || heavy) drain(heap, tiny_class);
}
// [/list]

// [drain]
void Layers::drain(ThreadHeap& heap, unsigned tiny_class) {
    TlsSll& list = older[tiny_class].tls_sll;
    const int saved_errno = errno;  // free must leave it alone
    while (void* const block = allocate_from_list(tiny_class)) heap.give_back(block);
    errno = saved_errno;
    // A link that was overwritten with null has ended the list early.
    list.count.store(0, std::memory_order_relaxed);
    list.frees = 0;
}
// [/drain]

void Layers::empty_out(ThreadHeap& heap) {
    while (void* const block = ultra_hot.take_any()) heap.give_back(block);
    while (void* const block = heap_v2.take_any()) heap.give_back(block);
    for (unsigned k = 1; k < base::recorded_class_count; k++) {
        while (void* const block = older[k].bump.take(base::stride_of(k))) heap.give_back(block);
        while (void* const block = older[k].small_mag.pop()) heap.give_back(block);
        drain(heap, k);
    }
    asked = {};
}

void Layers::for_each_cached(middle::CachedVisitor visitor, void* context) const {
    const auto visit = [=](void* block) { visitor(block, context); };
    ultra_hot.for_each(visit);
    heap_v2.for_each(visit);
    for (unsigned k = 1; k < base::recorded_class_count; k++) {
        older[k].bump.for_each(base::stride_of(k), visit);
        older[k].small_mag.for_each(visit);
        // A link may lead to a block of another heap, which its thread frees at any time. Under the
        // pool's lock no superslab is unmapped.
        os::LockGuard guard(back::shared_pool::fork_lock());
        older[k].tls_sll.for_each(visit, [k](const void* block) { return is_block(block, k); });
    }
}

const char* Layers::validate() const {
    if (const char* const broken = ultra_hot.validate()) return broken;
    if (const char* const broken = heap_v2.validate()) return broken;
    for (const Older& fronts : older) {
        if (fronts.bump.validate() != nullptr || fronts.small_mag.validate() != nullptr ||
            fronts.tls_sll.validate() != nullptr) {
            return "layers I1";
        }
    }
    return nullptr;
}

// ---- statistics ---------------------------------------------------------------------------------

namespace {

struct Totals {
    std::uint64_t asked = 0;
    std::uint64_t hits = 0;
    std::uint64_t frees = 0;
    std::uint64_t held = 0;  // blocks that the magazines hold

    void add(const FrontCounts& counts, const Top& top) {
        asked += counts.asked();
        hits += counts.hits.load(std::memory_order_relaxed);
        frees += counts.frees.load(std::memory_order_relaxed);
        held += top.load(std::memory_order_relaxed);
    }
};

// One line, in the record's words. Nobody refills these fronts but free.
void print_line(const char* front, const char* row, unsigned number, const Totals& totals,
                bool with_held) {
    const std::uint64_t per_mille = totals.asked != 0 ? totals.hits * 1000 / totals.asked : 0;
    os::Message line;
    line << front << ": [" << row << number << "] alloc_calls=" << totals.asked
         << " mag_hits=" << totals.hits << " (" << per_mille / 10 << '.' << per_mille % 10
         << "%) refill=0 free_calls=" << totals.frees;
    if (with_held) line << " held=" << totals.held;
}

template <typename Visit>
void for_each_layers(Visit visit) {
    for (const middle::HeapNode* node = middle::orphan_heaps::newest(); node != nullptr;
         node = node->older) {
        visit(*static_cast<const Layers*>(static_cast<const ThreadHeap*>(node)->outer()));
    }
}

}  // namespace

// [statistics]
void Layers::print_statistics() {
    const os::Options& options = os::options();
    for (unsigned m = 0; m < 2 && options.tiny_ultra_hot_stats != 0; m++) {
        Totals totals;
        for_each_layers([&](const Layers& layers) {
            totals.add(layers.ultra_hot.counts[m], layers.ultra_hot.tops[m]);
        });
        print_line("ultra_hot", "C", UltraHot::first_class + m, totals, false);
    }
    const bool debug = options.tiny_heap_v2_debug != 0;
    if (debug) {
        os::Message() << "heap_v2: " << (options.tiny_heap_v2 != 0 ? "on" : "off") << ", mode "
                      << options.tiny_heap_v2_leftover_mode << ", class mask "
                      << options.tiny_heap_v2_class_mask << ", " << HeapV2::capacity
                      << " slots a class, heaps " << middle::orphan_heaps::count();
    }
    for (unsigned k = 0; k < HeapV2::class_count && (debug || options.tiny_heap_v2_stats != 0);
         k++) {
        Totals totals;
        for_each_layers([&](const Layers& layers) {
            totals.add(layers.heap_v2.counts[k], layers.heap_v2.magazines[k].top);
        });
        print_line("heap_v2", "C", k, totals, debug);
    }
}
// [/statistics]

}  // namespace hakmem::front
