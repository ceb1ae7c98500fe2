import ArgumentParser

/// A table of settings that has a heading of its own in the help.
protocol SettingTable {
    static var settings: [Setting] { get }
}

/// The flags of a table of settings.
///
/// The parser finds options by reflecting on an instance and decodes them by name: so they can come
/// from a table, and each setting is written down once.
struct SettingFlags<Table: SettingTable>: ParsableArguments, CustomReflectable {
    /// What was given, by the settings' names.
    private(set) var given: [String: [String]] = [:]

    init() {}

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        for setting in Table.settings where setting.hasFlag {
            let key = Key(stringValue: setting.name)
            switch setting.shape {
            case .list:
                let option = try container.decode(Option<[String]>.self, forKey: key)
                if !option.wrappedValue.isEmpty { given[setting.name] = option.wrappedValue }
            case .toggle:
                let flag = try container.decode(Flag<Bool?>.self, forKey: key)
                given[setting.name] = flag.wrappedValue.map { [String($0)] }
            case .one, .path, .choice, .secret:
                let option = try container.decode(Option<String?>.self, forKey: key)
                given[setting.name] = option.wrappedValue.map { [$0] }
            }
        }
    }

    var customMirror: Mirror {
        Mirror(
            self,
            children: Table.settings.filter(\.hasFlag).map { (label: $0.name, value: $0.argument) })
    }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}
