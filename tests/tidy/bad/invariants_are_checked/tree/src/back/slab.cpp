#include "back/slab.hpp"

const char* validate(int free, int live) {
    if (free < 0) return "slab I1: a negative count";
    // "slab I2" is what this would say
    if (live < 0) return "slab I3: a negative count";
    return nullptr;
}
