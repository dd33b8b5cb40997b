/**
 * @file statistics.hpp
 * @box statistics — the ledger in the forms that programs ask for
 *
 * The same numbers go out in five forms: a struct of hakmem.h, the GNU C library's mallinfo and
 * malloc_info, and the report as text and as JSON. Each is a different dress of one snapshot, so
 * they never disagree.
 *
 * @owns      nothing
 * @calls     abi/hakmem back/shared_pool base/lock_rank base/size_class base/units
 *            front/thread_heap middle/ledger middle/orphan_heaps os/futex_lock os/lock_counts
 *            os/raw_log os/virtual_memory
 * @threads   any; see middle/ledger
 * @invariant none
 * @failure   zeros, or false, when there is no memory for the walk
 * @cost      a walk of the heap; for reports only
 * @phase     introduced in 16
 */
#pragma once

#include <malloc.h>

#include <cstdio>

#include "abi/hakmem.h"
#include "os/raw_log.hpp"

namespace hakmem::abi {

/** @return The heap as the GNU C library's struct sees it. */
struct mallinfo2 mallinfo_of_heap();

/** @return The same with fields of type int, which stop at INT_MAX instead of wrapping round. */
struct mallinfo short_mallinfo_of_heap();

/**
 * Writes malloc_info's XML.
 * @param stream Where it goes.
 * @return 0, or -1 with errno ENOMEM or the stream's error.
 */
int write_malloc_info(FILE* stream);

/**
 * Writes a report.
 * @param format Text or JSON.
 * @param out Receives it.
 * @return Whether there was memory for the walk.
 */
bool write_report(hakmem_report_format format, os::Text& out);

/**
 * Fills the struct of hakmem.h.
 * @param out Receives the figures.
 * @return Whether there was memory for the walk.
 */
bool fill_statistics(hakmem_statistics& out);

}  // namespace hakmem::abi
