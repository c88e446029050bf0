// Singles as doubles that read as the single does: 0.1, not 0.10000000149011612.
#pragma once

namespace tailwater {

// The double of the shortest decimal that is read back as `single`, if it rounds to `single` again:
// then nothing is lost. Else, and for what is not finite, `single` itself.
double ShortestDouble(float single);

}  // namespace tailwater
