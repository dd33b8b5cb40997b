/**
 * @file phase_14.hpp
 * @box phase_14 — UltraHot in front of everything
 *
 * A front of two cache lines for requests of 16 and 32 bytes, before all the others:
 *
 *     malloc   ultra_hot ─▶ heap_v2 ─▶ bump ─▶ small_mag ─▶ tls_sll ─▶ slabs
 *     free     ultra_hot ─▶ heap_v2 ─▶ small_mag ─▶ tls_sll
 *
 * The record says that it gained a fifth where all requests are of these sizes, and lost a little
 * where few are.
 *
 * @owns      the composition; no state
 * @calls     gate/classify_ptr phases/recorded
 * @threads   any
 * @invariant none
 * @failure   as Phase 16
 * @cost      measured whole, by the programs of the record
 * @phase     recorded as 14; rebuilt here
 */
#pragma once

#include "gate/classify_ptr.hpp"
#include "phases/recorded.hpp"

namespace hakmem::phases {

/** What Phase 14 is made of. */
struct Phase14Traits {
    static constexpr bool with_ultra_hot = true;  ///< Whether UltraHot stands in front.
    /**
     * @param pointer Any pointer but null.
     * @return What it is.
     */
    static gate::Classified classify(const void* pointer) { return gate::classify_ptr(pointer); }
};

/** Phase 14. */
using Phase14 = Recorded<Phase14Traits>;

}  // namespace hakmem::phases
