#include "back/slab.hpp"

#include "base/options.inc"
#include "base/size_class.hpp"
// #include "base/bits.hpp"
