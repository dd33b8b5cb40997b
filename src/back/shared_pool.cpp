#include "back/shared_pool.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <new>

#include "back/huge_pages.hpp"
#include "back/meta_arena.hpp"
#include "back/page_map.hpp"
#include "base/attributes.hpp"
#include "base/bits.hpp"
#include "base/lock_rank.hpp"
#include "os/clock.hpp"
#include "os/environment.hpp"
#include "os/virtual_memory.hpp"

namespace hakmem::back::shared_pool {

namespace {

constexpr std::size_t first_reservation_bytes = 64 * base::mebibyte;
constexpr std::size_t reservation_bytes_max = base::gibibyte;
constexpr std::size_t limit_share = 16;  // of the process's limit a reservation takes one such part
constexpr unsigned hidden_looks_max = 100;  // of validate, a millisecond apart
// A search for a run of several units gives up after so many superslabs that have room but no such
// run.
constexpr unsigned run_attempts_max = 256;
// It looks at so many of the lowest before it goes on where the last run was found: runs that were
// given back lower down left pages there, and those further up may be fresh.
constexpr unsigned low_attempts_max = 16;
// Libraries to measure against have the rule of an earlier phase for huge pages
// (src/CMakeLists.txt).
#ifndef HAKMEM_RULE_OF_PHASE
#define HAKMEM_RULE_OF_PHASE 27
#endif
constexpr unsigned rule = HAKMEM_RULE_OF_PHASE;
constexpr std::size_t sparse_waste_bytes =
    rule >= 24 ? huge_pages::unbounded : huge_pages::page_bytes;
// A growing class wastes some of the last page that it opens, and fills the others.
constexpr std::size_t growing_waste_bytes = huge_pages::page_bytes / (rule >= 26 ? 8 : 1);
// The rest that a dense run leaves is taken by others, so this part of it counts.
constexpr unsigned dense_rest_divisor = 3;

// The directory is a list of pages, so that it can grow without moving.
constexpr std::uint32_t page_superslabs = 1024;
constexpr std::uint32_t directory_pages_max = 8192;  // 32 TiB
struct DirectoryPage {
    std::atomic<Superslab*> superslabs[page_superslabs];
    std::atomic<std::uint64_t> room[page_superslabs / base::word_bits];
};

constinit std::atomic<DirectoryPage*> directory[directory_pages_max] = {};
constinit std::atomic<std::uint32_t> count_of_superslabs{0};
constinit std::atomic<std::uint32_t> run_hint{0};  // superslab where the last run was found

constinit os::FutexLock lock{base::LockRank::pool};
constinit char* reservation_next HAK_GUARDED_BY(lock) = nullptr;
constinit char* reservation_end HAK_GUARDED_BY(lock) = nullptr;
constinit std::size_t reservation_bytes HAK_GUARDED_BY(lock) = first_reservation_bytes;
constinit std::atomic<std::size_t> reserved{0};
constinit bool refused HAK_GUARDED_BY(lock) = false;  // whether the kernel has refused space
// Whether the kernel has refused huge pages, or a superslab to who left small ones alone. It stays:
// from then on everybody takes what there is.
constinit std::atomic<bool> any_pages{false};
constinit std::atomic<std::size_t> memory_limit{0};  // of the process; 0 until asked
constinit std::atomic<std::uint32_t> vacant{0};      // superslabs without memory
constinit std::atomic<std::size_t> beside{0};        // bytes mapped beside superslabs

DirectoryPage& page_of(std::uint32_t i) {
    return *directory[i / page_superslabs].load(std::memory_order_acquire);
}

std::atomic<std::uint64_t>& room_word(std::uint32_t i) {
    return page_of(i).room[i % page_superslabs / base::word_bits];
}

std::uint64_t room_bit(std::uint32_t i) { return std::uint64_t{1} << i % base::word_bits; }

void note_room(std::uint32_t i) {
    if ((room_word(i).load(std::memory_order_seq_cst) & room_bit(i)) == 0) {
        room_word(i).fetch_or(room_bit(i), std::memory_order_seq_cst);
    }
}

// [room]
void note_full(const Superslab& superslab) {
    room_word(superslab.index).fetch_and(~room_bit(superslab.index), std::memory_order_seq_cst);
    if (superslab.taken.load(std::memory_order_seq_cst) != ~std::uint64_t{0}) {
        note_room(superslab.index);
    }
}
// [/room]

// [sharing]
// Whether a class may have slots of a superslab. Where superslabs are not shared, the class that
// comes to a wholly free one takes it over. Two that come at once may both get slots of it: that
// wastes some of what is to be measured, and nothing relies on it.
bool admits(Superslab& superslab, base::ClassId id) {
    if (HAK_LIKELY(os::options().sp_slot != 0)) return true;
    if (superslab.only_class.load(std::memory_order_relaxed) == id) return true;
    if (superslab.taken.load(std::memory_order_relaxed) != 0) return false;
    superslab.only_class.store(id, std::memory_order_relaxed);
    return true;
}
// [/sharing]

// What is asked for.
struct Request {
    base::Units count;
    unsigned alignment;
    base::ClassId id;
    Within within;
};

// [search]
// Stage 2: the superslabs from `begin` to `end` that may have room, lowest first.
Run search(std::uint32_t begin, std::uint32_t end, const Request& request, unsigned& attempts) {
    for (std::uint32_t i = begin; i < end && attempts > 0;) {
        const std::uint64_t room =
            room_word(i).load(std::memory_order_relaxed) >> i % base::word_bits;
        if (room == 0) {
            i = (i / base::word_bits + 1) * base::word_bits;
            continue;
        }
        i += base::lowest_bit(room);
        if (i >= end) break;
        Superslab& superslab = superslab_at(i);
        if (!admits(superslab, request.id)) {
            i++;
            continue;
        }
        const Run run =
            superslab::take(superslab, request.count, request.alignment, request.within);
        if (run.superslab != nullptr) return run;
        if (superslab.taken.load(std::memory_order_relaxed) == ~std::uint64_t{0}) {
            note_full(superslab);
        } else {
            attempts--;
        }
        i++;
    }
    return {};
}
// [/search]

Run take_existing(Request& request) {
    const std::uint32_t end = superslab_count();
    if (request.within == Within::huge) {
        unsigned attempts = low_attempts_max;
        const Run run = search(0, end, request, attempts);
        if (run.superslab != nullptr || attempts > 0) return run;
        // So many have room and no such run: small pages that nobody else wants, or gaps.
        request.within = Within::all;
    }
    unsigned attempts = run_attempts_max;
    if (request.count.value == 1) return search(0, end, request, attempts);
    const std::uint32_t hint = std::min(run_hint.load(std::memory_order_relaxed), end);
    unsigned low_attempts = low_attempts_max;
    Run run = search(0, hint, request, low_attempts);
    if (run.superslab != nullptr) return run;  // the hint stays where longer runs were found
    run = search(hint, end, request, attempts);
    if (run.superslab == nullptr) run = search(0, hint, request, attempts);
    if (run.superslab != nullptr) run_hint.store(run.superslab->index, std::memory_order_relaxed);
    return run;
}

std::size_t limit() {
    if (HAK_UNLIKELY(memory_limit.load(std::memory_order_relaxed) == 0)) {
        memory_limit.store(os::memory_limit(), std::memory_order_relaxed);
    }
    return memory_limit.load(std::memory_order_relaxed);
}

// Address space for one superslab more. Reservations double, up to a share of the process's limit,
// and shrink where the kernel refuses.
bool ensure_reservation() HAK_REQUIRES(lock) {
    if (reservation_next != reservation_end) return true;
    const std::size_t most = std::max(std::bit_floor(limit() / limit_share), base::superslab_bytes);
    for (std::size_t bytes = std::min(reservation_bytes, most); bytes >= base::superslab_bytes;
         bytes /= 2) {
        void* const start = os::reserve(bytes, base::superslab_bytes);
        if (start == nullptr) {
            refused = true;
            continue;
        }
        reservation_next = static_cast<char*>(start);
        reservation_end = reservation_next + bytes;
        reservation_bytes =
            refused ? base::superslab_bytes : std::min(bytes * 2, reservation_bytes_max);
        reserved.fetch_add(bytes, std::memory_order_relaxed);
        return true;
    }
    return false;
}

bool ensure_directory_page(std::uint32_t i) HAK_REQUIRES(lock) {
    if (i / page_superslabs >= directory_pages_max) return false;
    std::atomic<DirectoryPage*>& place = directory[i / page_superslabs];
    if (place.load(std::memory_order_relaxed) != nullptr) return true;
    void* const memory = meta_arena::allocate(sizeof(DirectoryPage));
    if (memory == nullptr) return false;
    place.store(new (memory) DirectoryPage{}, std::memory_order_release);
    return true;
}

// [add]
// A superslab's record without memory: one that was vacated, or a new one.
Superslab* vacant_superslab() HAK_REQUIRES(lock) {
    const std::uint32_t count = count_of_superslabs.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < count && vacant.load(std::memory_order_relaxed) > 0; i++) {
        Superslab& superslab = superslab_at(i);
        if (superslab.start.load(std::memory_order_relaxed) == nullptr) return &superslab;
    }
    if (!ensure_directory_page(count)) return nullptr;
    Superslab* const superslab = superslab::create(count);
    if (superslab == nullptr) return nullptr;
    page_of(count).superslabs[count % page_superslabs].store(superslab, std::memory_order_release);
    count_of_superslabs.store(count + 1, std::memory_order_release);
    vacant.fetch_add(1, std::memory_order_relaxed);
    return superslab;
}

// Stage 3. Each step that may fail leaves what the steps before it made for the next attempt.
Superslab* add_superslab() HAK_REQUIRES(lock) {
    Superslab* const superslab = vacant_superslab();
    if (superslab == nullptr || !ensure_reservation()) return nullptr;
    if (!page_map::ensure(reservation_next, base::superslab_bytes)) return nullptr;
    if (!os::commit(reservation_next, base::superslab_bytes)) return nullptr;
    vacant.fetch_sub(1, std::memory_order_relaxed);
    superslab::occupy(*superslab, reservation_next);
    note_room(superslab->index);
    reservation_next += base::superslab_bytes;
    return superslab;
}
// [/add]

// Where address space is tight, an empty superslab makes room for others.
void unmap_if_empty(Superslab& superslab) {
    if (superslab.taken.load(std::memory_order_relaxed) != 0) return;
    // Otherwise stage 3 might give it new memory while the kernel refuses to take the old.
    os::LockGuard guard(lock);
    char* const start = superslab::vacate(superslab);
    if (start == nullptr) return;
    if (!os::unmap(start, base::superslab_bytes)) {
        superslab.recent.store(~std::uint64_t{0}, std::memory_order_relaxed);
        superslab::occupy(superslab, start);
        note_room(superslab.index);
        return;
    }
    superslab.huge.store(0, std::memory_order_relaxed);
    reserved.fetch_sub(base::superslab_bytes, std::memory_order_relaxed);
    vacant.fetch_add(1, std::memory_order_relaxed);
}

bool is_hidden(std::uint32_t i) {
    const bool has_room =
        superslab_at(i).taken.load(std::memory_order_seq_cst) != ~std::uint64_t{0};
    return has_room && (room_word(i).load(std::memory_order_seq_cst) & room_bit(i)) == 0;
}

// [open]
// What may be wasted if a run comes in huge pages where it is the first, by what it leaves of them.
std::size_t waste_of(base::Units rest, Use use) {
    if (use == Use::sparse) return sparse_waste_bytes;
    if (use == Use::growing || rule < 26) return growing_waste_bytes;
    return rest.bytes() / dense_rest_divisor;
}

// Says in which pages the memory of a run comes that is the first there. A neighbour that was taken
// in stage 2 may have been touched by then; what is resident stays as it is.
void open(const Run& run, Use use) HAK_REQUIRES(lock) {
    const base::Units rest{base::bit_count(run.opened & ~run.bits())};
    const bool huge = huge_pages::wanted(heap_bytes(), waste_of(rest, use));
    superslab::prefer(*run.superslab, run.opened, huge ? os::PageSize::huge : os::PageSize::small);
    const std::uint64_t agreed = run.superslab->huge.load(std::memory_order_relaxed);
    if (huge && (run.opened & ~agreed) != 0) any_pages.store(true, std::memory_order_relaxed);
}
// [/open]

// The heap without what is free of the highest superslab, which may be most of it.
std::size_t heap_bytes_in_use() {
    const std::size_t heap = heap_bytes();
    const std::uint32_t count = superslab_count();
    if (count == 0) return heap;
    const std::uint64_t taken = superslab_at(count - 1).taken.load(std::memory_order_relaxed);
    return heap - std::min(heap, base::Units{base::bit_count(~taken)}.bytes());
}

// [within]
// What is not sparse, and would have huge pages where it is the first, leaves clean small ones to
// what is, if that may have them and address space is not short.
Within within(base::Units count, Use use) {
    if (rule < 27 || use == Use::sparse) return Within::all;
    const bool shared = os::options().sp_slot != 0;
    if (!shared || any_pages.load(std::memory_order_relaxed) || is_tight()) return Within::all;
    // What it would leave if it began with a page; where it will lie is not known yet.
    constexpr unsigned page = huge_pages::page_units;
    const base::Units rest{(page - count.value % page) % page};
    return huge_pages::wanted(heap_bytes_in_use(), waste_of(rest, use)) ? Within::huge
                                                                        : Within::all;
}
// [/within]

}  // namespace

