#pragma once
#include <cstddef>
// #include "nowhere/comment.hpp"
#include "base/units.hpp"
#include "front/magazine.hpp"
#include "units.hpp"
#include "base/gone.hpp"
