#pragma once
#include "front/magazine.hpp"