Run take(base::Units count, unsigned alignment, Growth growth, Use use, base::ClassId id) {
    Request request{count, alignment, id, within(count, use)};
    Run run = take_existing(request);
    const bool found = run.superslab != nullptr;
    if (found ? run.opened == 0 : growth == Growth::refused) return run;
    os::LockGuard guard(lock);
    // Another thread may have added a superslab while this one waited; and while this one adds one,
    // others may take all of it.
    while (run.superslab == nullptr) {
        run = take_existing(request);
        if (run.superslab != nullptr) break;
        Superslab* const added = add_superslab();
        if (added != nullptr) {
            if (admits(*added, id)) run = superslab::take(*added, count, alignment);
        } else if (request.within == Within::huge) {
            any_pages.store(true, std::memory_order_relaxed);
            request.within = Within::all;
        } else {
            return run;
        }
    }
    open(run, use);
    return run;
}

void give_back(const Run& run) {
    superslab::give_back(run);
    note_room(run.superslab->index);
    if (HAK_UNLIKELY(is_tight())) unmap_if_empty(*run.superslab);
}

Slab* acquire_slab(base::ClassId id, SlabOwner& owner, Growth growth, Use use) {
    const base::SizeClass& row = base::row(id);
    const base::Units units{row.slab_units};
    const Run run = take(units, 1, growth, use, id);
    if (run.superslab == nullptr) return nullptr;
    Slab& slab = superslab::describe(run, words_of(row.blocks));
    // Fresh pages are made resident by their first refill, unless one fault brings them anyway.
    slab::format(slab, id, run.zero && !is_huge(slab) ? slab::Pages::fresh : slab::Pages::unknown);
    slab.owner.store(&owner, std::memory_order_seq_cst);
    page_map::assign(slab.start, units.bytes(), page_map::Entry::of(owner.tag, id), &slab);
    return &slab;
}

