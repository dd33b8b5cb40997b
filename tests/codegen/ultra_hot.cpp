// What the record counts of UltraHot: 5 to 7 instructions from the load of `top` to the block. The
// counts that it keeps in its second line, and the choice of the magazine, are not among them.
#include "front/ultra_hot.hpp"

using hakmem::front::UltraHot;

extern "C" {

void* ultra_hot_pop(UltraHot& hot);
void ultra_hot_push(UltraHot& hot, void* block);
void ultra_hot_full();  // what free does next; nobody links this

void* ultra_hot_pop(UltraHot& hot) { return hakmem::front::pop_from(hot.slots[0], hot.tops[0]); }

void ultra_hot_push(UltraHot& hot, void* block) {
    if (!hakmem::front::push_to(hot.slots[0], hot.tops[0], UltraHot::capacity, block)) {
        ultra_hot_full();
    }
}

}  // extern "C"
