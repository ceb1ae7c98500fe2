import CLibFuzzer
import RawJSON

var argumentCount = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
_ = LLVMFuzzerRunDriver(&argumentCount, &arguments) { bytes, count in
    let input = Array(UnsafeBufferPointer(start: bytes, count: count))
    guard let value = try? RawJSON(validating: input) else { return 0 }
    let compact = value.compacted()
    // What is valid stays so without its blanks, and has no more to lose.
    guard let again = try? RawJSON(validating: Array(compact.bytes)) else {
        preconditionFailure("compacting makes it invalid")
    }
    precondition(Array(again.compacted().bytes) == Array(compact.bytes), "compacting twice differs")
    precondition(value.elements().count == compact.elements().count, "elements are lost")
    precondition(value.members().count == compact.members().count, "members are lost")
    return 0
}