void release_slab(Slab& slab) {
    const Run run = superslab::run_of(slab);
    page_map::assign(slab.start, run.count.bytes(), page_map::Entry::of(0, base::ClassId::free),
                     nullptr);
    slab.owner.store(nullptr, std::memory_order_seq_cst);
    give_back(run);
}

// [trim]
void trim_reservation() {
    os::LockGuard guard(lock);
    reservation_bytes = base::superslab_bytes;
    const auto bytes = static_cast<std::size_t>(reservation_end - reservation_next);
    if (bytes == 0 || !os::unmap(reservation_next, bytes)) return;
    reservation_end = reservation_next;
    reserved.fetch_sub(bytes, std::memory_order_relaxed);
}
// [/trim]

std::uint32_t superslab_count() { return count_of_superslabs.load(std::memory_order_acquire); }

Superslab& superslab_at(std::uint32_t i) {
    return *page_of(i).superslabs[i % page_superslabs].load(std::memory_order_acquire);
}

std::size_t purge(std::uint32_t i, Extent extent) {
    Superslab& superslab = superslab_at(i);
    if (superslab::purgeable(superslab, extent) == 0) return 0;
    // Under the lock, since a purge takes free units for a moment: where the kernel refuses more,
    // stage 3 would find nothing else and waits for them.
    os::LockGuard guard(lock);
    const std::size_t purged = superslab::purge(superslab, extent);
    // While the purge held the units, a searcher may have taken the superslab for full.
    note_room(i);
    return purged;
}

