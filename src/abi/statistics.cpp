#include "abi/statistics.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>

#include "back/shared_pool.hpp"
#include "base/lock_rank.hpp"
#include "base/size_class.hpp"
#include "base/units.hpp"
#include "front/thread_heap.hpp"
#include "middle/ledger.hpp"
#include "middle/orphan_heaps.hpp"
#include "os/futex_lock.hpp"
#include "os/lock_counts.hpp"
#include "os/virtual_memory.hpp"

namespace hakmem::abi {

namespace {

using middle::Ledger;
using os::Text;

std::uint64_t value(const std::atomic<std::uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
}

std::uint64_t system_calls() {
    const os::MemoryCounters& c = os::memory_counters();
    return value(c.map) + value(c.protect) + value(c.unmap) + value(c.remap) + value(c.purge) +
           value(c.prefer) + value(c.populate) + os::lock_waits();
}

// One figure of the report: the word that JSON has for it, the words that people read.
struct Figure {
    const char* key;
    const char* words;
    std::uint64_t amount;
};

// What all magazines of a class did, over all heaps.
front::ClassStatistics class_statistics(base::ClassId id) {
    front::ClassStatistics sum{};
    for (middle::HeapNode* heap = middle::orphan_heaps::newest(); heap != nullptr;
         heap = heap->older) {
        const auto one = static_cast<front::ThreadHeap*>(heap)->statistics(id);
        sum.refills += one.refills;
        sum.flushes += one.flushes;
        sum.capacity = std::max(sum.capacity, one.capacity);
    }
    return sum;
}

// Calls a function for each class that has or had anything to do.
template <typename Visit>
void for_each_used_class(const Ledger& ledger, Visit visit) {
    for (unsigned c = 1; c < base::class_count; c++) {
        const base::ClassId id{static_cast<std::uint8_t>(c)};
        const front::ClassStatistics statistics = class_statistics(id);
        if (ledger.classes[c].slabs == 0 && statistics.refills == 0) continue;
        visit(c, ledger.classes[c], statistics);
    }
}

// Calls a function for each rank whose locks were taken; for none where locks are not counted.
template <typename Visit>
void for_each_counted_lock(Visit visit) {
    for (unsigned i = 0; i < base::lock_ranks; i++) {
        const os::LockCounts& counts = os::lock_counts(static_cast<base::LockRank>(i));
        if (value(counts.taken) != 0) visit(base::lock_rank_names[i], counts);
    }
}

constexpr unsigned terms = 6;

// [terms]
void figures_of(const Ledger& l, Figure (&memory)[terms + 1]) {
    const Figure rows[] = {{"live", "live: held by the program", l.live},
                           {"cached", "cached in magazines and pending frees", l.cached},
                           {"free_in_slabs", "free in slabs that are in use", l.free_in_slabs},
                           {"slack", "slack at the ends of slabs", l.slack},
                           {"dirty", "dirty: free, not yet given back", l.dirty},
                           {"metadata", "metadata", l.metadata},
                           {"resident", "resident", l.resident()}};
    std::copy(std::begin(rows), std::end(rows), memory);
}
// [/terms]

constexpr unsigned activity_rows = 15;

void activity_of(const Ledger& l, Figure (&activity)[activity_rows]) {
    const os::MemoryCounters& c = os::memory_counters();
    const Figure rows[] = {
        {"live_blocks", "live blocks", l.live_blocks},
        {"live_bytes", "their bytes, touched or not", l.live_bytes},
        {"large_blocks", "live blocks above the small classes", l.large_blocks},
        {"superslabs", "superslabs of 4 MiB", l.superslabs},
        {"mapped", "bytes mapped", l.mapped},
        {"reserved", "bytes of address space reserved", l.reserved},
        {"heaps", "thread heaps", middle::orphan_heaps::count()},
        {"heaps_parked", "parked ones among them", middle::orphan_heaps::parked_count()},
        {"purged", "bytes given back by purging", value(c.purged_bytes)},
        {"mmap_calls", "mmap calls", value(c.map)},
        {"mprotect_calls", "mprotect calls", value(c.protect)},
        {"munmap_calls", "munmap calls", value(c.unmap)},
        {"mremap_calls", "mremap calls", value(c.remap)},
        {"madvise_calls", "madvise calls", value(c.purge) + value(c.prefer) + value(c.populate)},
        {"lock_waits", "times that a thread waited for a lock", os::lock_waits()}};
    std::copy(std::begin(rows), std::end(rows), activity);
}

// Every line is prefixed, so that a report can be told from the program's own output.
constexpr char line_start[] = "hakmem: ";
constexpr unsigned number_width = 16;

void write_text(const Ledger& ledger, Text& out) {
    Figure memory[terms + 1];
    Figure activity[activity_rows];
    figures_of(ledger, memory);
    activity_of(ledger, activity);
    out << line_start << "report of version " << HAKMEM_PROJECT_VERSION << '\n';
    out << line_start << "  resident memory, bytes\n";
    for (const Figure& figure : memory) {
        const bool sum = &figure == &memory[terms];
        out << line_start << (sum ? "  = " : "    ");
        out.column(figure.amount, number_width) << "  " << figure.words << '\n';
    }
    out << line_start << "  heap\n";
    for (const Figure& figure : activity) {
        out << line_start << "    ";
        out.column(figure.amount, number_width) << "  " << figure.words << '\n';
    }
    out << line_start
        << "  class   bytes    slabs        live    cached      free     refills     flushes  "
           "capacity\n";
    for_each_used_class(ledger, [&out](unsigned c, const middle::LedgerClass& row,
                                       const front::ClassStatistics& statistics) {
        out << line_start;
        out.column(c, 7).column(base::size_classes[c].block_bytes, 8).column(row.slabs, 9);
        out.column(row.live_blocks, 12).column(row.cached_blocks, 10).column(row.free_blocks, 10);
        out.column(statistics.refills, 12).column(statistics.flushes, 12);
        out.column(statistics.capacity, 10) << '\n';
    });
    bool first = true;
    for_each_counted_lock([&](const char* name, const os::LockCounts& counts) {
        if (first) {
            out << line_start << "  locks\n";
            out << line_start << "       taken       contended           slept  lock\n";
        }
        out << line_start;
        out.column(value(counts.taken), 12).column(value(counts.contended), 16);
        out.column(value(counts.slept), 16) << "  " << name << '\n';
        first = false;
    });
}

void write_members(Text& out, const Figure* figures, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        out << (i == 0 ? "\"" : ", \"") << figures[i].key << "\": " << figures[i].amount;
    }
}

void write_json(const Ledger& ledger, Text& out) {
    Figure memory[terms + 1];
    Figure activity[activity_rows];
    figures_of(ledger, memory);
    activity_of(ledger, activity);
    out << "{\"hakmem\": \"" << HAKMEM_PROJECT_VERSION << "\", \"memory\": {";
    write_members(out, memory, terms + 1);
    out << "}, \"heap\": {";
    write_members(out, activity, activity_rows);
    out << "}, \"classes\": [";
    bool first = true;
    for_each_used_class(ledger, [&](unsigned c, const middle::LedgerClass& row,
                                    const front::ClassStatistics& statistics) {
        const Figure figures[] = {{"class", "", c},
                                  {"block_bytes", "", base::size_classes[c].block_bytes},
                                  {"slabs", "", row.slabs},
                                  {"live_blocks", "", row.live_blocks},
                                  {"cached_blocks", "", row.cached_blocks},
                                  {"free_blocks", "", row.free_blocks},
                                  {"refills", "", statistics.refills},
                                  {"flushes", "", statistics.flushes},
                                  {"capacity", "", statistics.capacity}};
        out << (first ? "{" : ", {");
        write_members(out, figures, static_cast<unsigned>(std::size(figures)));
        out << '}';
        first = false;
    });
    out << "], \"locks\": [";
    first = true;
    for_each_counted_lock([&](const char* name, const os::LockCounts& counts) {
        const Figure figures[] = {{"taken", "", value(counts.taken)},
                                  {"contended", "", value(counts.contended)},
                                  {"slept", "", value(counts.slept)}};
        out << (first ? "{" : ", {") << "\"lock\": \"" << name << "\", ";
        write_members(out, figures, static_cast<unsigned>(std::size(figures)));
        out << '}';
        first = false;
    });
    out << "]}\n";
}

}  // namespace

