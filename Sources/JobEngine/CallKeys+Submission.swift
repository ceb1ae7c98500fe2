import Functions
import Jobs
import RawJSON

extension CallKeys {
    /// Those that a submission asks for.
    ///
    /// Arguments are the same when their JSON texts are, white space outside strings apart: 1 and
    /// 1.0 are not, nor are the same members in another order. A function whose version is unknown
    /// has no results to answer with.
    init(_ submission: borrowing JobSubmission, of function: Function) {
        self.init()
        if submission.isUnique == true { unique = Self.fingerprint(submission, version: "") }
        if submission.cache != nil, let version = function.version {
            cache = Self.fingerprint(submission, version: function.runtime.rawValue + version)
        }
    }

    private static func fingerprint(_ submission: JobSubmission, version: String) -> [UInt8] {
        var fingerprint = Fingerprint()
        fingerprint.add(submission.function)
        fingerprint.add(version)
        switch submission.work {
        case .call(let arguments):
            fingerprint.add("call")
            fingerprint.add(arguments.compacted().bytes)
        case .map(let items, _, let spread):
            fingerprint.add(spread ? "spread" : "map")
            fingerprint.add(items.compacted().bytes)
        }
        return fingerprint.bytes()
    }
}
