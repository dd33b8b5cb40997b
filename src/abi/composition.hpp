/**
 * @file composition.hpp
 * @box composition — which phase this library is
 *
 * The C entry points call one composition and do not know which. Each library is built from the
 * same sources with HAKMEM_PHASE set to its own: 16 by default, which is production, and 132, 140,
 * 143, 150 for the recorded ones (13-B, 14, 14-C, 15).
 *
 * @owns      the name `Composition`
 * @calls     phases/phase_13b phases/phase_14 phases/phase_14c phases/phase_15 phases/phase_16
 * @threads   not applicable: a type
 * @invariant none
 * @failure   none
 * @cost      none: resolved by the compiler
 * @phase     introduced in 16, when there was more than one
 */
#pragma once

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
#else
/** The malloc that the entry points call. */
using Composition = phases::Phase16;
#endif

}  // namespace hakmem::abi
