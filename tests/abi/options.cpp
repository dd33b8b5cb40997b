/**
 * @file options.cpp
 * @brief A program that allocates a little and tells what options it runs with.
 *
 * `list` prints name, value and sentence of each option, tab-separated, from hakmem_option_list;
 * `get NAME` prints one. Without arguments it only works, so that whatever stands on descriptor 2
 * was written by the allocator. options_test.py judges.
 */
#include <cstdlib>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

void work() {
    Block blocks[300];
    Random random(1);
    for (int round = 0; round < 3; ++round) {
        for (Block& block : blocks) {
            block.release();
            block.make(random.size(300 * kib), random.next());
        }
    }
    for (Block& block : blocks) {
        block.release();
    }
}

}  // namespace

int main(int argc, char** argv) {
    subject_require();
    work();
    if (argc == 2 && std::strcmp(argv[1], "list") == 0) {
        const auto list = subject_optional(hakmem_option_list, "hakmem_option_list");
        CHECK(list != nullptr);
        list(
            [](const char* name, const char* value, const char* sentence, void*) {
                check::Line().add(name).add("\t").add(value).add("\t").add(sentence).put(1);
            },
            nullptr);
    } else if (argc == 3 && std::strcmp(argv[1], "get") == 0) {
        const auto get = subject_optional(hakmem_option_get, "hakmem_option_get");
        CHECK(get != nullptr);
        char value[64];
        const int error = get(argv[2], value, sizeof value);
        if (error == 0) {
            check::Line().add(value).put(1);
        } else {
            check::Line().add("error ").value(error).put(1);
        }
        char tiny[1];
        CHECK(error != 0 || get(argv[2], tiny, sizeof tiny) == ERANGE);
        CHECK_EQ(get(nullptr, value, sizeof value), EINVAL);
        CHECK_EQ(get(argv[2], nullptr, 0), EINVAL);
    }
    check::Line().add("alive").put(1);
    return 0;
}
