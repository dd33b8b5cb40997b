/**
 * @file whole.hpp
 * @box whole — has all that a contract needs
 *
 * @owns      nothing
 * @calls     —
 * @threads   any
 * @invariant I1 the first, which
 *            goes on in the next line
 * @invariant I2 the second
 * @failure   none
 * @cost      none
 * @phase     introduced in 16
 */
#pragma once
