// The files beside this one: NAME.hex holds a message's bytes, NAME.txtpb the same message in
// words.
#ifndef TALLY_TESTS_GOLDEN_GOLDEN_FILE_H_
#define TALLY_TESTS_GOLDEN_GOLDEN_FILE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace tally {

// The bytes of NAME.hex: pairs of hexadecimal digits, `#` begins a comment. Fails the test if the
// file is not like that.
std::string GoldenBytes(absl::string_view name);

// Fills `message` from NAME.txtpb. Fails the test if the file does not describe such a message.
void ReadGoldenText(absl::string_view name, google::protobuf::Message& message);

}  // namespace tally

#endif  // TALLY_TESTS_GOLDEN_GOLDEN_FILE_H_
