/**
 * @file
 * Allocators that are broken on purpose.
 *
 * A test that has never failed proves little. Each mutant is the real allocator with one fault that
 * shows once in some thousand calls; the model must catch every one of them, as the right kind.
 */
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "subject.hpp"
#include "violation.hpp"

namespace hakmem::model {

struct Mutant {
    const char* name;
    const char* fault;
    /** Any of these is the right finding: a fault may show in more than one way. */
    std::vector<Violation> expected;
    /** Fewest workers among which the fault can show. */
    unsigned workers;
    void (*plant)(Subject& subject);
    bool needs_fork = false;  // shows in a forked child only
};

const std::vector<Mutant>& mutants();

/** The broken allocator; the fault shows at every `every`-th call. Throws std::out_of_range for a
 * name that no mutant has. */
const Subject& make_mutant(const std::string& name, std::uint64_t every);

}  // namespace hakmem::model
