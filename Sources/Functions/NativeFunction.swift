package import Jobs
package import RawJSON

/// A function compiled into the server.
package struct NativeFunction: Sendable {
    package let function: Function
    private let names: [String]
    private let body: Body

    private enum Body: Sendable {
        /// Never suspends, so that items of a map follow one another without the work of a suspension.
        case direct(@Sendable (NativeArguments) throws -> RawJSON)
        case suspending(@Sendable (NativeArguments) async throws -> RawJSON)
    }

    /// A function that computes.
    ///
    /// - Parameters:
    ///   - name: by which it is called.
    ///   - documentation: for people.
    ///   - parameters: in the order of positional arguments.
    ///   - pools: where it may run, the default first.
    ///   - body: computes the result; long loops look at `Task.isCancelled`.
    init(
        _ name: String, _ documentation: String, _ parameters: [NativeParameter],
        pools: [PoolKind], body: @escaping @Sendable (NativeArguments) throws -> RawJSON,
    ) {
        self.init(name, documentation, parameters, pools, .direct(body))
    }

    /// A function that waits for something; the parameters are the same.
    init(
        _ name: String, _ documentation: String, _ parameters: [NativeParameter],
        pools: [PoolKind],
        waiting body: @escaping @Sendable (NativeArguments) async throws -> RawJSON,
    ) {
        self.init(name, documentation, parameters, pools, .suspending(body))
    }

    private init(
        _ name: String, _ documentation: String, _ parameters: [NativeParameter],
        _ pools: [PoolKind], _ body: Body,
    ) {
        function = Function(
            name: name, runtime: .native, pool: pools.first ?? .thread, pools: pools,
            documentation: documentation, parameters: NativeParameter.schema(parameters),
            version: Release.version)
        names = parameters.map(\.name)
        self.body = body
    }

    /// Runs a call, whose arguments are an array of positional or an object of named ones, to its
    /// end; never throws, errors are failures.
    package func run(_ arguments: RawJSON) async -> Result<RawJSON, Failure> {
        await run { () throws(Failure) in try NativeArguments(arguments, names: names) }
    }

    /// Runs a call with one positional argument.
    package func run(item: RawJSON) async -> Result<RawJSON, Failure> {
        await run { () throws(Failure) in try NativeArguments(item: item, names: names) }
    }

    /// As `run(item:)`, of a function that never suspends; nil of another one.
    func runDirectly(item: RawJSON) -> Result<RawJSON, Failure>? {
        guard case .direct(let compute) = body else { return nil }
        do {
            return .success(try compute(try NativeArguments(item: item, names: names)))
        } catch {
            return .failure(Failure(thrown: error))
        }
    }

    private func run(
        _ arguments: () throws(Failure) -> NativeArguments,
    ) async -> Result<RawJSON, Failure> {
        do {
            switch body {
            case .direct(let compute): return .success(try compute(try arguments()))
            case .suspending(let compute): return .success(try await compute(try arguments()))
            }
        } catch {
            return .failure(Failure(thrown: error))
        }
    }
}

extension Failure {
    /// What an error that a native function has thrown says of the call.
    fileprivate init(thrown error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case is CancellationError:
            self.init(.cancelled, type: "Cancelled", message: "The call was stopped.")
        default:
            self.init(
                .exception, type: String(describing: Swift.type(of: error)), message: "\(error)")
        }
    }
}

/// A parameter of a native function, for its schema.
struct NativeParameter {
    let name: String
    /// Of JSON Schema; empty for any.
    let types: [String]
    let isRequired: Bool

    init(_ name: String, _ types: String..., isRequired: Bool = true) {
        self.name = name
        self.types = types
        self.isRequired = isRequired
    }

    static func schema(_ parameters: [NativeParameter]) -> RawJSON {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("type", "object")
        writer.key("properties")
        writer.beginObject()
        for parameter in parameters {
            writer.key(named: parameter.name)
            writer.beginObject()
            if parameter.types.count == 1 { writer.member("type", parameter.types[0]) }
            if parameter.types.count > 1 { writer.member("type", parameter.types) }
            writer.endObject()
        }
        writer.endObject()
        writer.member("required", parameters.filter(\.isRequired).map(\.name))
        writer.member("additionalProperties", false)
        writer.member("x-positional", parameters.map(\.name))
        writer.endObject()
        return RawJSON(trusted: writer.bytes[...])
    }
}

/// The arguments of a native call, by name.
package struct NativeArguments: Sendable {
    private let names: [String]
    /// In the order of `names`, as far as given; the first by itself, so that a call with one
    /// argument makes no array.
    private var first: RawJSON?
    private var others: [RawJSON?] = []

    /// One positional argument.
    init(item: RawJSON, names: [String]) throws(Failure) {
        guard !names.isEmpty else { throw Self.refusal("takes no arguments") }
        self.names = names
        first = item
    }

    /// Binds an array of positional or an object of named arguments, refusing what the function
    /// does not take.
    init(_ document: RawJSON, names: [String]) throws(Failure) {
        self.names = names
        switch document.kind {
        case .array:
            let elements = document.elements()
            guard elements.count <= names.count else {
                throw Self.refusal(
                    "takes at most \(names.count) arguments, \(elements.count) were given")
            }
            first = elements.first
            others = Array(elements.dropFirst())
        case .object:
            others = Array(repeating: nil, count: max(0, names.count - 1))
            for (name, value) in document.members() {
                switch names.firstIndex(of: name) {
                case nil: throw Self.refusal("takes no argument named \"\(name)\"")
                case 0?: first = value
                case let index?: others[index - 1] = value
                }
            }
        case .string, .number, .bool, .null:
            throw Self.refusal("takes an array or an object of arguments")
        }
    }

    package func value(_ name: String) throws(Failure) -> RawJSON {
        guard let value = optional(name) else {
            throw Self.refusal("misses its argument \"\(name)\"")
        }
        return value
    }

    package func optional(_ name: String) -> RawJSON? {
        guard let index = names.firstIndex(of: name) else { return nil }
        if index == 0 { return first }
        return index <= others.count ? others[index - 1] : nil
    }

    package func int(_ name: String, _ range: ClosedRange<Int>) throws(Failure) -> Int {
        guard let number = try value(name).int, range.contains(number) else {
            throw Self.refusal(
                "wants \"\(name)\" as a whole number from \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return number
    }

    package func seconds(_ name: String) throws(Failure) -> Double {
        guard let number = try value(name).double, number >= 0, number <= 1_000_000_000 else {
            throw Self.refusal("wants \"\(name)\" as a number of seconds, 0 or more")
        }
        return number
    }

    package func text(_ name: String) throws(Failure) -> String {
        guard let text = try value(name).string else {
            throw Self.refusal("wants \"\(name)\" as a string")
        }
        return text
    }

    static func refusal(_ what: String) -> Failure {
        Failure(.exception, type: "ArgumentError", message: "The function \(what).")
    }
}
