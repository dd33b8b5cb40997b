/**
 * @file pressure_new.cpp
 * @brief C++ programs out of memory: std::bad_alloc, and then they go on.
 *
 * The exception itself needs memory, while there is none; containers must be left as they were
 * before the call that threw.
 */
#include <array>
#include <list>
#include <map>
#include <new>
#include <string>
#include <vector>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

template <class Body>
void until_bad_alloc(Body body) {
    bool thrown = false;
    for (std::size_t i = 0; i < 50000000 && !thrown; ++i) {
        try {
            body(i);
        } catch (const std::bad_alloc&) {
            thrown = true;
        }
    }
    CHECK(thrown);
}

void containers(std::size_t room) {
    limit_address_space(room);
    {
        std::vector<std::size_t> numbers;
        until_bad_alloc([&](std::size_t i) { numbers.push_back(i); });
        for (std::size_t i = 0; i < numbers.size(); ++i) {
            CHECK_EQ(numbers[i], i);
        }
    }
    {
        std::list<std::string> texts;
        until_bad_alloc([&](std::size_t i) {
            texts.emplace_back(500 + i % 1000, static_cast<char>('a' + i % 26));
        });
        std::size_t i = 0;
        for (const std::string& text : texts) {
            CHECK_EQ(text.size(), 500 + i % 1000);
            CHECK_EQ(static_cast<int>(text.back()), static_cast<int>('a' + i % 26));
            ++i;
        }
    }
    {
        std::map<std::size_t, std::array<char, 2000>> tree;
        until_bad_alloc([&](std::size_t i) { tree[i].fill(static_cast<char>(i % 100)); });
        for (const auto& [key, value] : tree) {
            CHECK_EQ(static_cast<std::size_t>(value[1999]), key % 100);
        }
        CHECK(::operator new(2 * gib, std::nothrow) == nullptr);
    }
    lift_address_space_limit();
    std::vector<std::string> after(20000, std::string(300, 'z'));
    for (const std::string& text : after) {
        CHECK(text == std::string(300, 'z'));
    }
}

}  // namespace

int main() {
    subject_require();
    deadline(100);
    containers(8 * mib);
    containers(100 * kib);
    containers(40 * mib);
    subject_validate();
    return 0;
}
