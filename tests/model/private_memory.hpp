/**
 * @file
 * Memory for the model's own records, straight from the system.
 *
 * Under LD_PRELOAD every std container allocates from the very heap that is under test. The records
 * that judge the heap must not lie in it: a broken heap would forge its own verdict.
 */
#pragma once

#include <memory_resource>

namespace hakmem::model {

/** Maps and unmaps pages; any thread may use it. */
std::pmr::memory_resource* private_memory();

}  // namespace hakmem::model
