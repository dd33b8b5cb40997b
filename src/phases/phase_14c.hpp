/**
 * @file phase_14c.hpp
 * @box phase_14c — the stable free routing, counted
 *
 * The fronts of Phase 14, and the free routing that the record calls stable: what the header byte
 * and the registry do not know is probed with mincore before its AllocHeader is read. The number of
 * probes is a figure of this phase: the record counted 841 in 100,000 operations of random mixed
 * sizes, one for each free of a block above 1,023 bytes.
 *
 * @owns      the composition; no state
 * @calls     gate/classify_ptr phases/recorded
 * @threads   any
 * @invariant none
 * @failure   as Phase 16
 * @cost      measured whole, by the programs of the record
 * @phase     recorded as 14-C; rebuilt here
 */
#pragma once

#include "gate/classify_ptr.hpp"
#include "phases/recorded.hpp"

namespace hakmem::phases {

/** What Phase 14-C is made of. */
struct Phase14CTraits {
    static constexpr bool with_ultra_hot = true;  ///< Whether UltraHot stands in front.
    /**
     * @param pointer Any pointer but null.
     * @return What it is.
     */
    static gate::Classified classify(const void* pointer) { return gate::classify_ptr(pointer); }
};

/** Phase 14-C. */
using Phase14C = Recorded<Phase14CTraits>;

}  // namespace hakmem::phases
