/**
 * @box slab — a span of blocks of one class
 * @invariant I1 checked and tested
 * @invariant I2 only in a comment of the code; its test's name only begins like it
 * @invariant I3 checked and not tested
 */
#pragma once
