package import Jobs
import Synchronization

/// All functions that can be called at present, of every runtime.
package final class FunctionCatalogue: Sendable {
    private let state = Mutex(State())

    private struct State {
        var functions: [Function.Runtime: [Function]] = [:]
        var broken: [Function.Runtime: [BrokenFile]] = [:]
        var byName: [String: Function] = [:]
        /// Runtimes that have yet to say what they have.
        var expected: Set<Function.Runtime> = []
        var onReplace: (@Sendable () -> Void)?

        /// Whether what is absent is not to come any more.
        var isWhole: Bool { expected.isEmpty && broken.values.allSatisfy(\.isEmpty) }
    }

    package init() {}

    package func function(named name: String) -> Function? {
        state.withLock { $0.byName[name] }
    }

    /// By name.
    package var functions: [Function] {
        state.withLock { $0.byName.values.sorted { $0.name < $1.name } }
    }

    /// Files that could not be read as functions, with the reason.
    package var broken: [BrokenFile] {
        state.withLock { state in
            state.broken.values.flatMap { $0 }.sorted { $0.file < $1.file }
        }
    }

    /// Whether a function that is absent may still come, since it may be in a file that cannot be
    /// imported, or one that is still to be read: then its jobs wait.
    package func awaits(_ name: String) -> Bool {
        state.withLock { $0.byName[name] == nil && !$0.isWhole }
    }

    /// What is still to be read, for people; nil when every runtime has said what it has.
    package var reading: String? {
        let expected = state.withLock { $0.expected.map(\.rawValue).sorted() }
        if expected.isEmpty { return nil }
        return "The functions of \(expected.joined(separator: " and ")) are still being read."
    }

    /// Why a function may not be there, for people; empty if every file could be read.
    package var excuse: String {
        if let reading { return " " + reading }
        let files = broken
        guard let first = files.first else { return "" }
        let more = files.count > 1 ? " (and \(files.count - 1) more)" : ""
        return " \(first.file)\(more) cannot be imported: \(first.error.prefix(200))."
    }

    /// Takes note that a runtime will say by `replace` what it has, which may take a while.
    package func expect(_ runtime: Function.Runtime) {
        state.withLock { _ = $0.expected.insert(runtime) }
    }

    /// Calls `body` after each `replace`, on its thread; the one before is not called any more.
    package func whenReplaced(_ body: @escaping @Sendable () -> Void) {
        state.withLock { $0.onReplace = body }
    }

    /// Replaces what a runtime offers.
    ///
    /// Of two functions with one name, that of the later runtime is called: native, then command,
    /// then Python, so that people may replace what comes with the server.
    package func replace(
        _ runtime: Function.Runtime, functions: [Function], broken: [BrokenFile] = [],
    ) {
        let onReplace = state.withLock { state in
            state.expected.remove(runtime)
            state.functions[runtime] = functions
            state.broken[runtime] = broken
            state.byName = [:]
            for runtime in [Function.Runtime.native, .command, .python] {
                for function in state.functions[runtime] ?? [] {
                    state.byName[function.name] = function
                }
            }
            return state.onReplace
        }
        onReplace?()
    }
}

/// A file in the functions folder that could not be used.
package struct BrokenFile: Sendable, Equatable {
    package let file: String
    /// One line for a person.
    package let error: String
    package let traceback: String?

    package init(file: String, error: String, traceback: String? = nil) {
        self.file = file
        self.error = error
        self.traceback = traceback
    }
}
