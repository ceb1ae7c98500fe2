package import RawJSON

extension Function {
    /// Reads a function of a Python worker's greeting (`Docs/worker-protocol.md`).
    ///
    /// - Throws: why there can be no such function, with the place in the greeting's object.
    package convenience init(hello: RawJSON) throws(SubmissionError) {
        let start = JSONPointer()
        guard let name = hello.member("name")?.string else {
            throw SubmissionError(.missingMember, at: start, "A function has a \"name\".")
        }
        guard let pool = hello.member("pool")?.string.flatMap(PoolKind.init(rawValue:)) else {
            let pools = PoolKind.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
            throw SubmissionError(
                .invalidMember, at: start.appending("pool"),
                "A function's \"pool\" is one of \(pools).")
        }
        let pools = hello.member("pools")?.elements().compactMap {
            $0.string.flatMap(PoolKind.init(rawValue:))
        }
        var tags: [String] = []
        if let list = hello.member("tags"), list.kind != .null {
            tags = try JobTags.read(list, at: start.appending("tags"))
        }
        self.init(
            name: name, runtime: .python, pool: pool, pools: pools ?? [pool],
            documentation: hello.member("doc")?.string ?? "",
            parameters: hello.member("parameters") ?? .emptyObject,
            timeout: hello.member("timeout")?.double,
            retry: hello.member("retry").flatMap {
                try? RetryPolicy(parsing: $0, at: start)
            },
            limits: CallLimits(hello: hello), cpus: hello.member("cpus")?.int,
            queue: hello.member("queue")?.string, tags: tags,
            isUnique: hello.member("unique")?.bool ?? false,
            cache: hello.member("cache")?.double, source: hello.member("file")?.string,
            version: hello.member("version")?.string)
    }
}
