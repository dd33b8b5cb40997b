#include "back/large.hpp"

#include <algorithm>
#include <cerrno>
#include <new>

#include "back/huge_pages.hpp"
#include "back/meta_arena.hpp"
#include "back/page_map.hpp"
#include "back/shared_pool.hpp"
#include "back/superslab.hpp"
#include "base/attributes.hpp"
#include "base/lock_rank.hpp"
#include "base/size_class.hpp"
#include "os/clock.hpp"
#include "os/environment.hpp"
#include "os/virtual_memory.hpp"

namespace hakmem::back::large {

namespace {

using shared_pool::Use;

// The record of an own mapping. The slab comes first, so that a pointer to one is a pointer to the
// other.
struct Mapping {
    Slab slab;
    Mapping* next;           // in the list of its state
    Mapping* previous;       // in the list of its state
    std::uint64_t freed_at;  // when it entered the cache
    bool zero;               // while it is cached: whether it reads as zero

    char* end() const { return slab.start + slab.block_bytes; }
};

// A doubly linked list of mappings, newest first.
struct MappingList {
    Mapping* head = nullptr;

    void add(Mapping* mapping) {
        mapping->previous = nullptr;
        mapping->next = head;
        if (head != nullptr) head->previous = mapping;
        head = mapping;
    }
    void remove(Mapping* mapping) {
        (mapping->previous != nullptr ? mapping->previous->next : head) = mapping->next;
        if (mapping->next != nullptr) mapping->next->previous = mapping->previous;
    }
};

constinit os::FutexLock lock{base::LockRank::large};
constinit MappingList used HAK_GUARDED_BY(lock);    // hold a live block
constinit MappingList cached HAK_GUARDED_BY(lock);  // hold a freed one
constinit MappingList unused HAK_GUARDED_BY(lock);  // records without a mapping
constinit std::size_t cached_bytes HAK_GUARDED_BY(lock) = 0;

// A cached mapping is cut where what is too much is more than this part of the request.
constexpr std::size_t spare_divisor = 16;

// Where the heap is large, this part of it is mapped at a time, up to a bound.
constexpr std::size_t chunk_divisor = 8;
// What the block leaves of its last page serves the next one, so this part of it counts as waste.
constexpr std::size_t chunk_rest_divisor = 8;
constexpr std::size_t chunk_bytes_max = 64 * base::mebibyte;

// A mapping is copied to a cached one where it grows by at least this part of itself.
constexpr std::size_t least_growth_divisor = 4;

// Less than one unit of a run is wasted, so of one that is so long less than an eighth.
constexpr base::Units dense_from{8};

constexpr page_map::Entry large_entry = page_map::Entry::of(0, base::ClassId::large);
constexpr page_map::Entry free_entry = page_map::Entry::of(0, base::ClassId::free);
constexpr page_map::Entry external_entry{0};

Mapping* mapping_of(Slab& slab) { return reinterpret_cast<Mapping*>(&slab); }

// Makes a record that of one large block.
void set_extent(Slab& slab, char* start, std::size_t bytes, unsigned units) {
    slab.start = start;
    slab.block_bytes = bytes;
    slab.reciprocal = 0;
    slab.block_count = 1;
    slab.class_id = base::ClassId::large;
    slab.kept_length = false;
    slab.unit_count = static_cast<std::uint8_t>(units);
}

void* allocate_run(std::size_t bytes, std::size_t alignment, bool& zero,
                   shared_pool::Growth growth) {
    const auto alignment_units =
        static_cast<unsigned>(std::max<std::size_t>(alignment / base::unit_bytes, 1));
    const base::Units units = base::Units::covering(bytes);
    const Use use = units >= dense_from ? Use::dense : Use::sparse;
    const Run run = shared_pool::take(units, alignment_units, growth, use);
    if (run.superslab == nullptr) return nullptr;
    Slab& slab = superslab::describe(run, 1);
    set_extent(slab, run.start(), run.count.bytes(), run.count.value);
    page_map::assign(slab.start, slab.block_bytes, large_entry, &slab);
    zero = run.zero;
    return slab.start;
}

Mapping* new_record() HAK_REQUIRES(lock) {
    if (Mapping* const record = unused.head; record != nullptr) {
        unused.remove(record);
        return record;
    }
    void* const memory = meta_arena::allocate(sizeof(Mapping));
    return memory != nullptr ? new (memory) Mapping{} : nullptr;
}

void put_record(Mapping* record) {
    os::LockGuard guard(lock);
    unused.add(record);
}

// [cached]
// Puts a freed mapping in the cache, as one with those that lie beside it. The whole is as old as
// its larger part: a small block that comes and goes keeps no large neighbour from its decay, and
// an old neighbour takes no large block along that has just been freed.
void add_cached(Mapping* freed) HAK_REQUIRES(lock) {
    cached_bytes += freed->slab.block_bytes;
    for (Mapping* other = os::options().large_split ? cached.head : nullptr; other != nullptr;) {
        Mapping* const next = other->next;
        const bool below = other->end() == freed->slab.start;
        const bool above = freed->end() == other->slab.start;
        if (below || above) {
            if (other->slab.block_bytes > freed->slab.block_bytes)
                freed->freed_at = other->freed_at;
            if (below) freed->slab.start = other->slab.start;
            freed->slab.block_bytes += other->slab.block_bytes;
            freed->zero = freed->zero && other->zero;
            cached.remove(other);
            unused.add(other);
        }
        other = next;
    }
    cached.add(freed);
}

void remove_cached(Mapping* mapping) HAK_REQUIRES(lock) {
    cached.remove(mapping);
    cached_bytes -= mapping->slab.block_bytes;
}

// Shortens a mapping that is in no list, and returns the rest, which is in none either; null if
// there is no record for it. What is kept ends where a unit ends.
Mapping* cut(Mapping* mapping, base::Units kept) HAK_REQUIRES(lock) {
    Mapping* const rest = new_record();
    if (rest == nullptr) return nullptr;
    Slab& slab = mapping->slab;
    set_extent(rest->slab, slab.start + kept.bytes(), slab.block_bytes - kept.bytes(), 0);
    rest->freed_at = mapping->freed_at;
    rest->zero = mapping->zero;
    slab.block_bytes = kept.bytes();
    return rest;
}

// The smallest cached mapping that is large enough, or null. Without splitting, it must not be much
// too large.
Mapping* smallest_cached(std::size_t bytes, std::size_t alignment) HAK_REQUIRES(lock) {
    const bool splits = os::options().large_split;
    Mapping* best = nullptr;
    for (Mapping* candidate = cached.head; candidate != nullptr; candidate = candidate->next) {
        const std::size_t has = candidate->slab.block_bytes;
        const bool fits = has >= bytes && (splits || has - has / 5 <= bytes) &&
                          reinterpret_cast<std::uintptr_t>(candidate->slab.start) % alignment == 0;
        if (fits && (best == nullptr || has < best->slab.block_bytes)) best = candidate;
    }
    return best;
}

// Takes a mapping out of the cache, and leaves there what of it is too much.
void take_cached(Mapping* mapping, std::size_t bytes) HAK_REQUIRES(lock) {
    remove_cached(mapping);
    mapping->slab.kept_length = false;
    if (!os::options().large_split) return;
    const base::Units kept = base::Units::covering(bytes);
    if (mapping->slab.block_bytes <= kept.bytes() + bytes / spare_divisor) return;
    if (Mapping* const rest = cut(mapping, kept); rest != nullptr) {
        add_cached(rest);
    } else {
        mapping->slab.kept_length = true;
    }
}

// Makes a mapping longer by what is free behind it.
bool absorb(Mapping* mapping, std::size_t bytes) HAK_REQUIRES(lock) {
    Slab& slab = mapping->slab;
    for (Mapping* behind = cached.head; behind != nullptr; behind = behind->next) {
        if (behind->slab.start != mapping->end()) continue;
        if (slab.block_bytes + behind->slab.block_bytes < bytes) return false;
        take_cached(behind, bytes - slab.block_bytes);
        page_map::assign(behind->slab.start, behind->slab.block_bytes, large_entry, &slab);
        slab.block_bytes += behind->slab.block_bytes;
        slab.kept_length = slab.kept_length || behind->slab.kept_length;
        unused.add(behind);
        return true;
    }
    return false;
}
// [/cached]

// Maps memory for a record that is in no list.
bool map(Mapping* record, std::size_t bytes, std::size_t alignment, os::PageSize size) {
    char* const start = static_cast<char*>(os::map(bytes, alignment));
    if (start == nullptr) return false;
    if (!page_map::ensure(start, bytes)) {
        os::unmap(start, bytes);
        return false;
    }
    if (size == os::PageSize::huge) os::prefer_pages(start, bytes, size);
    shared_pool::note_mapped(static_cast<std::ptrdiff_t>(bytes));
    set_extent(record->slab, start, bytes, 0);
    record->freed_at = os::milliseconds();
    record->zero = true;
    return true;
}

// Whether a mapping so long shall be huge as far as it fills such pages.
bool fills_huge_pages(std::size_t bytes, std::size_t heap_bytes) {
    return os::options().large_split && bytes >= huge_pages::page_bytes &&
           huge_pages::wanted(heap_bytes, 0);
}

// [chunk]
// Maps memory for a block, and where that wastes little for others that will come, if it can be
// had.
bool map_chunk(Mapping* record, std::size_t bytes, std::size_t alignment) {
    const std::size_t heap = shared_pool::heap_bytes();
    // What the block leaves of a chunk goes to the cache.
    const std::uint64_t share = std::min<std::uint64_t>(
        {heap / chunk_divisor, chunk_bytes_max, std::uint64_t{os::options().large_cache}});
    // Else the block is mapped alone. What of it fills no huge page comes in small ones.
    const std::size_t whole = base::round_up(bytes, huge_pages::page_bytes);
    const std::size_t waste = (whole - bytes) / chunk_rest_divisor;
    const std::size_t chunk = huge_pages::wanted(heap + bytes, waste)
                                  ? std::max(whole, base::round_up(share, huge_pages::page_bytes))
                                  : bytes;
    if (fills_huge_pages(chunk, heap + bytes) &&
        !shared_pool::is_tight(shared_pool::noted_bytes() + chunk) &&
        map(record, chunk, std::max(alignment, huge_pages::page_bytes), os::PageSize::huge)) {
        return true;
    }
    return map(record, bytes, alignment, os::PageSize::small);
}
// [/chunk]

// The mapping is in no list, and only its entries still speak of it.
bool unmap(Mapping* mapping) {
    Slab& slab = mapping->slab;
    // The entries go first: once unmapped, the addresses may be somebody else's at once.
    page_map::assign(slab.start, slab.block_bytes, external_entry, nullptr);
    if (os::unmap(slab.start, slab.block_bytes)) {
        shared_pool::note_mapped(-static_cast<std::ptrdiff_t>(slab.block_bytes));
        put_record(mapping);
        return true;
    }
    // Splitting a mapping in the kernel can fail. Its pages can be given back all the same.
    os::purge(slab.start, slab.block_bytes);
    page_map::assign(slab.start, slab.block_bytes, free_entry, nullptr);
    os::LockGuard guard(lock);
    mapping->freed_at = os::milliseconds();
    mapping->zero = false;
    add_cached(mapping);
    return false;
}

// Takes what has to go out of the cache: the oldest mapping when its time is up, and otherwise as
// much of it as is above the bound.
Mapping* take_due(std::uint64_t age_ms, std::size_t bytes_max) {
    os::LockGuard guard(lock);
    const std::uint64_t now = os::milliseconds();
    Mapping* oldest = cached.head;
    for (Mapping* mapping = oldest; mapping != nullptr; mapping = mapping->next) {
        // Of those that are equally old, the one that was added first.
        if (now - mapping->freed_at >= now - oldest->freed_at) oldest = mapping;
    }
    if (oldest == nullptr) return nullptr;
    const std::size_t above = cached_bytes - std::min(cached_bytes, bytes_max);
    const bool due = os::has_passed(now, oldest->freed_at, age_ms);
    if (!due && above == 0) return nullptr;
    remove_cached(oldest);
    const base::Units gone = base::Units::covering(above);
    const base::Units all = base::Units::covering(oldest->slab.block_bytes);
    if (due || !os::options().large_split || !(gone < all)) return oldest;
    Mapping* const rest = cut(oldest, base::Units{all.value - gone.value});
    if (rest == nullptr) return oldest;
    add_cached(oldest);
    return rest;
}

std::size_t shrink_cache(std::uint64_t age_ms, std::size_t bytes_max) {
    std::size_t returned = 0;
    while (Mapping* const mapping = take_due(age_ms, bytes_max)) {
        const std::size_t bytes = mapping->slab.block_bytes;
        if (!unmap(mapping)) break;
        returned += bytes;
    }
    return returned;
}

// After something was added: what is above the bound goes, or all of it where nothing may rest.
void bound_cache() {
    shrink_cache(os::options().decay == 0 ? 0 : UINT64_MAX, os::options().large_cache);
}

void* allocate_mapping(std::size_t bytes, std::size_t alignment, bool& zero) {
    bytes = base::round_up(bytes, base::unit_bytes);
    Mapping* record = nullptr;
    {
        os::LockGuard guard(lock);
        if (Mapping* const mapping = smallest_cached(bytes, alignment); mapping != nullptr) {
            take_cached(mapping, bytes);
            Slab& slab = mapping->slab;
            used.add(mapping);
            page_map::assign(slab.start, slab.block_bytes, large_entry, &slab);
            zero = mapping->zero;
            return slab.start;
        }
        record = new_record();
    }
    if (record == nullptr) return nullptr;
    if (!map_chunk(record, bytes, alignment)) {
        put_record(record);
        return nullptr;
    }
    Slab& slab = record->slab;
    {
        os::LockGuard guard(lock);
        used.add(record);
        if (slab.block_bytes > bytes) {
            if (Mapping* const rest = cut(record, base::Units::covering(bytes)); rest != nullptr) {
                page_map::assign(rest->slab.start, rest->slab.block_bytes, free_entry, nullptr);
                add_cached(rest);
            } else {
                slab.kept_length = true;
            }
        }
        page_map::assign(slab.start, slab.block_bytes, large_entry, &slab);
    }
    bound_cache();
    zero = true;
    return slab.start;
}

void* resize_run(Slab& slab, std::size_t bytes) {
    if (bytes > run_bytes_max) return nullptr;
    Run run = superslab::run_of(slab);
    const base::Units wanted = base::Units::covering(bytes);
    if (wanted < run.count) {
        const Run tail{run.superslab, run.first + wanted.value,
                       base::Units{run.count.value - wanted.value}, false};
        page_map::assign(tail.start(), tail.count.bytes(), free_entry, nullptr);
        set_extent(slab, slab.start, wanted.bytes(), wanted.value);
        shared_pool::give_back(tail);
        return slab.start;
    }
    if (!superslab::extend(run, wanted)) return nullptr;
    set_extent(slab, slab.start, wanted.bytes(), wanted.value);
    page_map::assign(slab.start, wanted.bytes(), large_entry, &slab);
    return slab.start;
}

// The kernel has made a mapping longer, perhaps elsewhere.
void set_length(Slab& slab, std::size_t bytes) {
    shared_pool::note_mapped(static_cast<std::ptrdiff_t>(bytes - slab.block_bytes));
    slab.block_bytes = bytes;
    page_map::assign(slab.start, bytes, large_entry, &slab);
    if (fills_huge_pages(bytes, shared_pool::heap_bytes())) {
        os::prefer_pages(slab.start, bytes, os::PageSize::huge);
    }
}

// [move]
// Moves a mapping's pages to a longer reservation. The old entries go before the old addresses do.
void* move_mapping(Slab& slab, std::size_t bytes) {
    // Huge pages move as such from one boundary to another.
    const bool aligned = reinterpret_cast<std::uintptr_t>(slab.start) % huge_pages::page_bytes == 0;
    const std::size_t alignment = aligned ? huge_pages::page_bytes : base::unit_bytes;
    char* target = static_cast<char*>(os::reserve(bytes, alignment));
    if (target == nullptr && aligned) {
        target = static_cast<char*>(os::reserve(bytes, base::unit_bytes));
    }
    if (target == nullptr) return nullptr;
    if (!page_map::ensure(target, bytes)) {
        os::unmap(target, bytes);
        return nullptr;
    }
    page_map::assign(slab.start, slab.block_bytes, external_entry, nullptr);
    if (!os::move(slab.start, slab.block_bytes, target, bytes)) {
        page_map::assign(slab.start, slab.block_bytes, large_entry, &slab);
        return nullptr;  // The reservation stays, if it is one: it may be somebody else's by now.
    }
    slab.start = target;
    set_length(slab, bytes);
    return target;
}
// [/move]

// The lock is held during the system calls here, because the extent of a listed mapping changes.
void* resize_mapping(Slab& slab, std::size_t bytes) {
    if (bytes <= run_bytes_max && slab.block_bytes > run_bytes_max) return nullptr;
    bytes = base::round_up(bytes, base::unit_bytes);
    os::LockGuard guard(lock);
    const std::size_t old_bytes = slab.block_bytes;
    if (bytes <= old_bytes && old_bytes - bytes <= bytes / spare_divisor) return slab.start;
    if (bytes < old_bytes) {
        page_map::assign(slab.start + bytes, old_bytes - bytes, external_entry, nullptr);
        if (os::resize_in_place(slab.start, old_bytes, bytes)) {
            shared_pool::note_mapped(-static_cast<std::ptrdiff_t>(old_bytes - bytes));
            slab.block_bytes = bytes;
        } else {
            slab.kept_length = true;
            page_map::assign(slab.start, old_bytes, large_entry, &slab);
        }
        return slab.start;
    }
    if (os::options().large_split) {
        if (absorb(mapping_of(slab), bytes)) return slab.start;
        // Fresh pages cost more than copying to such as there are, unless they are few.
        const bool copies = bytes - old_bytes >= old_bytes / least_growth_divisor;
        const Mapping* const other = copies ? smallest_cached(bytes, base::unit_bytes) : nullptr;
        if (other != nullptr && !other->zero) return nullptr;
    }
    if (!os::resize_in_place(slab.start, old_bytes, bytes)) {
        // The kernel moves no mapping that it keeps in several areas.
        return errno == EFAULT ? nullptr : move_mapping(slab, bytes);
    }
    if (!page_map::ensure(slab.start, bytes)) {
        os::resize_in_place(slab.start, bytes, old_bytes);
        return nullptr;
    }
    set_length(slab, bytes);
    return slab.start;
}

}  // namespace

void* allocate(std::size_t bytes, std::size_t alignment, bool& zero, shared_pool::Growth growth) {
    if (bytes <= run_bytes_max && alignment <= run_bytes_max) {
        if (void* const block = allocate_run(bytes, alignment, zero, growth)) return block;
        if (growth == shared_pool::Growth::refused) return nullptr;
        // Where there is no room for another superslab there may be some for this block alone.
    }
    return allocate_mapping(bytes, std::max(alignment, base::unit_bytes), zero);
}

// [release]
void release(Slab& slab) {
    if (slab.superslab != nullptr) {
        page_map::assign(slab.start, slab.block_bytes, free_entry, nullptr);
        shared_pool::give_back(superslab::run_of(slab));
        return;
    }
    Mapping* const mapping = mapping_of(slab);
    {
        os::LockGuard guard(lock);
        page_map::assign(slab.start, slab.block_bytes, free_entry, nullptr);
        used.remove(mapping);
        mapping->freed_at = os::milliseconds();
        mapping->zero = false;
        add_cached(mapping);
    }
    bound_cache();
}
// [/release]

void* resize(Slab& slab, std::size_t bytes) {
    return slab.superslab != nullptr ? resize_run(slab, bytes) : resize_mapping(slab, bytes);
}

std::size_t usable_bytes(std::size_t bytes) { return base::round_up(bytes, base::unit_bytes); }

std::size_t trim_cache(std::uint64_t age_ms) { return shrink_cache(age_ms, SIZE_MAX); }

void for_each_mapping(void (*visitor)(const MappingView& mapping, void* context), void* context) {
    os::LockGuard guard(lock);
    for (const Mapping* m = used.head; m != nullptr; m = m->next) {
        visitor(MappingView{m->slab.start, m->slab.block_bytes, false}, context);
    }
    for (const Mapping* m = cached.head; m != nullptr; m = m->next) {
        visitor(MappingView{m->slab.start, m->slab.block_bytes, true}, context);
    }
}

const char* validate() {
    os::LockGuard guard(lock);
    std::size_t bytes = 0;
    for (const Mapping* m = cached.head; m != nullptr; m = m->next) bytes += m->slab.block_bytes;
    if (bytes != cached_bytes) return "large I1";
    for (const Mapping* m = used.head; m != nullptr; m = m->next) {
        if (page_map::slab_of(m->slab.start) != &m->slab) return "large I2";
    }
    return nullptr;
}

os::FutexLock& fork_lock() { return lock; }

}  // namespace hakmem::back::large