bool write_report(hakmem_report_format format, os::Text& out) {
    Ledger ledger;
    if (!middle::ledger::take(ledger)) return false;
    (format == HAKMEM_REPORT_JSON ? write_json : write_text)(ledger, out);
    return true;
}

bool fill_statistics(hakmem_statistics& out) {
    Ledger l;
    if (!middle::ledger::take(l)) return false;
    const os::MemoryCounters& c = os::memory_counters();
    out = {l.live,
           l.cached,
           l.free_in_slabs,
           l.slack,
           l.dirty,
           l.metadata,
           l.resident(),
           l.mapped,
           l.reserved,
           l.live_bytes,
           l.live_blocks,
           middle::orphan_heaps::count(),
           middle::orphan_heaps::parked_count(),
           value(c.purged_bytes),
           value(c.purge),
           system_calls()};
    return true;
}

struct mallinfo2 mallinfo_of_heap() {
    struct mallinfo2 info {};
    Ledger l;
    if (!middle::ledger::take(l)) return info;
    std::uint64_t free_blocks = 0;
    for (const middle::LedgerClass& row : l.classes) free_blocks += row.free_blocks;
    info.arena = l.mapped - l.mapping_bytes;
    info.ordblks = free_blocks;
    info.hblks = l.mappings;
    info.hblkhd = l.mapping_bytes;
    info.uordblks = l.live_bytes - l.mapping_bytes;
    info.fordblks = info.arena - std::min<std::uint64_t>(info.arena, info.uordblks);
    info.keepcost = l.dirty;
    return info;
}

