import Glibc

/// The kinds of settings there are; each reads, checks and shows its values in one way.
extension Setting {
    typealias Path<Value> = any WritableKeyPath<Configuration, Value> & Sendable

    static func count(
        _ name: String, _ path: Path<Int>, _ range: ClosedRange<Int>, unit: String,
        _ meaning: String, standard: String? = nil,
    ) -> Setting {
        Setting(
            name: name, shape: .one, unit: unit, meaning: meaning,
            standard: standard ?? String(Configuration()[keyPath: path]),
            apply: { texts, configuration throws(SettingError) in
                configuration[keyPath: path] = try Self.number(texts[0], range)
            }, show: { String($0[keyPath: path]) })
    }

    /// A bound that there may be.
    static func limit(
        _ name: String, _ path: Path<Int?>, _ range: ClosedRange<Int>, unit: String,
        _ meaning: String,
    ) -> Setting {
        Setting(
            name: name, shape: .one, unit: unit, meaning: meaning, standard: "",
            apply: { texts, configuration throws(SettingError) in
                configuration[keyPath: path] = try Self.number(texts[0], range)
            }, show: { $0[keyPath: path].map(String.init) ?? "" })
    }

    private static func number(
        _ text: String, _ range: ClosedRange<Int>,
    ) throws(SettingError) -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw SettingError("must be \(Self.text(range)), not \"\(text)\"")
        }
        return number
    }

    private static func text(_ range: ClosedRange<Int>) -> String {
        range.upperBound == .max
            ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)"
    }

    static func seconds(
        _ name: String, _ path: Path<Double>, _ range: ClosedRange<Double>, _ meaning: String,
    ) -> Setting {
        number(name, path, range, unit: "seconds", meaning)
    }

    static func number(
        _ name: String, _ path: Path<Double>, _ range: ClosedRange<Double>, unit: String,
        _ meaning: String,
    ) -> Setting {
        Setting(
            name: name, shape: .one, unit: unit, meaning: meaning,
            standard: plain(Configuration()[keyPath: path]),
            apply: { texts, configuration throws(SettingError) in
                guard let number = Double(texts[0]), range.contains(number) else {
                    let bounds = "\(plain(range.lowerBound)) to \(plain(range.upperBound))"
                    throw SettingError("must be \(bounds), not \"\(texts[0])\"")
                }
                configuration[keyPath: path] = number
            }, show: { plain($0[keyPath: path]) })
    }

    /// Without a fraction that says nothing.
    private static func plain(_ number: Double) -> String {
        number.rounded() == number && abs(number) < 1e15 ? String(Int(number)) : number.description
    }

    /// A text that there always is.
    static func text(
        _ name: String, _ path: Path<String>, unit: String, _ meaning: String,
        shape: Shape = .one,
    ) -> Setting {
        Setting(
            name: name, shape: shape, unit: unit, meaning: meaning,
            standard: Configuration()[keyPath: path],
            apply: { texts, configuration throws(SettingError) in
                configuration[keyPath: path] = try Self.filled(texts[0])
            }, show: { $0[keyPath: path] })
    }

    /// A text that there may be.
    static func optional(
        _ name: String, _ path: Path<String?>, unit: String, _ meaning: String,
        shape: Shape = .one,
    ) -> Setting {
        Setting(
            name: name, shape: shape, unit: unit, meaning: meaning, standard: "",
            apply: { texts, configuration throws(SettingError) in
                configuration[keyPath: path] = try Self.filled(texts[0])
            },
            show: { configuration in
                let value = configuration[keyPath: path]
                return shape == .secret && value != nil ? "(set)" : value ?? ""
            })
    }

    private static func filled(_ text: String) throws(SettingError) -> String {
        guard !text.isEmpty else { throw SettingError("is empty") }
        return text
    }

    /// The path of a file that must be there.
    static func file(
        _ name: String, _ path: Path<String?>, unit: String = "file", _ meaning: String,
    ) -> Setting {
        let setting = optional(name, path, unit: unit, meaning, shape: .path)
        return Setting(
            name: name, shape: .path, unit: unit, meaning: meaning, standard: "",
            apply: { texts, configuration throws(SettingError) in
                try setting.apply(texts, &configuration)
                guard access(texts[0], R_OK) == 0 else {
                    throw SettingError("cannot be read: \(texts[0]): \(errnoText)")
                }
            }, show: setting.show)
    }

    private static var errnoText: String { String(cString: strerror(errno)) }

    static func choice<Value: RawRepresentable<String> & CaseIterable & Sendable>(
        _ name: String, _ path: Path<Value>, _ meaning: String,
    ) -> Setting {
        let names = Value.allCases.map(\.rawValue)
        return Setting(
            name: name, shape: .choice(names), unit: names.joined(separator: "|"),
            meaning: meaning, standard: Configuration()[keyPath: path].rawValue,
            apply: { texts, configuration throws(SettingError) in
                guard let value = Value(rawValue: texts[0]) else {
                    throw SettingError(
                        "must be \(names.joined(separator: " or ")), not \"\(texts[0])\"")
                }
                configuration[keyPath: path] = value
            }, show: { $0[keyPath: path].rawValue })
    }

    static func toggle(_ name: String, _ path: Path<Bool>, _ meaning: String) -> Setting {
        Setting(
            name: name, shape: .toggle, unit: "true|false", meaning: meaning,
            standard: String(Configuration()[keyPath: path]),
            apply: { texts, configuration throws(SettingError) in
                guard let value = Bool(texts[0]) else {
                    throw SettingError("must be true or false, not \"\(texts[0])\"")
                }
                configuration[keyPath: path] = value
            }, show: { String($0[keyPath: path]) })
    }

    /// Any number of values, each read by `read`, which says what is wrong with one.
    static func list<Value: Sendable>(
        _ name: String, _ path: Path<[Value]>, unit: String, _ meaning: String,
        read: @escaping @Sendable (String) throws(SettingError) -> Value,
        show: @escaping @Sendable (Value) -> String,
    ) -> Setting {
        Setting(
            name: name, shape: .list, unit: unit, meaning: meaning,
            standard: Configuration()[keyPath: path].map(show).joined(separator: ","),
            apply: { texts, configuration throws(SettingError) in
                var values: [Value] = []
                var complaints: [String] = []
                for text in texts {
                    do throws(SettingError) {
                        values.append(try read(text))
                    } catch {
                        complaints += error.complaints
                    }
                }
                guard complaints.isEmpty else { throw SettingError(all: complaints) }
                configuration[keyPath: path] = values
            }, show: { $0[keyPath: path].map(show).joined(separator: ",") })
    }
}
