#pragma once
namespace hakmem::back {
// only_in_a_comment() is no code
struct Slab {
    void take_block();
};
}
