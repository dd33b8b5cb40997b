#pragma once
#include "back/pool.hpp"
#include "back/slab.hpp"
