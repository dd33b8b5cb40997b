/** @file bare.hpp */
#pragma once
