/**
 * @file composition.hpp
 * @box composition — which phase this library is
 *
 * The C entry points call one composition and do not know which. Each library is built from the
 * same sources with HAKMEM_PHASE set to its own: 160 by default, which is production; 132, 140, 143
 * and 150 for the recorded ones (13-B, 14, 14-C, 15); 161 and 162 for production with UltraHot or
 * HeapV2 in front of it, which are there to be measured.
 *
 * @owns      the name `Composition`
 * @calls     phases/fronted phases/phase_13b phases/phase_14 phases/phase_14c phases/phase_15
 *            phases/phase_16
 * @threads   not applicable: a type
 * @invariant none
 * @failure   none
 * @cost      none: resolved by the compiler
 * @phase     introduced in 16, when there was more than one
 */
#pragma once

#include "phases/fronted.hpp"
#include "phases/phase_13b.hpp"
#include "phases/phase_14.hpp"
#include "phases/phase_14c.hpp"
#include "phases/phase_15.hpp"
#include "phases/phase_16.hpp"

#ifndef HAKMEM_PHASE
/** The phase of this library, times ten; 13-B is 132 and 14-C is 143. */
#define HAKMEM_PHASE 160
#endif

namespace hakmem::abi {

#if HAKMEM_PHASE == 132
using Composition = phases::Phase13B;
#elif HAKMEM_PHASE == 140
using Composition = phases::Phase14;
#elif HAKMEM_PHASE == 143
using Composition = phases::Phase14C;
#elif HAKMEM_PHASE == 150
using Composition = phases::Phase15;
#elif HAKMEM_PHASE == 161
using Composition = phases::Fronted<phases::UltraHotInFront>;
#elif HAKMEM_PHASE == 162
using Composition = phases::Fronted<phases::HeapV2InFront>;
#elif HAKMEM_PHASE == 160
/** The malloc that the entry points call. */
using Composition = phases::Phase16;
#else
#error "HAKMEM_PHASE names no phase"
#endif

}  // namespace hakmem::abi
