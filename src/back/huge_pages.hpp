/**
 * @file huge_pages.hpp
 * @box huge_pages — when memory is wanted in pages of 2 MiB
 *
 * A huge page costs one fault where 512 small ones cost 512, and one entry of the processor's
 * address cache. It is resident as a whole, though: a program that needs 100 KiB should not hold
 * 2 MiB. So the question is how much may be wasted, and how large the heap is by now: the one shall
 * be a small part of the other.
 *
 *     may be wasted        nothing    an eighth of a page    a page               each page
 *     heap of more than    0          2 MiB                  16 MiB by default    never
 *
 * A block of more than 2 MiB wastes none of those that it fills, and gets them in any heap. Its
 * last page may be wasted. A class that grows fills all but its last page, and some of that. A
 * long run wastes a part of what it leaves (back/shared_pool). Where nobody knows how much of some
 * memory will be used, a part of each page may be wasted. What was decided for some memory holds
 * until it is given back. The bound, that of a whole page, is an option
 * (`HAKMEM_HUGE_PAGES_FROM`).
 *
 * The kernel has the last word (`/sys/kernel/mm/transparent_hugepage/enabled`): where it says
 * "always" anybody may get huge pages, and where it says "never" nobody gets any. Then
 * `HAKMEM_HUGE_PAGES=never` is the better choice, since memory is given back as if pages were huge.
 *
 * A huge page is given back as a whole. A part can be given back, too, but then the page falls
 * into small ones; whoever does so decides whether it is worth that (back/superslab).
 *
 * @owns      nothing
 * @calls     base/units os/environment
 * @threads   any; there is no state
 * @invariant none
 * @failure   none
 * @cost      some loads, a multiplication and a compare
 * @phase     introduced in 18; the bound an option in 20, in proportion to the waste in 22,
 *            unbounded waste in 24, more about waste in 26
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/units.hpp"
#include "os/environment.hpp"

namespace hakmem::back::huge_pages {

constexpr std::size_t page_bytes = 2 * base::mebibyte;          ///< One huge page.
constexpr unsigned page_units = page_bytes / base::unit_bytes;  ///< Units of one.
constexpr std::size_t unbounded = SIZE_MAX;                     ///< A waste of page after page.

// [wanted]
/**
 * @param heap_bytes What there is with what is mapped now.
 * @param waste_bytes What may be wasted on it: at most page_bytes, or unbounded.
 * @return Whether that should come in huge pages.
 */
inline bool wanted(std::size_t heap_bytes, std::size_t waste_bytes) {
    enum : unsigned { never, grown, always };
    const os::Options& options = os::options();
    // Who starts the purge thread wants an idle process small: no free unit shall wait for others.
    const bool lean = options.purge_thread != 0;
    const bool is_grown =
        waste_bytes != unbounded && heap_bytes > options.huge_pages_from * waste_bytes / page_bytes;
    return options.huge_pages == always || (options.huge_pages == grown && is_grown && !lean);
}
// [/wanted]

}  // namespace hakmem::back::huge_pages
