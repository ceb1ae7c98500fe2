package import Jobs
package import RawJSON

/// A function compiled into the server.
package struct NativeFunction: Sendable {
    package let function: Function
    /// Computes the result; long loops look at `Task.isCancelled`.
    package let body: @Sendable (NativeArguments) async throws -> RawJSON

    /// - Parameters:
    ///   - name: by which it is called.
    ///   - documentation: for people.
    ///   - parameters: in the order of positional arguments.
    ///   - pools: where it may run, the default first.
    ///   - body: computes the result.
    init(
        _ name: String, _ documentation: String, _ parameters: [NativeParameter],
        pools: [PoolKind], body: @escaping @Sendable (NativeArguments) async throws -> RawJSON,
    ) {
        function = Function(
            name: name, runtime: .native, pool: pools.first ?? .thread, pools: pools,
            documentation: documentation, parameters: NativeParameter.schema(parameters))
        let names = parameters.map(\.name)
        self.body = { arguments in
            try await body(arguments.named(names))
        }
    }

    /// Runs a call to its end; never throws, errors are failures.
    package func run(_ arguments: RawJSON) async -> Result<RawJSON, Failure> {
        do {
            return .success(try await body(NativeArguments(arguments)))
        } catch let failure as Failure {
            return .failure(failure)
        } catch is CancellationError {
            return .failure(
                Failure(.cancelled, type: "Cancelled", message: "The call was stopped."))
        } catch {
            return .failure(
                Failure(.exception, type: String(describing: type(of: error)), message: "\(error)"))
        }
    }
}

/// A parameter of a native function, for its schema.
struct NativeParameter {
    let name: String
    /// A JSON Schema type; empty for any.
    let type: String
    let isRequired: Bool

    init(_ name: String, _ type: String, isRequired: Bool = true) {
        self.name = name
        self.type = type
        self.isRequired = isRequired
    }

    static func schema(_ parameters: [NativeParameter]) -> RawJSON {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("type", "object")
        writer.key("properties")
        writer.beginObject()
        for parameter in parameters {
            writer.key(parameter.name)
            writer.beginObject()
            if !parameter.type.isEmpty { writer.member("type", parameter.type) }
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
    private let document: RawJSON
    private var values: [String: RawJSON] = [:]

    /// - Parameter document: an array of positional or an object of named arguments.
    package init(_ document: RawJSON) { self.document = document }

    /// Binds positional arguments to names, refusing what the function does not take.
    func named(_ names: [String]) throws(Failure) -> NativeArguments {
        var bound = self
        switch document.kind {
        case .array:
            let elements = document.elements()
            guard elements.count <= names.count else {
                throw Self.refusal(
                    "takes at most \(names.count) arguments, \(elements.count) were given")
            }
            for (name, value) in zip(names, elements) { bound.values[name] = value }
        case .object:
            for (name, value) in document.members() {
                guard names.contains(name) else {
                    throw Self.refusal("takes no argument named \"\(name)\"")
                }
                bound.values[name] = value
            }
        case .string, .number, .bool, .null:
            throw Self.refusal("takes an array or an object of arguments")
        }
        return bound
    }

    package func value(_ name: String) throws(Failure) -> RawJSON {
        guard let value = values[name] else {
            throw Self.refusal("misses its argument \"\(name)\"")
        }
        return value
    }

    package func optional(_ name: String) -> RawJSON? { values[name] }

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
