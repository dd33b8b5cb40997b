#include "back/superslab.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "back/huge_pages.hpp"
#include "back/meta_arena.hpp"
#include "back/page_map.hpp"
#include "base/bits.hpp"
#include "os/virtual_memory.hpp"

namespace hakmem::back::superslab {

namespace {

constexpr std::size_t word_bytes = sizeof(std::uint64_t);
constexpr std::size_t slabs_bytes = base::superslab_units * sizeof(Slab);
constexpr unsigned page_slabs = base::page_bytes / sizeof(Slab);
static_assert(slabs_bytes % base::page_bytes == 0, "bitmaps begin on a page of their own");
static_assert(base::superslab_units % huge_pages::page_units == 0,
              "no huge page serves two superslabs");

// [bitmaps]
// Bitmaps lie with those of about their length, so that short ones share pages. Lengths are powers
// of two; the shortest is a cache line, which no two slabs share. A library to measure against says
// otherwise (src/CMakeLists.txt).
#ifndef HAKMEM_SHORTEST_BITMAP
#define HAKMEM_SHORTEST_BITMAP (base::cache_line_bytes / word_bytes)
#endif
constexpr unsigned shortest_bitmap = HAKMEM_SHORTEST_BITMAP;
static_assert(shortest_bitmap >= base::cache_line_bytes / word_bytes &&
                  shortest_bitmap <= slab_words_max && std::has_single_bit(shortest_bitmap),
              "two slabs share no cache line, and each bitmap has a place");

// A page has the free bits of some units, and the next one their remote bits.
constexpr unsigned page_words = remote_words_ahead;

// How many units have their bitmaps on one pair of pages.
constexpr unsigned pair_units(unsigned length) { return page_words / length; }

// Bytes of all bitmaps that are shorter than a length.
constexpr std::size_t bitmaps_bytes(unsigned length) {
    std::size_t bytes = 0;
    for (unsigned shorter = shortest_bitmap; shorter < length; shorter *= 2) {
        bytes += base::superslab_units / pair_units(shorter) * 2 * base::page_bytes;
    }
    return bytes;
}
constexpr std::size_t all_bitmaps_bytes = bitmaps_bytes(2 * slab_words_max);

std::uint64_t* bits_of(const Superslab& superslab, unsigned unit, unsigned words) {
    const unsigned length = std::max(std::bit_ceil(words), shortest_bitmap);
    char* const bitmaps =
        reinterpret_cast<char*>(superslab.slabs) + slabs_bytes + bitmaps_bytes(length);
    auto* const pair = reinterpret_cast<std::uint64_t*>(bitmaps) +
                       unit / pair_units(length) * std::size_t{2} * page_words;
    return pair + unit % pair_units(length) * std::size_t{length};
}
// [/bitmaps]

// Units that were freed and not purged since.
std::uint64_t dirty_units(const Superslab& superslab) {
    return superslab.recent.load(std::memory_order_relaxed) |
           superslab.old.load(std::memory_order_relaxed);
}

// Clears the dirty bits of units that the caller has taken, and says whether there were any.
bool clear_dirty(Superslab& superslab, std::uint64_t bits) {
    if ((dirty_units(superslab) & bits) == 0) return false;
    superslab.recent.fetch_and(~bits, std::memory_order_relaxed);
    superslab.old.fetch_and(~bits, std::memory_order_relaxed);
    return true;
}

// Marks units that the caller has taken. Clean ones of a huge page are as resident as dirty ones.
void soil(Superslab& superslab, std::uint64_t bits) {
    const std::uint64_t old = superslab.old.load(std::memory_order_relaxed);
    superslab.recent.fetch_or(bits & ~old, std::memory_order_relaxed);
}

// Takes those of some units that are free. Nobody else gets them before they are put back.
std::uint64_t take_free(Superslab& superslab, std::uint64_t bits) {
    return bits & ~superslab.taken.fetch_or(bits, std::memory_order_acquire);
}

// What was done to the units is done before, and the search that finds a superslab full has one
// order with this: it looks once more after it has cleared the room bit (back/shared_pool).
void put_back(Superslab& superslab, std::uint64_t bits) {
    superslab.taken.fetch_and(~bits, std::memory_order_seq_cst);
}

// Purges runs of units that the caller has taken. What the kernel refuses is dirty then.
std::size_t purge_taken(Superslab& superslab, std::uint64_t bits) {
    std::size_t purged = 0;
    while (bits != 0) {
        Run run{&superslab, 0, base::Units{0}, false};
        run.count.value = base::take_run(bits, run.first);
        if (!os::purge(run.start(), run.count.bytes())) {
            soil(superslab, run.bits());
            continue;
        }
        clear_dirty(superslab, run.bits());
        purged += run.count.bytes();
    }
    return purged;
}

// ---- huge pages -------------------------------------------------------------------------------

// Of some units all those that share a huge page with one of them.
std::uint64_t whole_huge_pages(std::uint64_t units) {
    std::uint64_t whole = 0;
    for (unsigned first = 0; first < base::superslab_units; first += huge_pages::page_units) {
        const std::uint64_t page = base::bit_run(first, huge_pages::page_units);
        if ((units & page) != 0) whole |= page;
    }
    return whole;
}

// Of the huge pages that a run is in those of which nothing was taken before it and nothing is
// dirty. While others take units there, or purge them, the answer may be wrong either way. That is
// safe: all that depends on it is in which pages memory comes.
std::uint64_t opened_by(const Run& run, std::uint64_t taken_before) {
    const std::uint64_t touched = taken_before | dirty_units(*run.superslab);
    return whole_huge_pages(run.bits()) & ~whole_huge_pages(touched);
}

// Free units of small pages in use that were never used since the page was opened, or were purged
// since. A page that is being opened passes for what it was last, until `prefer` says otherwise.
std::uint64_t clean_small_units(const Superslab& superslab, std::uint64_t taken) {
    const std::uint64_t dirty = dirty_units(superslab);
    return whole_huge_pages(taken | dirty) &
           ~(superslab.huge.load(std::memory_order_relaxed) | taken | dirty);
}

// [huge]
// The free units of huge pages that are partly in use: clean as well as dirty ones are resident.
std::uint64_t left_over(const Superslab& superslab) {
    const std::uint64_t taken = superslab.taken.load(std::memory_order_relaxed);
    const std::uint64_t huge = superslab.huge.load(std::memory_order_relaxed);
    return whole_huge_pages(taken & huge) & huge & ~taken;
}

// Which of the free units that the caller has taken shall be given back, if some are due. Clean
// ones go along: in a huge page they are as resident as their neighbours.
std::uint64_t choose(Superslab& superslab, std::uint64_t mine, std::uint64_t due, bool all) {
    const std::uint64_t huge = superslab.huge.load(std::memory_order_relaxed);
    std::uint64_t chosen = mine & due & ~huge;
    for (unsigned first = 0; first < base::superslab_units; first += huge_pages::page_units) {
        const std::uint64_t page = base::bit_run(first, huge_pages::page_units);
        const std::uint64_t free = mine & page & huge;
        if ((free & due) == 0) continue;
        if (free != page) {
            if (!all && base::bit_count(free) < huge_pages::page_units / 2) continue;
            prefer(superslab, page, os::PageSize::small);
        }
        chosen |= free;
    }
    return chosen;
}
// [/huge]

// [records]
// Gives a page of slab records back, unless one of them has its flag set: then that record stands
// in a stack of notices, or a thread with a late notice is about to read the owner; zeroing it
// would let two threads push the same record (middle/remote_bits, rule 2). So all flags are claimed
// first. Who finds our flag leaves, and rightly so: all blocks are back. The kernel takes one page
// or leaves it, so the flags that we put down again are those that we claimed.
std::size_t purge_records_page(Slab* records) {
    unsigned claimed = 0;
    while (claimed < page_slabs &&
           !records[claimed].dirty.exchange(true, std::memory_order_acq_rel)) {
        claimed++;
    }
    if (claimed == page_slabs && os::purge(records, base::page_bytes)) return base::page_bytes;
    while (claimed > 0) records[--claimed].dirty.exchange(false, std::memory_order_acq_rel);
    return 0;
}

// Of some units those whose page has nothing of other units, where so many share a page.
std::uint64_t whole_pages(std::uint64_t units, unsigned page_units) {
    std::uint64_t whole = 0;
    for (unsigned first = 0; first < base::superslab_units; first += page_units) {
        const std::uint64_t page = base::bit_run(first, page_units);
        if ((units & page) == page) whole |= page;
    }
    return whole;
}

// Gives the pages of bitmaps and slab records back that serve clean free units alone. The units are
// taken meanwhile, so that no record comes into use.
std::size_t purge_records(Superslab& superslab) {
    const std::uint64_t clean =
        ~(superslab.taken.load(std::memory_order_relaxed) | dirty_units(superslab));
    const std::uint64_t mine = take_free(superslab, clean);
    std::size_t purged = 0;
    for (unsigned length = shortest_bitmap; length <= slab_words_max; length *= 2) {
        for (std::uint64_t units = whole_pages(mine, pair_units(length)); units != 0;) {
            unsigned first = 0;
            const std::size_t bytes = base::take_run(units, first) * length * word_bytes * 2;
            if (os::purge(bits_of(superslab, first, length), bytes)) purged += bytes;
        }
    }
    for (std::uint64_t units = whole_pages(mine, page_slabs); units != 0;) {
        const unsigned first = base::lowest_bit(units);
        purged += purge_records_page(superslab.slabs + first);
        units &= ~base::bit_run(first, page_slabs);
    }
    put_back(superslab, mine);
    return purged;
}
// [/records]

}  // namespace

Superslab* create(std::uint32_t index) {
    const auto [record, pages] =
        meta_arena::allocate_both(sizeof(Superslab), slabs_bytes + all_bitmaps_bytes);
    if (record == nullptr) return nullptr;
    auto* const superslab = new (record) Superslab{};
    superslab->index = index;
    superslab->slabs = static_cast<Slab*>(pages);
    superslab->taken.store(~std::uint64_t{0}, std::memory_order_relaxed);
    return superslab;
}

void occupy(Superslab& superslab, char* start) {
    page_map::assign(start, base::superslab_bytes, page_map::Entry::of(0, base::ClassId::free),
                     nullptr);
    superslab.start.store(start, std::memory_order_relaxed);
    superslab.taken.store(0, std::memory_order_seq_cst);
}

char* vacate(Superslab& superslab) {
    std::uint64_t none = 0;
    if (!superslab.taken.compare_exchange_strong(none, ~std::uint64_t{0},
                                                 std::memory_order_acquire)) {
        return nullptr;
    }
    clear_dirty(superslab, ~std::uint64_t{0});
    char* const start = superslab.start.exchange(nullptr, std::memory_order_relaxed);
    // The entries go first: once unmapped, the addresses may be somebody else's at once.
    page_map::assign(start, base::superslab_bytes, page_map::Entry{0}, nullptr);
    return start;
}

Slab& describe(const Run& run, unsigned words) {
    Slab& slab = run.superslab->slabs[run.first];
    slab.start = run.start();
    slab.superslab = run.superslab;
    slab.free_bits = bits_of(*run.superslab, run.first, words);
    slab.unit_count = static_cast<std::uint8_t>(run.count.value);
    return slab;
}

Run run_of(Slab& slab) {
    const auto first = static_cast<unsigned>(&slab - slab.superslab->slabs);
    return Run{slab.superslab, first, base::Units{slab.unit_count}, false};
}

// [take]
Run take(Superslab& superslab, base::Units count, unsigned alignment, Within within) {
    std::uint64_t taken = superslab.taken.load(std::memory_order_relaxed);
    for (;;) {
        const std::uint64_t barred =
            within == Within::all ? taken : taken | clean_small_units(superslab, taken);
        const std::uint64_t starts =
            base::run_starts(~barred, count.value) & base::aligned_bits(alignment);
        if (starts == 0) return {};
        Run run{&superslab, base::lowest_bit(starts), count, false};
        if (superslab.taken.compare_exchange_weak(
                taken, taken | run.bits(), std::memory_order_acquire, std::memory_order_relaxed)) {
            run.opened = opened_by(run, taken);
            run.zero = !clear_dirty(superslab, run.bits());
            return run;
        }
    }
}
// [/take]

bool extend(Run& run, base::Units count) {
    if (run.first + count.value > base::superslab_units) return false;
    Superslab& superslab = *run.superslab;
    const std::uint64_t more = base::bit_run(run.first, count.value) & ~run.bits();
    std::uint64_t taken = superslab.taken.load(std::memory_order_relaxed);
    do {
        if ((taken & more) != 0) return false;
    } while (!superslab.taken.compare_exchange_weak(taken, taken | more, std::memory_order_acquire,
                                                    std::memory_order_relaxed));
    clear_dirty(superslab, more);
    run.count = count;
    return true;
}

// [give_back]
void give_back(const Run& run) {
    run.superslab->recent.fetch_or(run.bits(), std::memory_order_relaxed);
    put_back(*run.superslab, run.bits());
}
// [/give_back]

void prefer(Superslab& superslab, std::uint64_t units, os::PageSize size) {
    // Those of which that was not said before.
    const std::uint64_t huge = superslab.huge.load(std::memory_order_relaxed);
    std::uint64_t others = size == os::PageSize::huge ? units & ~huge : units & huge;
    while (others != 0) {
        Run pages{&superslab};
        pages.count.value = base::take_run(others, pages.first);
        if (!os::prefer_pages(pages.start(), pages.count.bytes(), size)) continue;
        superslab.huge.fetch_xor(pages.bits(), std::memory_order_relaxed);
    }
}

std::size_t break_up(const Run& run) {
    Superslab& superslab = *run.superslab;
    const std::uint64_t broken =
        whole_huge_pages(run.bits()) & superslab.huge.load(std::memory_order_relaxed);
    prefer(superslab, broken, os::PageSize::small);
    const std::uint64_t mine = take_free(superslab, broken);
    const std::size_t purged = purge_taken(superslab, mine);
    put_back(superslab, mine);
    return purged;
}

std::uint64_t purgeable(const Superslab& superslab, Extent extent) {
    const std::uint64_t dirty = dirty_units(superslab);
    return extent == Extent::all ? dirty | left_over(superslab) : dirty;
}

// [purge]
std::size_t purge(Superslab& superslab, Extent extent) {
    const bool all = extent != Extent::due;
    const std::uint64_t recent = superslab.recent.load(std::memory_order_relaxed);
    std::uint64_t due = superslab.old.load(std::memory_order_relaxed);
    std::size_t purged = 0;
    if (all) due |= purgeable(superslab, extent);
    if (due != 0) {
        // Take the due units that are still free; only those can be purged.
        const std::uint64_t young = all ? 0 : recent;
        const std::uint64_t huge = superslab.huge.load(std::memory_order_relaxed);
        const std::uint64_t wanted = (due | whole_huge_pages(due & huge)) & ~young;
        const std::uint64_t mine = take_free(superslab, wanted);
        purged = purge_taken(superslab, choose(superslab, mine, due, all));
        put_back(superslab, mine);
        if (purged > 0) purged += purge_records(superslab);
    }
    // Let the rest age, again as the units' master: a bit that moves between the words while
    // somebody else takes its unit would let dirty memory pass for zero.
    const std::uint64_t aging = recent & ~due;
    if (aging != 0) {
        const std::uint64_t mine = take_free(superslab, aging);
        const std::uint64_t dirty =
            superslab.recent.fetch_and(~mine, std::memory_order_relaxed) & mine;
        superslab.old.fetch_or(dirty, std::memory_order_relaxed);
        put_back(superslab, mine);
    }
    return purged;
}
// [/purge]

const char* validate(const Superslab& superslab) {
    if ((superslab.recent.load(std::memory_order_relaxed) &
         superslab.old.load(std::memory_order_relaxed)) != 0) {
        return "superslab I1";
    }
    return nullptr;
}

const char* validate_record(const Slab& slab) {
    const auto unit = static_cast<unsigned>(&slab - slab.superslab->slabs);
    const bool holds = slab.free_bits == bits_of(*slab.superslab, unit, slab.word_count());
    return holds ? nullptr : "superslab I2";
}

}  // namespace hakmem::back::superslab
