/**
 * @file
 * Runs the model in a process of its own and sees how it ends.
 *
 * A heap that broke once is no place to go on, and a crash must count as a finding like any other.
 * Each trial is therefore this same program started afresh, under the same preload: its heap is as
 * young as that of any program, which a forked copy's would not be.
 */
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trace.hpp"
#include "violation.hpp"

namespace hakmem::model {

struct Outcome {
    int wait_status = 0;
    std::uint64_t operations = 0;  // begun before the end
    std::string text;              // of the violation, or which signal

    bool ok() const { return wait_status == 0; }
    /** The violation that ended it; none when it ended well or otherwise. */
    Violation violation() const;
    /** Did it end the same way? A crash is not an overlap, so shrinking must not mix them. */
    bool same_end(const Outcome& other) const;
};

/** Starts this program with the arguments, error output kept or dropped, and waits for it. */
Outcome run_trial(const std::vector<std::string>& arguments, bool quiet);

/** As run_trial, with `replay TRACE` put before the arguments. */
Outcome run_trace_trial(const Trace& trace, const std::vector<std::string>& arguments, bool quiet);

}  // namespace hakmem::model
