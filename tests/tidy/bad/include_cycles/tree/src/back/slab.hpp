#pragma once

#include "back/span.hpp"
