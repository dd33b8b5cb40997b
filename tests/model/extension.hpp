/**
 * @file
 * The two functions of hakmem.h that the model uses where the allocator has them.
 *
 * A linked program names them; a program under LD_PRELOAD must look whether they are there, because
 * the same program also runs on allocators that are not HAKMEM. Hence two implementations.
 */
#pragma once

namespace hakmem::model {

struct Extension {
    int (*version)();
    int (*validate)();
};

/** Both members are null when the allocator is not HAKMEM. */
Extension find_extension();

}  // namespace hakmem::model
