/**
 * @file
 * Millions of operations: the driver of the long runs.
 *
 * One worker is a sequence of threads that share one set of blocks: after some thousand operations
 * its thread ends and another takes over, which then frees what the dead one allocated. Workers
 * give blocks to each other through mailboxes. A run of one worker stays on the calling thread and
 * follows from its seed alone, so that it can be told again as a trace.
 */
#pragma once

#include <cstdint>

#include "generator.hpp"
#include "subject.hpp"
#include "trace.hpp"

namespace hakmem::model {

struct BulkOptions {
    std::uint64_t seed = 1;
    std::uint64_t operations = 1000000;  // of all workers together
    unsigned workers = 1;
    std::uint64_t seconds = 0;         // when not 0, this ends the run instead
    std::uint64_t checkpoints = 20;    // times that all workers stop and the heap is validated
    std::uint64_t trim_every = 25000;  // operations, on average; 0 for never
    std::uint64_t fork_every = 100000;
    bool relaxed = false;
    bool resident_bar = false;  // memory must have come back at the end
};

struct BulkResult {
    std::uint64_t operations = 0;
    std::uint64_t threads = 0;          // started, the calling one not counted
    std::uint64_t handed_over = 0;      // blocks
    std::uint64_t resident_before = 0;  // bytes
    std::uint64_t resident_after = 0;
};

/** Runs; ends the process in violate() when the subject breaks a promise. */
BulkResult run_bulk(const Subject& subject, const SizeMix& sizes, const BulkOptions& options);

/** The first `operations` steps of a run of one worker. Needs no allocator. */
Trace retell(const SizeMix& sizes, const BulkOptions& options, std::uint64_t operations);

}  // namespace hakmem::model
