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
 * @calls     phases/phase_14 phases/recorded
 * @threads   any
 * @invariant none
 * @failure   as Phase 16
 * @cost      measured whole, by the programs of the record
 * @phase     recorded as 14-C; rebuilt here
 */
#pragma once

#include "phases/phase_14.hpp"
#include "phases/recorded.hpp"

namespace hakmem::phases {

/** What Phase 14-C is made of: the parts of Phase 14. */
struct Phase14CTraits : Phase14Traits {};

/** Phase 14-C. */
using Phase14C = Recorded<Phase14CTraits>;

}  // namespace hakmem::phases
