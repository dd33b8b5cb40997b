/**
 * @file phase_13b.hpp
 * @box phase_13b — TinyHeapV2, supplied from free
 *
 * TinyHeapV2 had been put in front of the older fronts and stayed empty. This phase fills it from
 * the free path, in two ways that the option `tiny_heap_v2_leftover_mode` chooses between:
 *
 *     malloc   heap_v2 ─▶ bump ─▶ small_mag ─▶ tls_sll ─▶ slabs
 *     free     heap_v2 ─▶ small_mag ─▶ tls_sll                     stealing
 *     free     small_mag ─▶ heap_v2 ─▶ tls_sll                     leftover
 *
 * @owns      the composition; no state
 * @calls     gate/classify_ptr phases/recorded
 * @threads   any
 * @invariant none
 * @failure   as Phase 16
 * @cost      measured whole, by the programs of the record
 * @phase     recorded as 13-B; rebuilt here
 */
#pragma once

#include "gate/classify_ptr.hpp"
#include "phases/recorded.hpp"

namespace hakmem::phases {

/** What Phase 13-B is made of. */
struct Phase13BTraits {
    static constexpr bool with_ultra_hot = false;  ///< Whether UltraHot stands in front.
    /**
     * @param pointer Any pointer but null.
     * @return What it is.
     */
    static gate::Classified classify(const void* pointer) { return gate::classify_ptr(pointer); }
};

/** Phase 13-B. */
using Phase13B = Recorded<Phase13BTraits>;

}  // namespace hakmem::phases
