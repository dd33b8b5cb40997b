/**
 * @file gaps.hpp
 * @box gap — the name is not the file's
 *
 * @owns      nothing
 * @calls     —
 * @threads
 * @invariant I1 the first
 * @invariant I3 the second
 * @invariant that which has no number
 * @cost      none
 * @phase     introduced in 16
 */
#pragma once
