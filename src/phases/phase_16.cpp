#include "phases/phase_16.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>

#include "back/large.hpp"
#include "back/meta_arena.hpp"
#include "back/page_map.hpp"
#include "back/purge.hpp"
#include "back/shared_pool.hpp"
#include "back/slab.hpp"
#include "base/units.hpp"
#include "gate/external_guard.hpp"
#include "middle/misuse.hpp"
#include "middle/orphan_heaps.hpp"
#include "os/environment.hpp"
#include "os/futex_lock.hpp"

namespace hakmem::phases {

using back::shared_pool::Growth;

namespace {

using OomHandler = int (*)(std::size_t bytes, void* context);
constinit std::atomic<OomHandler> oom_handler{nullptr};
constinit std::atomic<void*> oom_context{nullptr};

// free must leave errno alone, whatever the kernel says on the way.
class KeepErrno {
public:
    KeepErrno() : saved_(errno) {}
    ~KeepErrno() { errno = saved_; }
    KeepErrno(const KeepErrno&) = delete;
    KeepErrno& operator=(const KeepErrno&) = delete;

private:
    int saved_;
};

void* no_memory() {
    errno = ENOMEM;
    return nullptr;
}

// Takes together what is free in any heap, without giving it back to the system, and lets go of
// what is merely held for later. Heaps of other threads keep their magazines, which only those may
// touch.
void reclaim() {
    if (front::ThreadHeap* const heap = front::own_heap()) heap->empty_out();
    middle::orphan_heaps::collect();
    back::large::trim_cache(0);
    back::shared_pool::trim_reservation();
}

// [persist]
// Tries, then lets go of what is held in reserve and tries again, then asks the program for help
// for as long as it offers some. Where address space is tight, what is held in reserve comes before
// another superslab.
template <typename Attempt>
void* persist(std::size_t bytes, Attempt attempt) {
    const int saved_errno = errno;
    void* block = attempt(back::shared_pool::is_tight() ? Growth::refused : Growth::allowed);
    if (HAK_UNLIKELY(block == nullptr)) {
        reclaim();
        block = attempt(Growth::allowed);
    }
    while (HAK_UNLIKELY(block == nullptr)) {
        const OomHandler handler = oom_handler.load(std::memory_order_acquire);
        if (handler == nullptr) return no_memory();
        if (handler(bytes, oom_context.load(std::memory_order_relaxed)) == 0) return no_memory();
        block = attempt(Growth::allowed);
    }
    errno = saved_errno;
    return block;
}
// [/persist]

// Whether a block is free in its slab. It may be in a magazine as well; hardened mode has none.
bool is_free(const back::Slab& slab, back::BlockIndex index) {
    back::SlabOwner* const owner = slab.owner.load(std::memory_order_acquire);
    if (owner == nullptr) return true;
    os::LockGuard guard(static_cast<middle::HeapNode*>(owner)->lock);
    // All its blocks may have come back meanwhile.
    if (slab.owner.load(std::memory_order_relaxed) != owner) return true;
    const std::uint64_t remote = slab.remote_bits(index.word()).load(std::memory_order_relaxed);
    return ((slab.free_bits[index.word()] | remote) & index.bit()) != 0;
}

}  // namespace

// ---- a block and what is known of it ------------------------------------------------------------

Block block_at(const void* pointer, base::ClassId id) {
    back::Slab* const slab = back::page_map::slab_of(pointer);
    if (id == base::ClassId::free || slab == nullptr) hak_abort_double_free(pointer, 0);
    if (base::is_small(id)) {
        back::BlockIndex index{};
        if (!back::slab::index_of(*slab, pointer, index)) {
            hak_abort_invalid_free(pointer, base::index(id));
        }
        if (os::options().hardened != 0 && is_free(*slab, index)) {
            hak_abort_double_free(pointer, base::index(id));
        }
    } else if (pointer != slab->start) {
        hak_abort_invalid_free(pointer, 0);
    }
    return {slab, slab->block_bytes};
}

// It stays if the block is small, or not twice too large.
bool is_worth_keeping(std::size_t bytes, std::size_t usable) {
    constexpr std::size_t always_kept_bytes = 64;
    return bytes > usable / 2 || usable <= always_kept_bytes;
}

bool is_possible(std::size_t bytes, const Block& block, SizeClaim claim) {
    const std::size_t usable = block.bytes;
    if (bytes > usable) return false;
    if (claim == SizeClaim::at_most) return true;
    // A large block may be a reused mapping, which is larger than was asked for.
    if (claim == SizeClaim::exact && usable <= base::small_bytes_max) {
        return Phase16::good_bytes(bytes) == usable;
    }
    return is_worth_keeping(bytes, usable) || block.slab->kept_length;
}

// ---- malloc -------------------------------------------------------------------------------------

void* Phase16::allocate_small(base::ClassId id) {
    front::Magazine& magazine = front::current_heap->magazine(id);
    if (void* const block = magazine.pop(); HAK_LIKELY(block)) return block;
    return allocate_slow(magazine);
}

void* Phase16::allocate_above_tiny(std::size_t bytes) {
    if (HAK_LIKELY(bytes <= base::small_bytes_max)) {
        return allocate_small(base::class_of(bytes));
    }
    bool zero = false;
    return allocate_large(bytes, base::block_alignment, zero);
}

HAK_SLOW void* Phase16::allocate_slow(const front::Magazine& empty) {
    const base::ClassId id = front::class_of_magazine(empty);
    return persist(base::row(id).block_bytes, [id](Growth growth) -> void* {
        const front::HeapLease lease;
        return lease.heap() != nullptr ? lease.heap()->allocate(id, growth) : nullptr;
    });
}

HAK_SLOW void* Phase16::allocate_large(std::size_t bytes, std::size_t alignment, bool& zero) {
    if (bytes > base::request_bytes_max) return no_memory();
    os::load_options();
    return persist(bytes, [&](Growth growth) {
        return back::large::allocate(bytes, alignment, zero, growth);
    });
}

void* Phase16::allocate_zeroed(std::size_t count, std::size_t bytes) {
    std::size_t total = 0;
    if (HAK_UNLIKELY(__builtin_mul_overflow(count, bytes, &total))) return no_memory();
    bool zero = false;
    void* const block = total <= base::small_bytes_max
                            ? allocate(total)
                            : allocate_large(total, base::block_alignment, zero);
    if (HAK_LIKELY(block != nullptr) && !zero) std::memset(block, 0, total);
    return block;
}

// [aligned]
void* Phase16::allocate_aligned(std::size_t alignment, std::size_t bytes) {
    if (!std::has_single_bit(alignment)) {
        errno = EINVAL;
        return nullptr;
    }
    if (alignment <= base::block_alignment) return allocate(bytes);
    if (bytes > base::request_bytes_max || alignment > base::alignment_bytes_max)
        return no_memory();
    // Block i of a slab lies at a multiple of the block size, so a class whose size is a multiple
    // of the alignment will do. The next power of two is always such a class.
    const std::size_t padded = base::round_up(std::max<std::size_t>(bytes, 1), alignment);
    if (padded <= base::small_bytes_max) {
        base::ClassId id = base::class_of(padded);
        while (base::row(id).block_bytes % alignment != 0) {
            id = base::ClassId{static_cast<std::uint8_t>(base::index(id) + 1)};
        }
        return allocate_small(id);
    }
    bool zero = false;
    return allocate_large(std::max<std::size_t>(bytes, 1), alignment, zero);
}
// [/aligned]

// ---- free ---------------------------------------------------------------------------------------

HAK_SLOW void Phase16::deallocate_slow(void* block, base::ScaledClass full) noexcept {
    const KeepErrno keep_errno;
    const base::ClassId id = full.id();
    const front::HeapLease lease;
    lease.heap()->release(id, block);
}

// [free elsewhere]
// Everything that is not a block of this thread's heap, or not at its home. Not cold: remote frees
// come this way, and a thread that only frees what others allocate does little else. So they are
// told apart here, and what is rarer has a function of its own.
void Phase16::deallocate_elsewhere(void* block) noexcept {
    if (block == nullptr) return;
    const auto address = reinterpret_cast<std::uintptr_t>(block);
    if (!back::page_map::is_user_address(address)) {
        return deallocate_rare(block, base::ClassId::external);
    }
    front::HeapFront* const heap = front::current_heap;
    const back::page_map::Place place = back::page_map::place_of(address);
    const back::page_map::Entry entry = place.entry();
    const base::ScaledClass mine{gate::classify(entry, heap->tag_bits)};
    if (mine.value < gate::magazine_offset_end) {
        if (HAK_UNLIKELY(!heap->push(mine, block))) deallocate_slow(block, mine);
        return;
    }
    front::ThreadHeap* const own = front::own_heap();
    if (HAK_LIKELY(base::is_small(entry.class_id())) && HAK_LIKELY(own != nullptr)) {
        if (back::Slab* const slab = place.slab(); HAK_LIKELY(slab != nullptr)) {
            // The entry has another heap's tag, so there is no need to ask the slab for its owner.
            own->release_remote(*slab, block);
            return;
        }
    }
    deallocate_rare(block, entry.class_id());
}

// Large blocks, foreign ones, and what comes before the thread has a heap or after.
HAK_SLOW void Phase16::deallocate_rare(void* block, base::ClassId id) noexcept {
    const KeepErrno keep_errno;
    if (base::is_small(id)) {
        back::Slab* const slab = back::page_map::slab_of(block);
        if (slab == nullptr) hak_abort_double_free(block, base::index(id));
        // A thread that begins with a free takes over what another one had. If that one has ended,
        // the rest of its blocks will come, too, and should come home.
        const front::HeapLease lease(slab->owner.load(std::memory_order_relaxed));
        front::ThreadHeap* const leased = lease.heap();
        if (leased == nullptr) {
            // Out of memory for a heap: send the one bit directly.
            back::BlockIndex index{};
            if (!back::slab::index_of(*slab, block, index)) {
                hak_abort_invalid_free(block, base::index(id));
            }
            middle::remote_bits::free_blocks(*slab, index.word(), index.bit());
        } else if (static_cast<back::SlabOwner*>(leased) ==
                   slab->owner.load(std::memory_order_relaxed)) {
            // The thread had no heap yet, or borrowed this one, and the block is of just this heap.
            leased->release(id, block);
        } else {
            leased->release_remote(*slab, block);
        }
    } else if (id == base::ClassId::external) {
        gate::external_guard::release(block);
    } else {
        back::large::release(*block_at(block, id).slab);
        // Here the heap is for the clock's sake: it is what lets free memory age.
        const front::HeapLease lease;
        if (lease.heap() != nullptr) lease.heap()->maintain();
    }
}
// [/free elsewhere]

void Phase16::deallocate_sized_slow(void* block, std::size_t bytes, SizeClaim claim) noexcept {
    if (block == nullptr) return;
    // A block of this heap that is not at its home.
    front::HeapFront* const heap = front::current_heap;
    const base::ScaledClass mine{gate::classify(block, heap->tag_bits)};
    if (mine.value < gate::magazine_offset_end && heap->push(mine, block)) return;
    const back::page_map::Entry entry = back::page_map::entry_of(block);
    if (entry.class_id() != base::ClassId::external) {
        const Block known = block_at(block, entry.class_id());
        if (!is_possible(bytes, known, claim)) hak_abort_sized_mismatch(block, bytes, known.bytes);
    }
    deallocate(block);
}

// ---- realloc ------------------------------------------------------------------------------------

// [realloc]
void* Phase16::reallocate(void* block, std::size_t bytes) {
    if (block == nullptr) return allocate(bytes);
    if (bytes == 0) {
        deallocate(block);
        return nullptr;
    }
    const base::ClassId id = back::page_map::entry_of(block).class_id();
    if (id == base::ClassId::external) return gate::external_guard::reallocate(block, bytes);
    if (bytes > base::request_bytes_max) return no_memory();
    const Block old = block_at(block, id);
    if (base::is_small(id) && bytes <= old.bytes && is_worth_keeping(bytes, old.bytes))
        return block;
    // Let it grow, or let the kernel move it.
    if (id == base::ClassId::large && bytes > base::small_bytes_max) {
        const int saved_errno = errno;
        void* const resized = back::large::resize(*old.slab, bytes);
        errno = saved_errno;
        if (resized != nullptr) return resized;
    }
    // Copy.
    void* const copy = allocate(bytes);
    if (copy == nullptr) return nullptr;
    std::memcpy(copy, block, std::min(old.bytes, bytes));
    deallocate(block);
    return copy;
}
// [/realloc]

// ---- questions ----------------------------------------------------------------------------------

std::size_t Phase16::usable_bytes(const void* block) {
    if (block == nullptr) return 0;
    const base::ClassId id = back::page_map::entry_of(block).class_id();
    if (base::is_small(id)) return base::row(id).block_bytes;
    if (id == base::ClassId::external) return gate::external_guard::usable_bytes(block);
    return block_at(block, id).bytes;
}

std::size_t Phase16::good_bytes(std::size_t bytes) {
    if (bytes <= base::small_bytes_max) return base::row(base::class_of(bytes)).block_bytes;
    return bytes <= base::request_bytes_max ? back::large::usable_bytes(bytes) : 0;
}

void* Phase16::insist(std::size_t bytes, Attempt attempt, void* context) {
    return persist(bytes, [=](Growth growth) { return attempt(growth, context); });
}

std::size_t Phase16::trim() {
    if (front::ThreadHeap* const heap = front::own_heap()) heap->empty_out();
    const std::size_t purged = middle::orphan_heaps::purge();
    return purged + back::purge::all();
}

const char* Phase16::validate() {
    for (middle::HeapNode* heap = middle::orphan_heaps::newest(); heap != nullptr;
         heap = heap->older) {
        os::LockGuard guard(heap->lock);
        if (const char* const broken = heap->operations.validate(*heap)) return broken;
        for (std::uint32_t i = 0; i < back::shared_pool::superslab_count(); i++) {
            for (unsigned unit = 0; unit < base::superslab_units; unit++) {
                const back::Slab& slab = back::shared_pool::superslab_at(i).slabs[unit];
                if (slab.owner.load(std::memory_order_acquire) != heap) continue;
                if (slab.listed != (slab.free_count > 0)) return "thread_heap I1";
                if (const char* const broken = back::superslab::validate_record(slab))
                    return broken;
                if (const char* const broken = back::slab::validate(slab)) return broken;
            }
        }
    }
    const char* const results[] = {back::shared_pool::validate(), back::large::validate(),
                                   back::page_map::validate(), back::meta_arena::validate(),
                                   middle::orphan_heaps::validate()};
    for (const char* const broken : results) {
        if (broken != nullptr) return broken;
    }
    return nullptr;
}

void Phase16::set_oom_handler(OomHandler handler, void* context) {
    oom_context.store(context, std::memory_order_relaxed);
    oom_handler.store(handler, std::memory_order_release);
}

}  // namespace hakmem::phases