struct mallinfo short_mallinfo_of_heap() {
    const struct mallinfo2 wide = mallinfo_of_heap();
    const auto narrow = [](std::size_t figure) {
        return static_cast<int>(std::min<std::size_t>(figure, INT_MAX));
    };
    struct mallinfo info {};
    info.arena = narrow(wide.arena);
    info.ordblks = narrow(wide.ordblks);
    info.hblks = narrow(wide.hblks);
    info.hblkhd = narrow(wide.hblkhd);
    info.uordblks = narrow(wide.uordblks);
    info.fordblks = narrow(wide.fordblks);
    info.keepcost = narrow(wide.keepcost);
    return info;
}

int write_malloc_info(FILE* stream) {
    Ledger l;
    if (!middle::ledger::take(l)) {
        errno = ENOMEM;
        return -1;
    }
    // The stream may allocate; no lock of the heap is held here.
    Text out([](const char* text, std::size_t length,
                void* file) { fwrite(text, 1, length, static_cast<FILE*>(file)); },
             stream);
    out << "<malloc version=\"hakmem-" << HAKMEM_PROJECT_VERSION << "\">\n";
    for_each_used_class(
        l, [&out](unsigned c, const middle::LedgerClass& row, const front::ClassStatistics&) {
            out << "<class size=\"" << base::size_classes[c].block_bytes << "\" slabs=\""
                << row.slabs << "\" live=\"" << row.live_blocks << "\" cached=\""
                << row.cached_blocks << "\" free=\"" << row.free_blocks << "\"/>\n";
        });
    Figure memory[terms + 1];
    figures_of(l, memory);
    for (const Figure& figure : memory) {
        out << "<memory type=\"" << figure.key << "\" size=\"" << figure.amount << "\"/>\n";
    }
    out << "</malloc>\n";
    out.flush();
    return ferror(stream) != 0 ? -1 : 0;
}

}  // namespace hakmem::abi
