/**
 * @file
 * Makes a failing trace short.
 *
 * Delta debugging (Zeller and Hildebrandt 2002): leave out ever smaller pieces for as long as what
 * remains still fails, then make the numbers in the steps that are left as small as they can be.
 */
#pragma once

#include <chrono>
#include <functional>

#include "trace.hpp"

namespace hakmem::model {

/** Shortens `trace`, which fails, while `fails` holds; stops when the time is used up. */
Trace shrink(Trace trace, const std::function<bool(const Trace&)>& fails,
             std::chrono::seconds time);

}  // namespace hakmem::model
