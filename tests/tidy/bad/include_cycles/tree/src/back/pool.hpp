#pragma once
#include "back/slab.hpp"
