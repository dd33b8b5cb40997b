// Containers, exceptions, streams and threads: a C++ program to compile and run.
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
};

struct Box : Shape {
    explicit Box(double the_side) : side(the_side) {
        if (side < 0) {
            throw std::invalid_argument("negative side " + std::to_string(side));
        }
    }
    double area() const override { return side * side; }
    double side;
};

int main() {
    std::map<std::string, std::vector<std::unique_ptr<Shape>>> shapes;
    int refused = 0;
    for (int i = -500; i < 20000; ++i) {
        try {
            std::ostringstream name;
            name << "group " << i % 300;
            shapes[name.str()].push_back(std::make_unique<Box>(i));
        } catch (const std::invalid_argument&) {
            ++refused;
        }
    }
    std::vector<double> sums(4);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < sums.size(); ++t) {
        threads.emplace_back([&, t] {
            std::vector<std::string> parts;
            for (const auto& [name, group] : shapes) {
                parts.push_back(name + " of thread " + std::to_string(t));
                for (const auto& shape : group) {
                    sums[t] += shape->area();
                }
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    std::thread([taken = std::move(shapes)]() mutable { taken.clear(); }).join();
    std::cout << std::fixed << refused << ' ' << sums[0] << ' ' << sums[3] << '\n';
}
