package import Jobs
import Synchronization

/// All functions that can be called at present, of every runtime.
package final class FunctionCatalogue: Sendable {
    private let state = Mutex(State())

    private struct State {
        var functions: [Function.Runtime: [Function]] = [:]
        var broken: [Function.Runtime: [BrokenFile]] = [:]
        var byName: [String: Function] = [:]
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

    /// Why a function may not be there, for people; empty if every file could be read.
    package var excuse: String {
        let files = broken
        guard let first = files.first else { return "" }
        let more = files.count > 1 ? " (and \(files.count - 1) more)" : ""
        return " \(first.file)\(more) cannot be imported: \(first.error.prefix(200))."
    }

    /// Replaces what a runtime offers.
    ///
    /// Of two functions with one name, that of the later runtime is called: native, then command,
    /// then Python, so that people may replace what comes with the server.
    package func replace(
        _ runtime: Function.Runtime, functions: [Function], broken: [BrokenFile] = [],
    ) {
        state.withLock { state in
            state.functions[runtime] = functions
            state.broken[runtime] = broken
            state.byName = [:]
            for runtime in [Function.Runtime.native, .command, .python] {
                for function in state.functions[runtime] ?? [] {
                    state.byName[function.name] = function
                }
            }
        }
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
