/**
 * @file conformance.cpp
 * @brief The edge semantics of the contract, one row a statement, for any allocator.
 *
 * Each row runs in a child of its own: a row that crashes or hangs is a failing row and not the
 * end of the table. `--json` prints the table for the documentation, `--in-process` runs all rows
 * one after the other in this process, so that each meets the heap the others left behind.
 * The exit status is the number of rows that do not hold, 99 at most.
 */
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <wchar.h>

#include "check.hpp"
#include "entry_points.hpp"
#include "subject.hpp"
#include "support.hpp"

using namespace entry;

namespace {

constexpr std::size_t page = 4 * kib;
constexpr std::size_t unit = 64 * kib;
constexpr auto ptrdiff_max = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
constexpr std::size_t size_max = std::numeric_limits<std::size_t>::max();

/** What a row found: nothing, or the first thing that did not hold. */
struct Verdict {
    check::Line detail;
    bool held = true;

    /** Notes what did not hold. Only the first counts: the rest usually follows from it. */
    check::Line& miss(const char* condition, int line) {
        const int error = errno;
        static check::Line discarded;
        if (!held) {
            return discarded;
        }
        held = false;
        return detail.add(condition)
            .add(" (line ")
            .value(line)
            .add(", errno ")
            .value(error)
            .add(") ");
    }
};

#define NEED_AT(condition, value_text, shown)                                         \
    do {                                                                              \
        const bool holds = (condition);                                               \
        if (!holds) {                                                                 \
            verdict.miss(#condition, __LINE__).add(value_text).add(" ").value(shown); \
            return;                                                                   \
        }                                                                             \
    } while (false)
#define NEED(condition)           NEED_AT(condition, "was", false)
#define NEED_FOR(condition, size) NEED_AT(condition, "for", size)

bool aligned_to(const void* block, std::size_t alignment) {
    return reinterpret_cast<std::uintptr_t>(block) % alignment == 0;
}

bool all_zero(const void* block, std::size_t bytes) {
    const auto* const in = static_cast<const unsigned char*>(block);
    return bytes == 0 || (in[0] == 0 && std::memcmp(in, in + 1, bytes - 1) == 0);
}

/**
 * The sizes at which something may change: every size class as the allocator itself shows it
 * (the usable size of a block is the upper end of its class), and the units above, each ±1.
 */
struct Boundaries {
    std::array<std::size_t, 4096> sizes{};
    std::size_t count = 0;

    void around(std::size_t size) {
        for (const std::size_t each : {size - 1, size, size + 1}) {
            if (count < sizes.size() && (count == 0 || sizes[count - 1] < each)) {
                sizes[count++] = each;
            }
        }
    }

    Boundaries() {
        for (std::size_t size = 1; size <= unit && count < sizes.size() - 100;) {
            void* const block = c_malloc(size);
            const std::size_t usable = block == nullptr ? size : std::max(c_usable(block), size);
            c_free(block);
            around(usable);
            size = usable + 1;
        }
        for (const std::size_t size : {unit, 2 * unit, 3 * unit, mib, 2 * mib, 2 * mib + page,
                                       4 * mib - unit, 4 * mib, 4 * mib + unit, 8 * mib}) {
            around(size);
        }
    }

    const std::size_t* begin() const { return sizes.data(); }
    const std::size_t* end() const { return sizes.data() + count; }
};

const Boundaries& boundaries() {
    static const Boundaries all;
    return all;
}

/** Sizes that no block can have. */
constexpr std::array<std::size_t, 8> absurd_sizes = {
    ptrdiff_max - 1,     ptrdiff_max,     ptrdiff_max + 1, ptrdiff_max + 2,
    size_max - 2 * page, size_max - page, size_max - 1,    size_max};

/** Alignments that are no power of two. */
constexpr std::array<std::size_t, 9> crooked_alignments = {0,  3,         5,       6,       24,
                                                           48, page + 16, 3 * mib, size_max};

/** One family of malloc-like calls: each must give up on an absurd size in the same way. */
template <class Make>
void needs_enomem(Verdict& verdict, Make make) {
    for (const std::size_t size : absurd_sizes) {
        errno = 0;
        void* const block = make(size);
        NEED_FOR(block == nullptr, size);
        NEED_FOR(errno == ENOMEM, size);
    }
}

/** Blocks of one size from one entry point: writable in full, disjoint, as aligned as promised. */
template <class Make, class Release>
void needs_good_blocks(Verdict& verdict, std::size_t alignment, Make make, Release release) {
    for (const std::size_t size : boundaries()) {
        std::array<void*, 3> blocks{};
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            blocks[i] = make(size);
            NEED_FOR(blocks[i] != nullptr, size);
            NEED_FOR(aligned_to(blocks[i], alignment), size);
            NEED_FOR(c_usable(blocks[i]) >= size, size);
            pattern_fill(blocks[i], size, i + size);
        }
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            NEED_FOR(pattern_holds(blocks[i], size, i + size), size);
            release(blocks[i], size);
        }
    }
}

/** Shows one block of each allocating function of C, in sizes of every kind; use() frees it. */
template <class Use>
void for_blocks_of_every_maker(Verdict& verdict, Use use) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{100}, page, 70 * kib, 5 * mib}) {
        void* aligned = nullptr;
        NEED(c_posix_memalign(&aligned, 256, size) == 0);
        for (void* const block : {c_malloc(size), c_calloc(1, size), c_realloc(nullptr, size),
                                  c_aligned_alloc(128, size), aligned, c_memalign(512, size),
                                  c_valloc(size), c_pvalloc(size)}) {
            NEED_FOR(block != nullptr, size);
            use(block, size);
        }
    }
}

template <class Make>
void needs_bad_alloc(Verdict& verdict, Make make) {
    for (const std::size_t size : absurd_sizes) {
        bool thrown = false;
        try {
            static_cast<void>(make(size));
        } catch (const std::bad_alloc&) {
            thrown = true;
        }
        NEED_FOR(thrown, size);
    }
}

template <class Release>
void needs_errno_kept(Verdict& verdict, Release release) {
    for (const std::size_t size :
         {std::size_t{1}, std::size_t{500}, 20 * kib, 200 * kib, 3 * mib, 16 * mib}) {
        void* const block = c_malloc(size);
        NEED_FOR(block != nullptr, size);
        std::memset(block, 1, size);
        errno = 12345;
        release(block, size);
        NEED_FOR(errno == 12345, size);
    }
}

struct Row {
    const char* section;
    const char* name;
    const char* statement;
    void (*body)(Verdict&);
};

/** A weak entry point, or the one a preloaded library has, or null. */
#define OPTIONAL(weak, name) subject_optional(weak, name)

