// The payloads of docs/wire-format.md, written a second time, byte by byte.
#ifndef TALLY_TESTS_REFERENCE_REFERENCE_PAYLOAD_H_
#define TALLY_TESTS_REFERENCE_REFERENCE_PAYLOAD_H_

#include <cstddef>
#include <string>
#include <vector>

namespace tally::reference {

enum class Format { kFloat32, kFloat16, kBFloat16 };

// The nearest value of the format, of two equally near ones the even one; infinity beyond its
// largest.
float Rounded(Format format, float value);

// True if the value may be sent in a dense payload of the format.
bool MayBeSent(Format format, float value);

// A dense payload; rounds.
std::string DensePayload(Format format, const std::vector<float>& values);

// Element i in bit i % 8 of byte i / 8.
std::string Bitmap(const std::vector<bool>& bits);

// Scales, then bits.
std::string SignPayload(const std::vector<float>& scales, const std::vector<bool>& bits);

// Values may be empty: a set without values. `indices` increase.
std::string SparsePayload(const std::vector<size_t>& indices, const std::vector<float>& values,
                          size_t num_elements);

// The positions, increasing, of the `count` values with the largest magnitudes; of equal ones the
// first. Those that are not allowed do not count; fewer if too few are allowed.
std::vector<size_t> Largest(const std::vector<float>& values, const std::vector<bool>& allowed,
                            size_t count);

}  // namespace tally::reference

#endif  // TALLY_TESTS_REFERENCE_REFERENCE_PAYLOAD_H_
