#include "phases/fronted.hpp"

#include "os/environment.hpp"

// Each library compiles this file for itself; the tests do not say which, and get UltraHot.
#ifndef HAKMEM_PHASE
#define HAKMEM_PHASE 161
#endif

namespace hakmem::front {

namespace {

#if HAKMEM_PHASE == 162
using Front = phases::HeapV2InFront;
#elif HAKMEM_PHASE == 161
using Front = phases::UltraHotInFront;
#else
#error "HAKMEM_PHASE names no front of Phase 16: 161 or 162"
#endif

}  // namespace

// What a heap of this library has in front of its magazines.
constinit const OuterFront outer_front{
    sizeof(Front),
    [](ThreadHeap& heap) {
        Front& own = phases::Fronted<Front>::front_of(heap);
        while (void* const block = own.magazines.take_any()) heap.give_back(block);
        own.open = os::options().hardened == 0;
    },
    [](const ThreadHeap& heap, middle::CachedVisitor visitor, void* context) {
        static_cast<const Front*>(heap.outer())->magazines.for_each([=](void* block) {
            visitor(block, context);
        });
    },
    [](const ThreadHeap& heap) {
        return static_cast<const Front*>(heap.outer())->magazines.validate();
    },
    [] {},
};

}  // namespace hakmem::front
