#include "middle/ledger.hpp"

#include <algorithm>
#include <atomic>

#include "back/large.hpp"
#include "back/meta_arena.hpp"
#include "back/page_map.hpp"
#include "back/shared_pool.hpp"
#include "back/slab.hpp"
#include "back/superslab.hpp"
#include "base/attributes.hpp"
#include "base/bits.hpp"
#include "base/units.hpp"
#include "middle/orphan_heaps.hpp"
#include "os/futex_lock.hpp"
#include "os/virtual_memory.hpp"

namespace hakmem::middle::ledger {

namespace {

using back::Slab;
using back::Superslab;

constexpr std::size_t unit_pages = base::unit_bytes / base::page_bytes;
constexpr std::size_t superslab_pages = base::superslab_bytes / base::page_bytes;

// Working memory for one superslab.
struct Sheet {
    unsigned char resident[superslab_pages];  // bit 0: the page is resident
    std::uint64_t cached[base::superslab_units][back::slab_words_max];  // by first unit
};

// The working memory of a walk.
class Sheets {
public:
    Sheets()
        : count_(back::shared_pool::superslab_count()),
          bytes_(
              base::round_up(std::max<std::size_t>(count_, 1) * sizeof(Sheet), base::page_bytes)),
          sheets_(static_cast<Sheet*>(os::map(bytes_))) {}
    ~Sheets() {
        if (sheets_ != nullptr) os::unmap(sheets_, bytes_);
    }
    Sheets(const Sheets&) = delete;
    Sheets& operator=(const Sheets&) = delete;

    bool usable() const { return sheets_ != nullptr; }
    std::uint32_t count() const { return count_; }
    Sheet& operator[](std::uint32_t i) { return sheets_[i]; }

