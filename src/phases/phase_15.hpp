/**
 * @file phase_15.hpp
 * @box phase_15 — free routing by one byte, finished
 *
 * The fronts of Phase 14, and a gate that reads one byte. The record has it unfinished: it crashed
 * on pointers at the start of a page, had no answer for C7, and was not safe without mincore. Here
 * its three open steps are done. Pointers that have no byte are found in the page map, as C7 and
 * mid blocks are; an AllocHeader is validated before it is believed; and foreign pointers go to the
 * C library through external_guard, which asks the kernel only if an option says so.
 *
 * @owns      the composition; no state
 * @calls     gate/front_gate_v2 phases/recorded
 * @threads   any
 * @invariant none
 * @failure   as Phase 16
 * @cost      measured whole, by the programs of the record
 * @phase     recorded as 15; rebuilt here
 */
#pragma once

#include "gate/front_gate_v2.hpp"
#include "phases/recorded.hpp"

namespace hakmem::phases {

/** What Phase 15 is made of. */
struct Phase15Traits {
    static constexpr bool with_ultra_hot = true;  ///< Whether UltraHot stands in front.
    /**
     * @param pointer Any pointer but null.
     * @return What it is.
     */
    static gate::Classified classify(const void* pointer) { return gate::front_gate_v2(pointer); }
};

/** Phase 15. */
using Phase15 = Recorded<Phase15Traits>;

}  // namespace hakmem::phases
