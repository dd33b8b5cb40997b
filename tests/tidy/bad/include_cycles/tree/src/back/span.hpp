#pragma once
#include "back/pool.hpp"
