// A program that has never heard of HAKMEM and allocates only within the C++ library.
#include <iostream>
#include <map>
#include <string>

int main() {
    std::map<std::string, std::string> words;
    for (int i = 0; i < 1000; i++) words[std::to_string(i)] = std::string(1000, 'x');
    std::cout << (words.size() == 1000 ? "done" : "lost") << '\n';
}
