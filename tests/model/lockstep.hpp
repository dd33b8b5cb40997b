/**
 * @file
 * Carries out a trace whose steps name threads.
 *
 * Each thread of the trace is a thread of the process, but only one moves at a time, in the order
 * of the trace. Remote frees, adoption and thread ends thereby become steps like any other: a run
 * with threads can be replayed and shrunk. Races are not looked for here but in the bulk runs.
 */
#pragma once

#include <cstdint>

#include "subject.hpp"
#include "trace.hpp"

namespace hakmem::model {

struct LockstepOptions {
    std::uint64_t validate_every = 0;  // steps; 0 for never
    bool relaxed = false;
};

/** Runs the trace; steps that make no sense where they stand are skipped. Returns the steps done,
 * or ends the process in violate(). What is left live at the end is checked and freed. */
std::uint64_t run_lockstep(const Subject& subject, const Trace& trace,
                           const LockstepOptions& options);

}  // namespace hakmem::model