#define NEED_EXPORTED(function, name)                          \
    const auto function = OPTIONAL(entry::w_##function, name); \
    NEED(function != nullptr)

const Row rows[] = {
    // --- which library serves ------------------------------------------------------------
    {"symbols", "c_entry_points", "all entry points of malloc.h and C23 come from one library",
     [](Verdict& verdict) {
         const void* const home = subject_object_of(dlsym(RTLD_DEFAULT, "malloc"));
         for (const char* name :
              {"calloc", "realloc", "free", "aligned_alloc", "posix_memalign", "memalign", "valloc",
               "pvalloc", "malloc_usable_size", "malloc_trim", "mallinfo", "mallinfo2", "mallopt",
               "malloc_stats", "malloc_info"}) {
             const void* const symbol = dlsym(RTLD_DEFAULT, name);
             NEED_AT(symbol != nullptr, name, symbol);
             NEED_AT(subject_object_of(symbol) == home, name, symbol);
         }
         NEED(subject_object_of(reinterpret_cast<void*>(OPTIONAL(w_free_sized, "free_sized"))) ==
              home);
         NEED(subject_object_of(reinterpret_cast<void*>(
                  OPTIONAL(w_free_aligned_sized, "free_aligned_sized"))) == home);
         NEED(subject_object_of(reinterpret_cast<void*>(OPTIONAL(w_cfree, "cfree"))) == home);
     }},
    {"symbols", "operators", "all 20 replaceable operators come from the library of malloc",
     [](Verdict& verdict) {
         const void* const home = subject_object_of(dlsym(RTLD_DEFAULT, "malloc"));
         void* const all[] = {reinterpret_cast<void*>(n_new),
                              reinterpret_cast<void*>(n_new_array),
                              reinterpret_cast<void*>(n_new_nothrow),
                              reinterpret_cast<void*>(n_new_array_nothrow),
                              reinterpret_cast<void*>(n_new_aligned),
                              reinterpret_cast<void*>(n_new_array_aligned),
                              reinterpret_cast<void*>(n_new_aligned_nothrow),
                              reinterpret_cast<void*>(n_new_array_aligned_nothrow),
                              reinterpret_cast<void*>(n_delete),
                              reinterpret_cast<void*>(n_delete_array),
                              reinterpret_cast<void*>(n_delete_nothrow),
                              reinterpret_cast<void*>(n_delete_array_nothrow),
                              reinterpret_cast<void*>(n_delete_sized),
                              reinterpret_cast<void*>(n_delete_array_sized),
                              reinterpret_cast<void*>(n_delete_aligned),
                              reinterpret_cast<void*>(n_delete_array_aligned),
                              reinterpret_cast<void*>(n_delete_aligned_nothrow),
                              reinterpret_cast<void*>(n_delete_array_aligned_nothrow),
                              reinterpret_cast<void*>(n_delete_sized_aligned),
                              reinterpret_cast<void*>(n_delete_array_sized_aligned)};
         static_assert(sizeof all / sizeof *all == 20);
         for (void* const each : all) {
             NEED_AT(subject_object_of(each) == home, "operator at", each);
         }
     }},
    {"symbols", "libc_aliases", "the __libc_ aliases come from the library of malloc",
     [](Verdict& verdict) {
         const void* const home = subject_object_of(dlsym(RTLD_DEFAULT, "malloc"));
         NEED_EXPORTED(libc_malloc, "__libc_malloc");
         NEED_EXPORTED(libc_calloc, "__libc_calloc");
         NEED_EXPORTED(libc_realloc, "__libc_realloc");
         NEED_EXPORTED(libc_free, "__libc_free");
         NEED_EXPORTED(libc_memalign, "__libc_memalign");
         NEED_EXPORTED(libc_valloc, "__libc_valloc");
         NEED_EXPORTED(libc_pvalloc, "__libc_pvalloc");
         for (void* const each :
              {reinterpret_cast<void*>(libc_malloc), reinterpret_cast<void*>(libc_calloc),
               reinterpret_cast<void*>(libc_realloc), reinterpret_cast<void*>(libc_free),
               reinterpret_cast<void*>(libc_memalign), reinterpret_cast<void*>(libc_valloc),
               reinterpret_cast<void*>(libc_pvalloc)}) {
             NEED_AT(subject_object_of(each) == home, "alias at", each);
         }
     }},

    // --- alignment of ordinary blocks ----------------------------------------------------
    {"alignment", "malloc_16", "malloc: every block is 16-byte aligned, for every size to 4 KiB",
     [](Verdict& verdict) {
         for (std::size_t size = 0; size <= page; ++size) {
             void* const block = c_malloc(size);
             NEED_FOR(block != nullptr && aligned_to(block, 16), size);
             c_free(block);
         }
     }},
    {"alignment", "malloc_boundaries",
     "malloc: aligned, disjoint and writable at every class, unit, 2 MiB and 4 MiB boundary ±1",
     [](Verdict& verdict) {
         needs_good_blocks(verdict, 16, c_malloc, [](void* block, std::size_t) { c_free(block); });
     }},
    {"alignment", "calloc_boundaries", "calloc: the same at every boundary",
     [](Verdict& verdict) {
         needs_good_blocks(
             verdict, 16, [](std::size_t size) { return c_calloc(1, size); },
             [](void* block, std::size_t) { c_free(block); });
     }},
    {"alignment", "realloc_boundaries", "realloc(NULL, n): the same at every boundary",
     [](Verdict& verdict) {
         needs_good_blocks(
             verdict, 16, [](std::size_t size) { return c_realloc(nullptr, size); },
             [](void* block, std::size_t) { c_free(block); });
     }},
    {"alignment", "realloc_16", "realloc: the result is 16-byte aligned, growing and shrinking",
     [](Verdict& verdict) {
         void* block = nullptr;
         for (std::size_t size = 1; size < 300 * kib; size += size / 7 + 1) {
             block = c_realloc(block, size);
             NEED_FOR(block != nullptr && aligned_to(block, 16), size);
         }
         for (std::size_t size = 300 * kib; size > 0; size -= size / 7 + 1) {
             block = c_realloc(block, size);
             NEED_FOR(block != nullptr && aligned_to(block, 16), size);
         }
         c_free(block);
     }},
    {"alignment", "new_boundaries", "operator new: aligned and writable at every boundary",
     [](Verdict& verdict) {
         needs_good_blocks(verdict, 16, n_new, [](void* block, std::size_t) { n_delete(block); });
     }},
    {"alignment", "new_array_boundaries", "operator new[]: aligned and writable at every boundary",
     [](Verdict& verdict) {
         needs_good_blocks(verdict, 16, n_new_array,
                           [](void* block, std::size_t) { n_delete_array(block); });
     }},

    // --- alignment that was asked for ----------------------------------------------------
    {"aligned", "aligned_alloc_powers", "aligned_alloc: every power of two from 1 to 1 GiB",
     [](Verdict& verdict) {
         for (std::size_t alignment = 1; alignment <= gib; alignment *= 2) {
             for (const std::size_t size : {std::size_t{1}, std::size_t{24}, std::size_t{5000}}) {
                 void* const block = c_aligned_alloc(alignment, size);
                 NEED_FOR(block != nullptr, alignment);
                 NEED_FOR(aligned_to(block, std::max<std::size_t>(alignment, 16)), alignment);
                 std::memset(block, 0x5a, size);
                 c_free(block);
             }
         }
     }},
    {"aligned", "aligned_alloc_any_size", "aligned_alloc: the size need not be a multiple",
     [](Verdict& verdict) {
         for (std::size_t alignment = 1; alignment <= 8 * mib; alignment *= 2) {
             for (const std::size_t size :
                  {alignment - 1, alignment, alignment + 1, 3 * alignment / 2 + 1}) {
                 void* const block = c_aligned_alloc(alignment, size);
                 NEED_FOR(block != nullptr && aligned_to(block, alignment), alignment);
                 NEED_FOR(c_usable(block) >= size, size);
                 std::memset(block, 0x5a, size);
                 c_free(block);
             }
         }
     }},
    {"aligned", "aligned_alloc_disjoint", "aligned blocks are disjoint and keep their contents",
     [](Verdict& verdict) {
         for (std::size_t alignment = 16; alignment <= mib; alignment *= 4) {
             std::array<Block, 24> blocks{};
             for (std::size_t i = 0; i < blocks.size(); ++i) {
                 const std::size_t size = 1 + (i * alignment) / 7;
                 void* const made = c_aligned_alloc(alignment, size);
                 NEED_FOR(made != nullptr && aligned_to(made, alignment), alignment);
                 blocks[i] = {made, size, i};
                 pattern_fill(made, size, i);
             }
             for (const Block& block : blocks) {
                 NEED_FOR(pattern_holds(block.start, block.bytes, block.seed), alignment);
                 c_free(block.start);
             }
         }
     }},
    {"aligned", "aligned_alloc_crooked", "aligned_alloc: no power of two is NULL with EINVAL",
     [](Verdict& verdict) {
         for (const std::size_t alignment : crooked_alignments) {
             errno = 0;
             void* const block = c_aligned_alloc(alignment, 64);
             NEED_FOR(block == nullptr, alignment);
             NEED_FOR(errno == EINVAL, alignment);
         }
     }},
    {"aligned", "memalign_crooked", "memalign: no power of two is NULL with EINVAL",
     [](Verdict& verdict) {
         for (const std::size_t alignment : crooked_alignments) {
             errno = 0;
             void* const block = c_memalign(alignment, 64);
             NEED_FOR(block == nullptr, alignment);
             NEED_FOR(errno == EINVAL, alignment);
         }
     }},
    {"aligned", "posix_memalign_crooked",
     "posix_memalign: no power of two, or below 8, returns EINVAL and leaves *out alone",
     [](Verdict& verdict) {
         char mark;
         for (const std::size_t alignment :
              {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{4}, std::size_t{24},
               page + 16, size_max}) {
             void* out = &mark;
             NEED_FOR(c_posix_memalign(&out, alignment, 64) == EINVAL, alignment);
             NEED_FOR(out == &mark, alignment);
         }
     }},
    {"aligned", "posix_memalign_powers", "posix_memalign: every power of two from 8 to 1 GiB",
     [](Verdict& verdict) {
         for (std::size_t alignment = 8; alignment <= gib; alignment *= 2) {
             void* out = nullptr;
             NEED_FOR(c_posix_memalign(&out, alignment, 100) == 0, alignment);
             NEED_FOR(out != nullptr && aligned_to(out, alignment), alignment);
             std::memset(out, 0x5a, 100);
             c_free(out);
         }
     }},
    {"aligned", "posix_memalign_exhausted",
     "posix_memalign: absurd sizes return ENOMEM and leave *out alone",
     [](Verdict& verdict) {
         char mark;
         for (const std::size_t size : absurd_sizes) {
             for (const std::size_t alignment : {std::size_t{8}, page, mib, gib}) {
                 void* out = &mark;
                 NEED_FOR(c_posix_memalign(&out, alignment, size) == ENOMEM, size);
                 NEED_FOR(out == &mark, size);
             }
         }
     }},
    {"aligned", "memalign_powers", "memalign: every power of two from 1 to 1 GiB",
     [](Verdict& verdict) {
         for (std::size_t alignment = 1; alignment <= gib; alignment *= 2) {
             void* const block = c_memalign(alignment, 100);
             NEED_FOR(block != nullptr && aligned_to(block, alignment), alignment);
             std::memset(block, 0x5a, 100);
             c_free(block);
         }
     }},
    {"aligned", "absurd_alignment", "alignments from 2^47 to 2^63 fail, and do not crash",
     [](Verdict& verdict) {
         for (unsigned bit = 47; bit < 64; ++bit) {
             errno = 0;
             NEED_FOR(c_aligned_alloc(std::size_t{1} << bit, 64) == nullptr, bit);
             NEED_FOR(errno == ENOMEM || errno == EINVAL, bit);
             errno = 0;
             NEED_FOR(c_memalign(std::size_t{1} << bit, std::size_t{1} << bit) == nullptr, bit);
             NEED_FOR(errno == ENOMEM || errno == EINVAL, bit);
         }
     }},
    {"aligned", "valloc_page", "valloc: page-aligned, for sizes from 0 to 5 pages",
     [](Verdict& verdict) {
         for (std::size_t size = 0; size < 5 * page; size += 509) {
             void* const block = c_valloc(size);
             NEED_FOR(block != nullptr && aligned_to(block, page), size);
             NEED_FOR(c_usable(block) >= size, size);
             std::memset(block, 0x5a, size);
             c_free(block);
         }
     }},
    {"aligned", "pvalloc_page", "pvalloc: page-aligned, and whole pages may be written",
     [](Verdict& verdict) {
         for (std::size_t size = 0; size < 5 * page; size += 509) {
             void* const block = c_pvalloc(size);
             NEED_FOR(block != nullptr && aligned_to(block, page), size);
             const std::size_t whole = (size + page - 1) / page * page;
             NEED_FOR(c_usable(block) >= whole, size);
             std::memset(block, 0x5a, whole);
             c_free(block);
         }
     }},
    {"aligned", "new_aligned_powers", "aligned operator new: every power of two from 1 to 1 GiB",
     [](Verdict& verdict) {
         for (std::size_t alignment = 1; alignment <= gib; alignment *= 2) {
             void* const one = n_new_aligned(100, alignment);
             void* const array = n_new_array_aligned(100, alignment);
             NEED_FOR(aligned_to(one, alignment) && aligned_to(array, alignment), alignment);
             std::memset(one, 0x5a, 100);
             std::memset(array, 0x5a, 100);
             n_delete_aligned(one, alignment);
             n_delete_array_aligned(array, alignment);
         }
     }},
    {"aligned", "new_aligned_nothrow_powers", "aligned nothrow new: every power of two to 1 GiB",
     [](Verdict& verdict) {
         for (std::size_t alignment = 1; alignment <= gib; alignment *= 2) {
             void* const one = n_new_aligned_nothrow(100, alignment, std::nothrow);
             void* const array = n_new_array_aligned_nothrow(100, alignment, std::nothrow);
             NEED_FOR(one != nullptr && aligned_to(one, alignment), alignment);
             NEED_FOR(array != nullptr && aligned_to(array, alignment), alignment);
             n_delete_aligned_nothrow(one, alignment, std::nothrow);
             n_delete_array_aligned_nothrow(array, alignment, std::nothrow);
         }
     }},

    // --- nothing asked for ---------------------------------------------------------------
    {"zero", "malloc_0", "malloc(0): unique pointers",
     [](Verdict& verdict) {
         std::array<void*, 64> blocks{};
         for (void*& block : blocks) {
             block = c_malloc(0);
             NEED(block != nullptr);
         }
         for (std::size_t i = 1; i < blocks.size(); ++i) {
             for (std::size_t j = 0; j < i; ++j) {
                 NEED(blocks[i] != blocks[j]);
             }
         }
         for (void* const block : blocks) {
             c_free(block);
         }
     }},
    {"zero", "calloc_0_n", "calloc(0, n) and calloc(n, 0): unique pointers",
     [](Verdict& verdict) {
         void* const one = c_calloc(0, 7);
         void* const two = c_calloc(7, 0);
         void* const three = c_calloc(0, size_max);
         NEED(one != nullptr && two != nullptr && three != nullptr);
         NEED(one != two && two != three && one != three);
         c_free(one);
         c_free(two);
         c_free(three);
     }},
    {"zero", "realloc_null_0", "realloc(NULL, 0): unique pointers",
     [](Verdict& verdict) {
         void* const one = c_realloc(nullptr, 0);
         void* const two = c_realloc(nullptr, 0);
         NEED(one != nullptr && two != nullptr && one != two);
         c_free(one);
         c_free(two);
     }},
    {"zero", "realloc_p_0", "realloc(p, 0): frees and returns NULL, for small and large blocks",
     [](Verdict& verdict) {
         for (const std::size_t size : {std::size_t{24}, 20 * kib, mib, 8 * mib}) {
             void* const block = c_malloc(size);
             NEED_FOR(block != nullptr, size);
             NEED_FOR(c_realloc(block, 0) == nullptr, size);
         }
         // Were the blocks not freed, the address space that is left would be used up by this.
         limit_address_space(8 * gib);
         for (int i = 0; i < 100; ++i) {
             void* const block = c_malloc(gib);
             NEED_FOR(block != nullptr, i);
             NEED_FOR(c_realloc(block, 0) == nullptr, i);
         }
         lift_address_space_limit();
     }},
    {"zero", "aligned_0", "aligned_alloc(64, 0), memalign(64, 0), valloc(0), pvalloc(0): pointers",
     [](Verdict& verdict) {
         for (void* const block :
              {c_aligned_alloc(64, 0), c_memalign(64, 0), c_valloc(0), c_pvalloc(0)}) {
             NEED(block != nullptr && aligned_to(block, 64));
             c_free(block);
         }
     }},
    {"zero", "posix_memalign_0", "posix_memalign(&p, 64, 0): succeeds with a pointer for free",
     [](Verdict& verdict) {
         void* one = nullptr;
         void* two = nullptr;
         NEED(c_posix_memalign(&one, 64, 0) == 0 && c_posix_memalign(&two, 64, 0) == 0);
         NEED(one != nullptr && two != nullptr && one != two);
         c_free(one);
         c_free(two);
     }},
    {"zero", "new_0", "operator new(0) and new[](0): unique pointers, never null",
     [](Verdict& verdict) {
         void* const one = n_new(0);
         void* const two = n_new(0);
         void* const array = n_new_array(0);
         NEED(one != nullptr && two != nullptr && array != nullptr);
         NEED(one != two && two != array && one != array);
         n_delete(one);
         n_delete(two);
         n_delete_array(array);
     }},

    // --- too much asked for --------------------------------------------------------------
    {"limits", "malloc", "malloc: PTRDIFF_MAX ±1 to SIZE_MAX are NULL with ENOMEM",
     [](Verdict& verdict) { needs_enomem(verdict, c_malloc); }},
    {"limits", "calloc", "calloc(1, n): the same",
     [](Verdict& verdict) {
         needs_enomem(verdict, [](std::size_t size) { return c_calloc(1, size); });
         needs_enomem(verdict, [](std::size_t size) { return c_calloc(size, 1); });
     }},
    {"limits", "calloc_overflow", "calloc: a product that overflows is NULL with ENOMEM",
     [](Verdict& verdict) {
         constexpr std::size_t half = std::size_t{1} << 32;
         const std::array<std::array<std::size_t, 2>, 9> pairs = {{{size_max / 2 + 1, 2},
                                                                   {2, size_max / 2 + 1},
                                                                   {half, half},
                                                                   {half + 1, half - 1},
                                                                   {size_max, size_max},
                                                                   {size_max, 2},
                                                                   {ptrdiff_max, 2},
                                                                   {ptrdiff_max / 8 + 1, 8},
                                                                   {size_max / 3 + 1, 3}}};
         for (const auto& pair : pairs) {
             errno = 0;
             NEED_FOR(c_calloc(pair[0], pair[1]) == nullptr, pair[0]);
             NEED_FOR(errno == ENOMEM, pair[0]);
         }
     }},
    {"limits", "realloc_null", "realloc(NULL, n): NULL with ENOMEM",
     [](Verdict& verdict) {
         needs_enomem(verdict, [](std::size_t size) { return c_realloc(nullptr, size); });
     }},
    {"limits", "realloc_keeps", "realloc that fails: ENOMEM, and the old block is untouched",
     [](Verdict& verdict) {
         for (const std::size_t old :
              {std::size_t{1}, std::size_t{100}, 20 * kib, 300 * kib, 3 * mib, 16 * mib}) {
             void* const block = c_malloc(old);
             NEED_FOR(block != nullptr, old);
             pattern_fill(block, old, old);
             needs_enomem(verdict, [&](std::size_t size) { return c_realloc(block, size); });
             if (!verdict.held) {
                 return;
             }
             NEED_FOR(pattern_holds(block, old, old), old);
             c_free(block);
         }
     }},
    {"limits", "aligned_alloc", "aligned_alloc: sizes that overflow with their alignment: ENOMEM",
     [](Verdict& verdict) {
         for (std::size_t alignment = 1; alignment <= gib; alignment *= 8) {
             needs_enomem(verdict,
                          [&](std::size_t size) { return c_aligned_alloc(alignment, size); });
             errno = 0;
             NEED_FOR(c_aligned_alloc(alignment, size_max - alignment + 1) == nullptr, alignment);
             NEED_FOR(errno == ENOMEM, alignment);
         }
     }},
    {"limits", "memalign", "memalign: the same",
     [](Verdict& verdict) {
         for (std::size_t alignment = 1; alignment <= gib; alignment *= 8) {
             needs_enomem(verdict, [&](std::size_t size) { return c_memalign(alignment, size); });
         }
     }},
    {"limits", "valloc", "valloc: NULL with ENOMEM",
     [](Verdict& verdict) { needs_enomem(verdict, c_valloc); }},
    {"limits", "pvalloc", "pvalloc: NULL with ENOMEM, also where rounding up to pages overflows",
     [](Verdict& verdict) {
         needs_enomem(verdict, c_pvalloc);
         for (std::size_t below = 0; below <= page; below += 64) {
             errno = 0;
             NEED_FOR(c_pvalloc(size_max - below) == nullptr, below);
             NEED_FOR(errno == ENOMEM, below);
         }
     }},
    {"limits", "new", "operator new and new[]: std::bad_alloc",
     [](Verdict& verdict) {
         needs_bad_alloc(verdict, n_new);
         needs_bad_alloc(verdict, n_new_array);
     }},
    {"limits", "new_aligned", "aligned operator new and new[]: std::bad_alloc",
     [](Verdict& verdict) {
         needs_bad_alloc(verdict, [](std::size_t size) { return n_new_aligned(size, 64); });
         needs_bad_alloc(verdict, [](std::size_t size) { return n_new_array_aligned(size, mib); });
     }},
    {"limits", "new_nothrow", "nothrow operator new and new[]: null",
     [](Verdict& verdict) {
         for (const std::size_t size : absurd_sizes) {
             NEED_FOR(n_new_nothrow(size, std::nothrow) == nullptr, size);
             NEED_FOR(n_new_array_nothrow(size, std::nothrow) == nullptr, size);
             NEED_FOR(n_new_aligned_nothrow(size, 64, std::nothrow) == nullptr, size);
             NEED_FOR(n_new_array_aligned_nothrow(size, 64, std::nothrow) == nullptr, size);
         }
     }},
    {"limits", "libc_aliases", "the __libc_ aliases: NULL with ENOMEM",
     [](Verdict& verdict) {
         NEED_EXPORTED(libc_malloc, "__libc_malloc");
         NEED_EXPORTED(libc_calloc, "__libc_calloc");
         NEED_EXPORTED(libc_realloc, "__libc_realloc");
         NEED_EXPORTED(libc_memalign, "__libc_memalign");
         NEED_EXPORTED(libc_valloc, "__libc_valloc");
         NEED_EXPORTED(libc_pvalloc, "__libc_pvalloc");
         needs_enomem(verdict, libc_malloc);
         needs_enomem(verdict, [&](std::size_t size) { return libc_calloc(size, 2); });
         needs_enomem(verdict, [&](std::size_t size) { return libc_realloc(nullptr, size); });
         needs_enomem(verdict, [&](std::size_t size) { return libc_memalign(page, size); });
         needs_enomem(verdict, libc_valloc);
         needs_enomem(verdict, libc_pvalloc);
     }},
    {"limits", "one_gib", "a block of 1 GiB is possible, at both ends",
     [](Verdict& verdict) {
         auto* const block = static_cast<volatile char*>(c_malloc(gib));
         NEED(block != nullptr);
         block[0] = 1;
         block[gib - 1] = 2;
         NEED(block[0] == 1 && block[gib - 1] == 2);
         c_free(const_cast<char*>(block));
     }},

    // --- errno ---------------------------------------------------------------------------
    {"errno", "free", "free keeps errno, from 1 B to 16 MiB",
     [](Verdict& verdict) {
         needs_errno_kept(verdict, [](void* block, std::size_t) { c_free(block); });
     }},
    {"errno", "free_null", "free(NULL) does nothing and keeps errno",
     [](Verdict& verdict) {
         errno = 12345;
         c_free(nullptr);
         NEED(errno == 12345);
     }},
    {"errno", "free_sized", "free_sized and free_aligned_sized keep errno, and take NULL",
     [](Verdict& verdict) {
         NEED_EXPORTED(free_sized, "free_sized");
         NEED_EXPORTED(free_aligned_sized, "free_aligned_sized");
         needs_errno_kept(verdict, free_sized);
         errno = 12345;
         free_sized(nullptr, 0);
         free_sized(nullptr, 100);
         free_aligned_sized(nullptr, 64, 100);
         NEED(errno == 12345);
     }},
    {"errno", "delete", "operator delete keeps errno",
     [](Verdict& verdict) {
         needs_errno_kept(verdict, [](void* block, std::size_t) { n_delete(block); });
         needs_errno_kept(verdict,
                          [](void* block, std::size_t size) { n_delete_sized(block, size); });
     }},
    {"errno", "cfree", "cfree frees as free does",
     [](Verdict& verdict) {
         NEED_EXPORTED(cfree, "cfree");
         needs_errno_kept(verdict, [&](void* block, std::size_t) { cfree(block); });
         cfree(nullptr);
     }},
    {"errno", "trim", "malloc_trim returns 0 or 1, for any pad",
     [](Verdict& verdict) {
         for (const std::size_t pad : {std::size_t{0}, page, gib, ptrdiff_max, size_max}) {
             const int result = c_trim(pad);
             NEED_FOR(result == 0 || result == 1, pad);
         }
     }},

    // --- calloc is zero ------------------------------------------------------------------
    {"calloc", "fresh", "calloc: zero at every boundary, from fresh memory",
     [](Verdict& verdict) {
         for (const std::size_t size : boundaries()) {
             void* const block = c_calloc(1, size);
             NEED_FOR(block != nullptr && all_zero(block, size), size);
             c_free(block);
         }
     }},
    {"calloc", "recycled", "calloc: zero at every boundary, from memory that was full",
     [](Verdict& verdict) {
         for (const std::size_t size : boundaries()) {
             std::array<void*, 6> blocks{};
             for (void*& block : blocks) {
                 block = c_malloc(size);
                 NEED_FOR(block != nullptr, size);
                 std::memset(block, 0xa5, c_usable(block));
             }
             for (void* const block : blocks) {
                 c_free(block);
             }
             for (void*& block : blocks) {
                 block = c_calloc(1, size);
                 NEED_FOR(block != nullptr && all_zero(block, size), size);
             }
             for (void* const block : blocks) {
                 c_free(block);
             }
         }
     }},
    {"calloc", "recycled_as_other", "calloc: zero where blocks of another size lay before",
     [](Verdict& verdict) {
         for (const std::size_t first : {std::size_t{48}, std::size_t{3000}, 40 * kib, 500 * kib}) {
             static std::array<void*, 2000> blocks;
             const std::size_t count = std::min(blocks.size(), 32 * mib / first);
             for (std::size_t i = 0; i < count; ++i) {
                 blocks[i] = c_malloc(first);
                 NEED_FOR(blocks[i] != nullptr, first);
                 std::memset(blocks[i], 0xa5, first);
             }
             for (std::size_t i = 0; i < count; ++i) {
                 c_free(blocks[i]);
             }
             for (const std::size_t second :
                  {std::size_t{16}, std::size_t{700}, 9 * kib, unit, 130 * kib, 3 * mib, 9 * mib}) {
                 void* const block = c_calloc(second, 1);
                 NEED_FOR(block != nullptr && all_zero(block, second), second);
                 c_free(block);
             }
         }
     }},
    {"calloc", "after_trim", "calloc: zero after malloc_trim took the pages away",
     [](Verdict& verdict) {
         for (const std::size_t size : {std::size_t{100}, 5 * kib, 70 * kib, mib, 5 * mib}) {
             void* block = c_malloc(size);
             NEED_FOR(block != nullptr, size);
             std::memset(block, 0xa5, size);
             c_free(block);
             c_trim(0);
             block = c_calloc(1, size);
             NEED_FOR(block != nullptr && all_zero(block, size), size);
             c_free(block);
         }
     }},
    {"calloc", "counts", "calloc: the same bytes as count or as size",
     [](Verdict& verdict) {
         for (const std::size_t count : {std::size_t{1}, std::size_t{3}, std::size_t{1000}}) {
             for (const std::size_t size : {std::size_t{1}, std::size_t{24}, std::size_t{4096}}) {
                 void* const block = c_calloc(count, size);
                 NEED_FOR(block != nullptr && all_zero(block, count * size), size);
                 NEED_FOR(c_usable(block) >= count * size, size);
                 c_free(block);
             }
         }
     }},

    // --- realloc -------------------------------------------------------------------------
    {"realloc", "grows", "realloc keeps the contents, growing from 1 B to 16 MiB",
     [](Verdict& verdict) {
         std::size_t size = 1;
         void* block = c_malloc(size);
         pattern_fill(block, size, 7);
         while (size < 16 * mib) {
             const std::size_t larger = size + size / 3 + 1;
             block = c_realloc(block, larger);
             NEED_FOR(block != nullptr, larger);
             NEED_FOR(pattern_holds(block, size, 7), larger);
             pattern_fill(block, larger, 7);
             size = larger;
         }
         c_free(block);
     }},
    {"realloc", "shrinks", "realloc keeps the contents, shrinking from 16 MiB to 1 B",
     [](Verdict& verdict) {
         std::size_t size = 16 * mib;
         void* block = c_malloc(size);
         NEED(block != nullptr);
         pattern_fill(block, size, 8);
         while (size > 1) {
             const std::size_t smaller = size - size / 4 - 1;
             block = c_realloc(block, std::max<std::size_t>(smaller, 1));
             NEED_FOR(block != nullptr, smaller);
             // The tail of the pattern depends on the length: compare whole words only.
             NEED_FOR(pattern_holds(block, smaller / 8 * 8, 8), smaller);
             size = smaller;
         }
         c_free(block);
     }},
    {"realloc", "step_by_step", "realloc byte by byte to 10,000 loses nothing",
     [](Verdict& verdict) {
         unsigned char* block = nullptr;
         for (std::size_t size = 1; size <= 10000; ++size) {
             block = static_cast<unsigned char*>(c_realloc(block, size));
             NEED_FOR(block != nullptr, size);
             block[size - 1] = static_cast<unsigned char>(size % 251);
         }
         for (std::size_t size = 1; size <= 10000; ++size) {
             NEED_FOR(block[size - 1] == size % 251, size);
         }
         c_free(block);
     }},
    {"realloc", "random_walk", "realloc to sizes at random, 64 blocks at once, keeps each",
     [](Verdict& verdict) {
         std::array<Block, 64> blocks{};
         Random random(11);
         for (int i = 0; i < 20000; ++i) {
             Block& block = blocks[random.below(blocks.size())];
             const std::size_t size = random.size(i % 50 == 0 ? 6 * mib : 64 * kib);
             void* const moved = c_realloc(block.start, size);
             NEED_FOR(moved != nullptr, size);
             const std::size_t kept = std::min(block.bytes, size) / 8 * 8;
             NEED_FOR(pattern_holds(moved, kept, block.seed), size);
             block = {moved, size, random.next()};
             pattern_fill(moved, size, block.seed);
         }
         for (const Block& block : blocks) {
             c_free(block.start);
         }
     }},
    {"realloc", "aligned", "realloc of an aligned block keeps the contents",
     [](Verdict& verdict) {
         for (std::size_t alignment = 32; alignment <= 4 * mib; alignment *= 4) {
             void* block = c_aligned_alloc(alignment, 1000);
             NEED_FOR(block != nullptr, alignment);
             pattern_fill(block, 1000, alignment);
             for (const std::size_t size :
                  {std::size_t{2000}, 100 * kib, 5 * mib, std::size_t{1000}}) {
                 block = c_realloc(block, size);
                 NEED_FOR(block != nullptr && pattern_holds(block, 1000, alignment), size);
             }
             c_free(block);
         }
     }},
    {"realloc", "usable", "realloc to the usable size keeps contents and does not shrink",
     [](Verdict& verdict) {
         for (const std::size_t size : boundaries()) {
             void* block = c_malloc(size);
             NEED_FOR(block != nullptr, size);
             pattern_fill(block, size, size);
             const std::size_t usable = c_usable(block);
             block = c_realloc(block, usable);
             NEED_FOR(block != nullptr && pattern_holds(block, size, size), size);
             NEED_FOR(c_usable(block) >= usable, size);
             c_free(block);
         }
     }},
    {"realloc", "neighbours", "realloc in place never touches the neighbours",
     [](Verdict& verdict) {
         for (const std::size_t size :
              {std::size_t{16}, std::size_t{100}, 3 * kib, 70 * kib, 3 * mib}) {
             std::array<Block, 3> blocks{};
             for (std::size_t i = 0; i < 3; ++i) {
                 blocks[i] = {c_malloc(size), size, i};
                 NEED_FOR(blocks[i].start != nullptr, size);
                 pattern_fill(blocks[i].start, size, i);
             }
             for (const std::size_t other : {size + size / 8 + 1, size * 2, size / 2 + 1, size}) {
                 blocks[1].start = c_realloc(blocks[1].start, other);
                 NEED_FOR(blocks[1].start != nullptr, other);
                 std::memset(blocks[1].start, 0x33, c_usable(blocks[1].start));
                 NEED_FOR(pattern_holds(blocks[0].start, size, 0), other);
                 NEED_FOR(pattern_holds(blocks[2].start, size, 2), other);
             }
             for (const Block& block : blocks) {
                 c_free(block.start);
             }
         }
     }},

    // --- usable size ---------------------------------------------------------------------
    {"usable", "null", "malloc_usable_size(NULL) is 0",
     [](Verdict& verdict) { NEED(c_usable(nullptr) == 0); }},
    {"usable", "at_least", "malloc_usable_size is at least the request, for every size to 8 KiB",
     [](Verdict& verdict) {
         for (std::size_t size = 0; size <= 8 * kib; ++size) {
             void* const block = c_malloc(size);
             NEED_FOR(c_usable(block) >= size, size);
             c_free(block);
         }
     }},
    {"usable", "writable", "the usable size may be written in full without harm to neighbours",
     [](Verdict& verdict) {
         for (const std::size_t size : boundaries()) {
             std::array<void*, 3> blocks{};
             for (void*& block : blocks) {
                 block = c_malloc(size);
                 NEED_FOR(block != nullptr, size);
             }
             for (std::size_t i = 0; i < 3; ++i) {
                 pattern_fill(blocks[i], c_usable(blocks[i]), i);
             }
             for (std::size_t i = 0; i < 3; ++i) {
                 NEED_FOR(pattern_holds(blocks[i], c_usable(blocks[i]), i), size);
             }
             for (void* const block : blocks) {
                 c_free(block);
             }
         }
     }},
    {"usable", "stable", "the usable size of a block does not change while it lives",
     [](Verdict& verdict) {
         std::array<Block, 256> blocks{};
         Random random(5);
         for (Block& block : blocks) {
             const std::size_t size = random.size(mib);
             block.start = c_malloc(size);
             NEED_FOR(block.start != nullptr, size);
             block.bytes = c_usable(block.start);
         }
         for (const Block& block : blocks) {
             NEED_FOR(c_usable(block.start) == block.bytes, block.bytes);
             c_free(block.start);
         }
     }},
    {"usable", "aligned", "the usable size of aligned blocks may be written in full",
     [](Verdict& verdict) {
         for (std::size_t alignment = 16; alignment <= 4 * mib; alignment *= 2) {
             void* const one = c_aligned_alloc(alignment, 100);
             void* const two = c_aligned_alloc(alignment, 100);
             NEED_FOR(one != nullptr && two != nullptr, alignment);
             NEED_FOR(c_usable(one) >= 100 && c_usable(two) >= 100, alignment);
             pattern_fill(one, c_usable(one), 1);
             pattern_fill(two, c_usable(two), 2);
             NEED_FOR(pattern_holds(one, c_usable(one), 1), alignment);
             c_free(one);
             c_free(two);
         }
     }},

    // --- blocks from one entry point, freed by another -----------------------------------
    {"freeing", "any_maker", "free takes blocks of every allocating function",
     [](Verdict& verdict) {
         for_blocks_of_every_maker(verdict, [](void* block, std::size_t size) {
             std::memset(block, 0x77, size);
             c_free(block);
         });
     }},
    {"freeing", "realloc_any_maker", "realloc takes blocks of every allocating function",
     [](Verdict& verdict) {
         for_blocks_of_every_maker(verdict, [&verdict](void* block, std::size_t size) {
             pattern_fill(block, size, size);
             void* const moved = c_realloc(block, 3 * size + 17);
             NEED_FOR(moved != nullptr && pattern_holds(moved, size / 8 * 8, size), size);
             c_free(moved);
         });
     }},
    {"freeing", "free_sized",
     "free_sized takes malloc, calloc and realloc blocks, at every boundary",
     [](Verdict& verdict) {
         NEED_EXPORTED(free_sized, "free_sized");
         needs_good_blocks(verdict, 16, c_malloc, free_sized);
         needs_good_blocks(
             verdict, 16, [](std::size_t size) { return c_calloc(size, 1); }, free_sized);
         needs_good_blocks(
             verdict, 16, [](std::size_t size) { return c_realloc(c_malloc(9), size); },
             free_sized);
     }},
    {"freeing", "free_aligned_sized", "free_aligned_sized takes aligned_alloc blocks",
     [](Verdict& verdict) {
         NEED_EXPORTED(free_aligned_sized, "free_aligned_sized");
         for (std::size_t alignment = 1; alignment <= 8 * mib; alignment *= 2) {
             for (const std::size_t size :
                  {std::size_t{0}, std::size_t{1}, alignment, 3 * alignment}) {
                 void* const block = c_aligned_alloc(alignment, size);
                 NEED_FOR(block != nullptr, alignment);
                 free_aligned_sized(block, alignment, size);
             }
         }
     }},
    {"freeing", "libc_aliases", "the __libc_ aliases and malloc share one heap",
     [](Verdict& verdict) {
         NEED_EXPORTED(libc_malloc, "__libc_malloc");
         NEED_EXPORTED(libc_calloc, "__libc_calloc");
         NEED_EXPORTED(libc_realloc, "__libc_realloc");
         NEED_EXPORTED(libc_free, "__libc_free");
         NEED_EXPORTED(libc_memalign, "__libc_memalign");
         NEED_EXPORTED(libc_valloc, "__libc_valloc");
         NEED_EXPORTED(libc_pvalloc, "__libc_pvalloc");
         for (const std::size_t size :
              {std::size_t{1}, std::size_t{100}, page, 70 * kib, 5 * mib}) {
             for (void* const block :
                  {libc_malloc(size), libc_calloc(1, size), libc_realloc(nullptr, size),
                   libc_memalign(256, size), libc_valloc(size), libc_pvalloc(size)}) {
                 NEED_FOR(block != nullptr && c_usable(block) >= size, size);
                 std::memset(block, 0x66, size);
                 c_free(block);
             }
             libc_free(c_malloc(size));
             libc_free(libc_realloc(c_malloc(size), 2 * size));
             libc_free(nullptr);
         }
     }},
    {"freeing", "libc_makes", "strdup, wcsdup, asprintf, getline, open_memstream blocks are freed",
     [](Verdict& verdict) {
         c_free(strdup("text"));
         c_free(wcsdup(L"text"));
         char* text = nullptr;
         NEED(asprintf(&text, "%d %s", 42, "forty-two") == 12);
         NEED(std::strcmp(text, "42 forty-two") == 0);
         c_free(text);
         std::FILE* const lines = fmemopen(const_cast<char*>("one\ntwo\n"), 8, "r");
         NEED(lines != nullptr);
         char* line = nullptr;
         std::size_t line_bytes = 0;
         NEED(getline(&line, &line_bytes, lines) == 4);
         NEED(getline(&line, &line_bytes, lines) == 4);
         std::fclose(lines);
         c_free(line);
         char* grown = nullptr;
         std::size_t grown_bytes = 0;
         std::FILE* const stream = open_memstream(&grown, &grown_bytes);
         NEED(stream != nullptr);
         for (int i = 0; i < 20000; ++i) {
             std::fputc('x', stream);
         }
         std::fclose(stream);
         NEED(grown_bytes == 20000);
         c_free(grown);
         c_free(reallocarray(nullptr, 10, 10));
         volatile std::size_t absurd = size_max / 2;
         errno = 0;
         NEED(reallocarray(nullptr, absurd, 3) == nullptr && errno == ENOMEM);
         c_free(realpath("/proc/self/exe", nullptr));
     }},

    // --- the C++ operators ---------------------------------------------------------------
    {"operators", "delete_null", "every operator delete takes null",
     [](Verdict& verdict) {
         errno = 12345;
         n_delete(nullptr);
         n_delete_array(nullptr);
         n_delete_nothrow(nullptr, std::nothrow);
         n_delete_array_nothrow(nullptr, std::nothrow);
         n_delete_sized(nullptr, 8);
         n_delete_array_sized(nullptr, 8);
         n_delete_aligned(nullptr, 64);
         n_delete_array_aligned(nullptr, 64);
         n_delete_aligned_nothrow(nullptr, 64, std::nothrow);
         n_delete_array_aligned_nothrow(nullptr, 64, std::nothrow);
         n_delete_sized_aligned(nullptr, 8, 64);
         n_delete_array_sized_aligned(nullptr, 8, 64);
         NEED(errno == 12345);
     }},
    {"operators", "sized", "sized delete and delete[] take new and new[] blocks, at every boundary",
     [](Verdict& verdict) {
         needs_good_blocks(verdict, 16, n_new, n_delete_sized);
         needs_good_blocks(verdict, 16, n_new_array, n_delete_array_sized);
     }},
    {"operators", "nothrow", "nothrow new pairs with nothrow, plain and sized delete",
     [](Verdict& verdict) {
         for (const std::size_t size :
              {std::size_t{0}, std::size_t{1}, std::size_t{1000}, 70 * kib, 3 * mib}) {
             void* block = n_new_nothrow(size, std::nothrow);
             NEED_FOR(block != nullptr, size);
             n_delete_nothrow(block, std::nothrow);
             n_delete(n_new_nothrow(size, std::nothrow));
             n_delete_sized(n_new_nothrow(size, std::nothrow), size);
             block = n_new_array_nothrow(size, std::nothrow);
             NEED_FOR(block != nullptr, size);
             n_delete_array_nothrow(block, std::nothrow);
             n_delete_array(n_new_array_nothrow(size, std::nothrow));
             n_delete_array_sized(n_new_array_nothrow(size, std::nothrow), size);
         }
     }},
    {"operators", "aligned_forms", "aligned new pairs with aligned, nothrow and sized delete",
     [](Verdict& verdict) {
         for (std::size_t alignment = 16; alignment <= 4 * mib; alignment *= 2) {
             for (const std::size_t size :
                  {std::size_t{0}, std::size_t{1}, std::size_t{1000}, 70 * kib}) {
                 void* const block = n_new_aligned(size, alignment);
                 NEED_FOR(aligned_to(block, alignment), alignment);
                 n_delete_aligned(block, alignment);
                 n_delete_aligned_nothrow(n_new_aligned(size, alignment), alignment, std::nothrow);
                 n_delete_sized_aligned(n_new_aligned(size, alignment), size, alignment);
                 n_delete_array_aligned(n_new_array_aligned(size, alignment), alignment);
                 n_delete_array_aligned_nothrow(n_new_array_aligned(size, alignment), alignment,
                                                std::nothrow);
                 n_delete_array_sized_aligned(n_new_array_aligned(size, alignment), size,
                                              alignment);
             }
         }
     }},
    {"operators", "containers", "vectors, strings and over-aligned objects live and grow",
     [](Verdict& verdict) {
         struct alignas(128) Wide {
             char text[100];
         };
         std::vector<std::string> words;
         std::vector<Wide> wide;
         for (std::size_t i = 0; i < 5000; ++i) {
             words.emplace_back(i % 300, static_cast<char>('a' + i % 26));
             wide.emplace_back();
             NEED_FOR(aligned_to(&wide.back(), 128), i);
         }
         for (std::size_t i = 0; i < words.size(); ++i) {
             NEED_FOR(words[i] == std::string(i % 300, static_cast<char>('a' + i % 26)), i);
         }
     }},
    {"operators", "array_limit",
     "new T[n] with an absurd n throws std::bad_array_new_length or more",
     [](Verdict& verdict) {
         volatile std::size_t count = size_max / 4;
         bool thrown = false;
         try {
             auto* const array = new long[count];
             delete[] array;
         } catch (const std::bad_alloc&) {
             thrown = true;
         }
         NEED(thrown);
     }},

    // --- figures -------------------------------------------------------------------------
    {"figures", "mallinfo2", "mallinfo2: what is in use grows by what is allocated, and shrinks",
     [](Verdict& verdict) {
         const struct mallinfo2 before = c_mallinfo2();
         std::array<void*, 64> blocks{};
         for (void*& block : blocks) {
             block = c_malloc(50000);
             NEED(block != nullptr);
         }
         const struct mallinfo2 full = c_mallinfo2();
         const std::size_t grown = full.uordblks + full.hblkhd - before.uordblks - before.hblkhd;
         NEED_AT(grown >= 64 * 50000 && grown < 2 * 64 * 65536, "grown by", grown);
         for (void* const block : blocks) {
             c_free(block);
         }
         const struct mallinfo2 after = c_mallinfo2();
         NEED(after.uordblks + after.hblkhd < full.uordblks + full.hblkhd);
     }},
    {"figures", "mallinfo", "mallinfo: no figure is negative",
     [](Verdict& verdict) {
         const struct mallinfo info = c_mallinfo();
         for (const int figure :
              {info.arena, info.ordblks, info.smblks, info.hblks, info.hblkhd, info.usmblks,
               info.fsmblks, info.uordblks, info.fordblks, info.keepcost}) {
             NEED_AT(figure >= 0, "is", figure);
         }
     }},
    {"figures", "mallopt", "mallopt returns 0 or 1 for known and unknown parameters",
     [](Verdict& verdict) {
         for (const int parameter : {M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD, M_ARENA_MAX,
                                     M_PERTURB + 1000, -1000, 0}) {
             const int result = c_mallopt(parameter, 65536);
             NEED_FOR(result == 0 || result == 1, parameter);
         }
         void* const block = c_malloc(100000);
         NEED(block != nullptr);
         c_free(block);
     }},
    {"figures", "malloc_stats", "malloc_stats writes to descriptor 2 and nothing to 1",
     [](Verdict& verdict) {
         int error_pipe[2];
         int output_pipe[2];
         NEED(pipe(error_pipe) == 0 && pipe(output_pipe) == 0);
         const int saved_error = dup(2);
         const int saved_output = dup(1);
         dup2(error_pipe[1], 2);
         dup2(output_pipe[1], 1);
         c_stats();
         std::fflush(nullptr);
         dup2(saved_error, 2);
         dup2(saved_output, 1);
         pollfd error{error_pipe[0], POLLIN, 0};
         pollfd output{output_pipe[0], POLLIN, 0};
         NEED(poll(&error, 1, 0) == 1);
         NEED(poll(&output, 1, 0) == 0);
         for (const int descriptor : {error_pipe[0], error_pipe[1], output_pipe[0], output_pipe[1],
                                      saved_error, saved_output}) {
             ::close(descriptor);
         }
     }},
    {"figures", "malloc_info", "malloc_info(0) writes one XML element; other options are EINVAL",
     [](Verdict& verdict) {
         char* text = nullptr;
         std::size_t length = 0;
         std::FILE* const stream = open_memstream(&text, &length);
         NEED(stream != nullptr);
         const int result = c_info(0, stream);
         std::fclose(stream);
         NEED(result == 0);
         NEED(std::strncmp(text, "<malloc", 7) == 0);
         NEED(std::strstr(text, "</malloc>") != nullptr);
         c_free(text);
         NEED(c_info(1, stdout) != 0);
     }},

    // --- memory --------------------------------------------------------------------------
    {"memory", "disjoint", "30,000 blocks of mixed sizes never overlap",
     [](Verdict& verdict) {
         static std::array<Block, 30000> blocks;
         Random random(3);
         for (int round = 0; round < 3; ++round) {
             for (Block& block : blocks) {
                 if (block.start == nullptr) {
                     const std::size_t size = random.size(4 * kib);
                     block = {c_malloc(size), size, random.next()};
                     NEED_FOR(block.start != nullptr, size);
                     pattern_fill(block.start, size, block.seed);
                 }
             }
             for (Block& block : blocks) {
                 NEED_FOR(pattern_holds(block.start, block.bytes, block.seed), block.bytes);
                 if (round == 2 || random.below(2) == 0) {
                     c_free(block.start);
                     block.start = nullptr;
                 }
             }
         }
     }},
    {"memory", "reused", "allocating and freeing in turn does not grow the process",
     [](Verdict& verdict) {
         const auto turn = [] {
             for (const std::size_t size :
                  {std::size_t{16}, std::size_t{333}, 5 * kib, 50 * kib, 500 * kib, 5 * mib}) {
                 void* const block = c_malloc(size);
                 std::memset(block, 1, std::min(size, page));
                 c_free(block);
             }
         };
         for (int i = 0; i < 100; ++i) {
             turn();
         }
         const std::size_t before = process_resident_bytes();
         for (int i = 0; i < 3000; ++i) {
             turn();
         }
         const std::size_t after = process_resident_bytes();
         NEED_AT(after <= before + mib, "after", after);
     }},
    {"memory", "other_thread", "a block may be freed and reallocated by another thread",
     [](Verdict& verdict) {
         static std::array<Block, 500> blocks;
         Random random(17);
         for (Block& block : blocks) {
             block.make(random.size(mib / 4), random.next());
         }
         thread_join(thread_start([](void*) -> void* {
             for (std::size_t i = 0; i < blocks.size(); ++i) {
                 if (i % 2 == 0) {
                     blocks[i].release();
                 } else {
                     blocks[i].start = c_realloc(blocks[i].start, blocks[i].bytes + 100);
                 }
             }
             return nullptr;
         }));
         for (std::size_t i = 1; i < blocks.size(); i += 2) {
             NEED(blocks[i].start != nullptr);
             NEED(pattern_holds(blocks[i].start, blocks[i].bytes / 8 * 8, blocks[i].seed));
             c_free(blocks[i].start);
         }
     }},
};

constexpr std::size_t row_count = sizeof rows / sizeof *rows;

struct Outcome {
    bool held = false;
    char detail[600] = {};
};

Outcome outcomes[row_count];

Outcome in_this_process(const Row& row) {
    Outcome outcome;
    Verdict verdict;
    row.body(verdict);
    outcome.held = verdict.held;
    std::strncpy(outcome.detail, verdict.detail.text(), sizeof outcome.detail - 1);
    return outcome;
}

Outcome in_a_child(const Row& row) {
    Outcome outcome;
    int channel[2];
    CHECK_EQ(pipe(channel), 0);
    const pid_t child = fork();
    CHECK_NE(child, -1);
    if (child == 0) {
        ::close(channel[0]);
        deadline(60);
        const Outcome found = in_this_process(row);
        CHECK_EQ(::write(channel[1], found.detail, sizeof found.detail), sizeof found.detail);
        ::_exit(found.held ? 0 : 1);
    }
    ::close(channel[1]);
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    if (::read(channel[0], outcome.detail, sizeof outcome.detail) <= 0) {
        check::Line line;
        if (WIFSIGNALED(status)) {
            line.add("died of signal ").value(WTERMSIG(status));
        } else {
            line.add("ended without a verdict");
        }
        std::strncpy(outcome.detail, line.text(), sizeof outcome.detail - 1);
    }
    ::close(channel[0]);
    outcome.held = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return outcome;
}

/** A string as JSON has it; the table needs no more than these escapes. */
void json_string(std::FILE* out, const char* text) {
    std::fputc('"', out);
    for (; *text != '\0'; ++text) {
        if (*text == '"' || *text == '\\') {
            std::fputc('\\', out);
        }
        std::fputc(*text, out);
    }
    std::fputc('"', out);
}

void print_json(const char* subject, std::size_t failed) {
    std::printf("{\n  \"subject\": ");
    json_string(stdout, subject);
    std::printf(",\n  \"rows\": %zu,\n  \"failed\": %zu,\n  \"table\": [\n", row_count, failed);
    for (std::size_t i = 0; i < row_count; ++i) {
        std::printf("    {\"section\": \"%s\", \"name\": \"%s\", \"held\": %s, \"statement\": ",
                    rows[i].section, rows[i].name, outcomes[i].held ? "true" : "false");
        json_string(stdout, rows[i].statement);
        std::printf(", \"detail\": ");
        json_string(stdout, outcomes[i].held ? "" : outcomes[i].detail);
        std::printf("}%s\n", i + 1 < row_count ? "," : "");
    }
    std::printf("  ]\n}\n");
}

void print_table(const char* subject, std::size_t failed) {
    for (std::size_t i = 0; i < row_count; ++i) {
        std::printf("%-4s %-10s %-27s %s\n", outcomes[i].held ? "ok" : "FAIL", rows[i].section,
                    rows[i].name, rows[i].statement);
        if (!outcomes[i].held) {
            std::printf("     %s\n", outcomes[i].detail);
        }
    }
    std::printf("%zu of %zu rows hold on %s\n", row_count - failed, row_count, subject);
}

}  // namespace

int main(int argc, char** argv) {
    subject_require();
    bool json = false;
    bool fork_rows = true;
    const char* only = nullptr;
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (std::strcmp(argv[i], "--in-process") == 0) {
            fork_rows = false;
        } else {
            only = argv[i];
        }
    }
    const char* subject = "an unknown library";
    subject_object_of(dlsym(RTLD_DEFAULT, "malloc"), &subject);
    std::size_t failed = 0;
    for (std::size_t i = 0; i < row_count; ++i) {
        if (only != nullptr && std::strcmp(only, rows[i].name) != 0) {
            outcomes[i].held = true;
            continue;
        }
        outcomes[i] = fork_rows ? in_a_child(rows[i]) : in_this_process(rows[i]);
        failed += outcomes[i].held ? 0 : 1;
    }
    if (json) {
        print_json(subject, failed);
    } else {
        print_table(subject, failed);
    }
    return static_cast<int>(std::min<std::size_t>(failed, 99));
}
