/**
 * @file
 * What the model can find wrong, and how it says so.
 *
 * A violation ends the process at once: the heap can no longer be trusted, so neither can anything
 * that would be unwound. What was found is written to the error output and into a Note, a page
 * shared with the process that started this one, which decides what to do about it.
 */
#pragma once

#include <atomic>
#include <cstdint>

#include "trace.hpp"

namespace hakmem::model {

enum class Violation : int {
    none,
    null_result,         // a sane request failed
    misaligned,          // weaker alignment than asked for, or than every block must have
    usable_short,        // usable size below the request
    usable_changed,      // usable size of an untouched block changed
    overlap,             // a block lies over another live block
    not_zero,            // calloc returned memory that is not zero
    content_lost,        // a block does not hold what was written into it
    impossible_granted,  // a request that cannot be met was met
    wrong_errno,         // a failure without its errno, or a free that changed errno
    realloc_zero,        // realloc(p, 0) returned a block
    fork_child,          // the child of a fork could not use the heap
    validate_failed,     // the allocator found its own heap broken
    resident,            // memory did not come back
    count_of_kinds
};

const char* violation_name(Violation violation);

/** Exit status of a process that ended in the violation: violation_status_base + its number. */
inline constexpr int violation_status_base = 40;

constexpr bool is_violation_status(int status) {
    return status > violation_status_base &&
           status < violation_status_base + static_cast<int>(Violation::count_of_kinds);
}

/** What a run tells the process that watches it; lives in shared memory, starts as zeros. */
struct Note {
    std::atomic<std::uint64_t> operations;  // begun so far; of one worker in a threaded run
    std::atomic<int> written;               // 1 once text is complete
    char text[1000];
};

/** The note of this process. A run that nobody watches gets a private one. */
Note& note();

/** Maps the note that a watching process passed as a file descriptor. */
void use_note(int file_descriptor);

/** Reports the violation with a printf-like text and ends the process. Only the first one counts.
 */
[[noreturn, gnu::format(printf, 2, 3)]] void violate(Violation violation, const char* format, ...);

/** What violate() appends: where the calling thread is in its run. The step must stay alive. */
void set_position(unsigned worker, std::uint64_t operation, const Step* step);

}  // namespace hakmem::model