    // The word of cached bits that a block belongs to, or null if the superslab is younger than the
    // walk.
    std::uint64_t* cached_word(const Slab& slab, unsigned word) {
        if (slab.superslab == nullptr || slab.superslab->index >= count_) return nullptr;
        const auto unit = static_cast<unsigned>(&slab - slab.superslab->slabs);
        return &sheets_[slab.superslab->index].cached[unit][word];
    }

private:
    std::uint32_t count_;
    std::size_t bytes_;
    Sheet* sheets_;
};

void mark_cached(const void* block, void* context) {
    const base::ClassId id = back::page_map::entry_of(block).class_id();
    const Slab* const slab = base::is_small(id) ? back::page_map::slab_of(block) : nullptr;
    back::BlockIndex index{};
    if (slab == nullptr || !back::slab::index_of(*slab, block, index)) return;
    std::uint64_t* const word = static_cast<Sheets*>(context)->cached_word(*slab, index.word());
    if (word != nullptr) *word |= index.bit();
}

void mark_all_cached(Sheets& sheets) {
    for (HeapNode* heap = orphan_heaps::newest(); heap != nullptr; heap = heap->older) {
        os::LockGuard guard(heap->lock);
        heap->operations.for_each_cached(*heap, mark_cached, &sheets);
    }
}

// [spans]
// Calls a function for each slab of a superslab, its owner's lock being held; one for each large
// block; and one for each free unit. What is at a unit is read from the page map alone: a record
// may come into other use at any time unless its owner's lock is held.
template <typename VisitSlab, typename VisitLarge, typename VisitFree>
void for_each_span(Superslab& superslab, VisitSlab visit_slab, VisitLarge visit_large,
                   VisitFree visit_free) {
    char* const first = superslab.start.load(std::memory_order_relaxed);
    if (first == nullptr) return;  // it has no memory
    for (unsigned unit = 0; unit < base::superslab_units;) {
        char* const start = first + base::Units{unit}.bytes();
        const base::ClassId id = back::page_map::entry_of(start).class_id();
        Slab* const slab = back::page_map::slab_of(start);
        if (slab == nullptr) {
            visit_free(unit++);
        } else if (base::is_small(id)) {
            unit += base::row(id).slab_units;
            auto* const owner = static_cast<HeapNode*>(slab->owner.load(std::memory_order_acquire));
            if (owner == nullptr) continue;
            os::LockGuard guard(owner->lock);
            // It may have been released, or handed to another heap, before the lock was had.
            if (slab->owner.load(std::memory_order_relaxed) == owner) visit_slab(*slab);
        } else {
            unsigned units = 1;
            while (unit + units < base::superslab_units &&
                   back::page_map::slab_of(start + base::Units{units}.bytes()) == slab) {
                units++;
            }
            visit_large(start, base::Units{units}.bytes());
            unit += units;
        }
    }
}
// [/spans]

// [residency]
// How many bytes between two offsets into a superslab are resident.
std::size_t resident_bytes(const Sheet& sheet, std::size_t begin, std::size_t end) {
    std::size_t bytes = 0;
    while (begin < end) {
        const std::size_t page = begin / base::page_bytes;
        const std::size_t stop = std::min(end, (page + 1) * base::page_bytes);
        if ((sheet.resident[page] & 1) != 0) bytes += stop - begin;
        begin = stop;
    }
    return bytes;
}
// [/residency]

// How many bytes of some mapped range are resident.
std::size_t resident_range(const void* start, std::size_t bytes) {
    unsigned char pages[256];
    std::size_t resident = 0;
    const char* at = static_cast<const char*>(start);
    for (std::size_t left = bytes / base::page_bytes; left > 0;) {
        const std::size_t part = std::min(left, sizeof pages);
        if (!os::residency(at, part * base::page_bytes, pages)) break;
        for (std::size_t i = 0; i < part; i++) resident += pages[i] & 1u;
        at += part * base::page_bytes;
        left -= part;
    }
    return resident * base::page_bytes;
}

enum class BlockState : std::uint8_t { live, cached, free };

// Calls a function for each block of a slab with its state.
template <typename Visit>
void for_each_block(const Slab& slab, Sheets& sheets, Visit visit) {
    for (unsigned word = 0; word < slab.word_count(); word++) {
        const std::uint64_t free =
            slab.free_bits[word] | slab.remote_bits(word).load(std::memory_order_relaxed);
        const std::uint64_t* const marks = sheets.cached_word(slab, word);
        const std::uint64_t cached = (marks != nullptr ? *marks : 0) & ~free;
        const unsigned first = word * base::word_bits;
        const unsigned count = std::min(slab.block_count - first, base::word_bits);
        for (unsigned i = 0; i < count; i++) {
            const std::uint64_t bit = std::uint64_t{1} << i;
            visit(first + i, (free & bit) != 0     ? BlockState::free
                             : (cached & bit) != 0 ? BlockState::cached
                                                   : BlockState::live);
        }
    }
}

// [attribute]
std::size_t offset_in_superslab(const void* address) {
    return reinterpret_cast<std::uintptr_t>(address) % base::superslab_bytes;
}

void enter_slab(Ledger& l, Sheets& sheets, const Slab& slab) {
    const Sheet& sheet = sheets[slab.superslab->index];
    const std::size_t offset = offset_in_superslab(slab.start);
    const std::size_t end = offset + base::Units{slab.unit_count}.bytes();
    LedgerClass& row = l.classes[base::index(slab.class_id)];
    row.slabs++;
    for_each_block(slab, sheets, [&](unsigned i, BlockState state) {
        const std::size_t begin = offset + i * slab.block_bytes;
        const std::size_t resident = resident_bytes(sheet, begin, begin + slab.block_bytes);
        switch (state) {
            case BlockState::live:
                l.live += resident;
                l.live_bytes += slab.block_bytes;
                l.live_blocks++;
                row.live_blocks++;
                break;
            case BlockState::cached:
                l.cached += resident;
                row.cached_blocks++;
                break;
            case BlockState::free:
                l.free_in_slabs += resident;
                row.free_blocks++;
                break;
        }
    });
    l.slack += resident_bytes(sheet, offset + slab.block_count * slab.block_bytes, end);
}
// [/attribute]

void enter_superslab(Ledger& l, Sheets& sheets, std::uint32_t i) {
    Superslab& superslab = back::shared_pool::superslab_at(i);
    Sheet& sheet = sheets[i];
    char* const start = superslab.start.load(std::memory_order_relaxed);
    if (start == nullptr || !os::residency(start, base::superslab_bytes, sheet.resident)) return;
    l.mapped += base::superslab_bytes;
    for_each_span(
        superslab, [&](const Slab& slab) { enter_slab(l, sheets, slab); },
        [&](const char* block, std::size_t bytes) {
            const std::size_t offset = offset_in_superslab(block);
            l.live += resident_bytes(sheet, offset, offset + bytes);
            l.live_bytes += bytes;
            l.live_blocks++;
            l.large_blocks++;
        },
        [&](unsigned unit) {
            const std::size_t offset = base::Units{unit}.bytes();
            l.dirty += resident_bytes(sheet, offset, offset + unit_pages * base::page_bytes);
        });
}

void enter_mapping(const back::large::MappingView& mapping, void* context) {
    Ledger& l = *static_cast<Ledger*>(context);
    const std::size_t resident = resident_range(mapping.start, mapping.bytes);
    l.mapped += mapping.bytes;
    l.reserved += mapping.bytes;
    if (mapping.cached) {
        l.dirty += resident;
        return;
    }
    l.live += resident;
    l.live_bytes += mapping.bytes;
    l.live_blocks++;
    l.large_blocks++;
    l.mappings++;
    l.mapping_bytes += mapping.bytes;
}

void enter_metadata(const void* start, std::size_t bytes, void* context) {
    Ledger& l = *static_cast<Ledger*>(context);
    l.metadata += resident_range(start, bytes);
    l.mapped += bytes;
    l.reserved += bytes;
}

bool is_large(const void* pointer) {
    return back::page_map::entry_of(pointer).class_id() == base::ClassId::large;
}

}  // namespace

bool take(Ledger& snapshot) {
    snapshot = Ledger{};
    Sheets sheets;
    if (!sheets.usable()) return false;
    mark_all_cached(sheets);
    snapshot.superslabs = sheets.count();
    snapshot.reserved = back::shared_pool::reserved_bytes();
    for (std::uint32_t i = 0; i < sheets.count(); i++) enter_superslab(snapshot, sheets, i);
    back::large::for_each_mapping(enter_mapping, &snapshot);
    back::meta_arena::for_each_chunk(enter_metadata, &snapshot);
    back::page_map::for_each_part(enter_metadata, &snapshot);
    return true;
}

bool walk(BlockVisitor visitor, void* context) {
    Sheets sheets;
    if (!sheets.usable()) return false;
    mark_all_cached(sheets);
    bool going = true;
    for (std::uint32_t i = 0; i < sheets.count() && going; i++) {
        for_each_span(
            back::shared_pool::superslab_at(i),
            [&](const Slab& slab) {
                for_each_block(slab, sheets, [&](unsigned block, BlockState state) {
                    if (!going || state != BlockState::live) return;
                    going = visitor(slab.start + block * slab.block_bytes, slab.block_bytes,
                                    slab.class_id, context);
                });
            },
            [&](const char* block, std::size_t bytes) {
                // A recorded phase reads the header at the start of the block. Under the pool's
                // lock no superslab is unmapped, and an entry says what is mapped.
                os::LockGuard guard(back::shared_pool::fork_lock());
                if (!going || !is_large(block) || !is_large(block + bytes - 1)) return;
                going = visitor(block, bytes, base::ClassId::large, context);
            },
            [](unsigned) {});
    }
    struct Pass {
        BlockVisitor visitor;
        void* context;
        bool going;
    } pass{visitor, context, going};
    back::large::for_each_mapping(
        [](const back::large::MappingView& mapping, void* pass_context) {
            Pass& p = *static_cast<Pass*>(pass_context);
            if (mapping.cached || !p.going) return;
            p.going = p.visitor(mapping.start, mapping.bytes, base::ClassId::large, p.context);
        },
        &pass);
    return true;
}

}  // namespace hakmem::middle::ledger