void renew_room() {
    for (std::uint32_t i = 0; i < superslab_count(); i++) {
        if (superslab_at(i).taken.load(std::memory_order_relaxed) != ~std::uint64_t{0})
            note_room(i);
    }
}

std::size_t purge_within(Slab& slab) {
    std::size_t purged = 0;
    if (is_huge(slab)) {
        const bool may_have_page =
            slab.stale && slab.free_count * slab.block_bytes >= base::page_bytes;
        if (!may_have_page) return 0;
        os::LockGuard guard(lock);
        purged = superslab::break_up(superslab::run_of(slab));
        // While that held the free units, a searcher may have taken the superslab for full.
        note_room(slab.superslab->index);
    }
    return purged + slab::purge_free_pages(slab);
}

bool is_huge(Slab& slab) {
    const Run run = superslab::run_of(slab);
    return (run.superslab->huge.load(std::memory_order_relaxed) & run.bits()) != 0;
}

std::size_t mapped_bytes() {
    const std::size_t without = vacant.load(std::memory_order_relaxed);
    const std::size_t all = count_of_superslabs.load(std::memory_order_relaxed);
    return (all - std::min(all, without)) * base::superslab_bytes;
}

void note_mapped(std::ptrdiff_t bytes) {
    beside.fetch_add(static_cast<std::size_t>(bytes), std::memory_order_relaxed);
}

