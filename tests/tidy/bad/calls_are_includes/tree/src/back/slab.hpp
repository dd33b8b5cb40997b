/**
 * @box slab — a span of blocks of one class
 * @calls base/units base/bits
 */
#pragma once
#include "base/units.hpp"
