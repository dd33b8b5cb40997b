TEST(Slab, I1_CountsAreNotNegative) {}
TEST(Slab, I21_IsAnother) {}
TEST(Slab, MentionsTheI3InACamel) {}
