/**
 * @file
 * Traces drawn and shrunk by RapidCheck.
 *
 * The bulk runs find what takes millions of operations; these find what takes a dozen, in an order
 * that chance would rarely produce, on a heap as young as that of a program that has just started,
 * and with threads that start, end and free each other's blocks step by step.
 */
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sizes.hpp"
#include "trace.hpp"

namespace hakmem::model {

struct StateOptions {
    std::uint64_t seed = 1;
    unsigned traces = 200;
    unsigned steps_max = 200;
    std::vector<std::string> trial_arguments;
};

struct StateResult {
    bool held = false;
    std::uint64_t traces = 0;
    std::uint64_t steps = 0;
    Trace shortest_failing;
};

StateResult check_state_machine(const SizeMix& sizes, const StateOptions& options);

}  // namespace hakmem::model