std::size_t noted_bytes() { return beside.load(std::memory_order_relaxed); }

std::size_t heap_bytes() { return mapped_bytes() + noted_bytes(); }

bool is_tight(std::size_t others) { return mapped_bytes() + others > limit() / 2; }

bool is_sparse() {
    const std::uint32_t count = superslab_count();
    std::uint64_t taken = 0;
    for (std::uint32_t i = 0; i < count; i++) {
        const Superslab& superslab = superslab_at(i);
        if (superslab.start.load(std::memory_order_relaxed) == nullptr) continue;
        taken += base::bit_count(superslab.taken.load(std::memory_order_relaxed));
    }
    const std::uint32_t mapped = count - vacant.load(std::memory_order_relaxed);
    return taken <= std::uint64_t{mapped} * base::superslab_units / 2;
}

std::size_t reserved_bytes() { return reserved.load(std::memory_order_relaxed); }

const char* validate() {
    os::LockGuard guard(lock);  // so that no purge moves units between generations
    for (std::uint32_t i = 0; i < superslab_count(); i++) {
        if (const char* const broken = superslab::validate(superslab_at(i))) return broken;
        // Whoever frees units sets the bit soon after; it may be on its way.
        for (unsigned looks = 0; is_hidden(i); looks++) {
            if (looks == hidden_looks_max) return "shared_pool I1";
            os::sleep_milliseconds(1);
        }
    }
    return nullptr;
}

os::FutexLock& fork_lock() { return lock; }

}  // namespace hakmem::back::shared_pool
